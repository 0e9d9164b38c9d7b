"""What a job keeps so that it can be interrupted, divided between processes, and gone on with.

    job.json                 what decides the results: the model, the form; and, of single files, the images
    IMAGES/                  one folder for each set of images, named by a hash of their keys
      00000012.rows          results of piece 12, until they are put together (single files only)
      00000012.done          piece 12 is done: the images that failed, with reasons, as JSON
      finished.json          all pieces are done and put together
    lock                     held by the process that claims the job or puts results together

Every file appears complete or not at all, and says the same whoever writes it. So it does no harm when a piece is done
twice, say by a process that was thought dead.
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imclass.errors import UserError, listing
from imclass.inference.transform.pieces import Piece
from imclass.pending_file import PendingFile

LOCK_SECONDS = 1800.0  # another process may be putting a large file together
LOCK_POLL_SECONDS = 0.1

JOB_FILE = "job.json"
FINISHED_FILE = "finished.json"


@dataclass(frozen=True, slots=True)
class Failure:
    """An image without a result: its key and why."""

    key: str
    reason: str


class WorkFolder:
    """The folder of a job.

    Args:
        path: the folder; made when missing.
        keys: of all images.

    Raises:
        UserError: the folder cannot be made.
    """

    def __init__(self, path: Path, keys: Sequence[str]) -> None:
        self.path = path
        self.images_hash = _hash(keys)
        self._pieces = path / self.images_hash
        make_folder(self._pieces)

    def claim(self, settings: Mapping[str, object], existing_results: Callable[[], Sequence[str]]) -> None:
        """Write down what decides the results, or compare with what is written down.

        Args:
            settings: JSON values.
            existing_results: finds results that stand in the output folder already.

        Raises:
            UserError: the folder belongs to a job with other settings, or there are results of an unknown job.
        """
        with self.lock():
            if not self._job_file.exists():
                # Processes write results after they have claimed the job, so these are older than it.
                if found := existing_results():
                    raise UserError(
                        f"there are results already, and which model made them is not known, {found[0]} among them",
                        where=found[0].rpartition("/")[0],
                        fix="Name another folder, or replace them with --restart.",
                    )
                write_file(self._job_file, json.dumps(settings, indent=2).encode() + b"\n")
            self._compare(json.loads(json.dumps(settings)))

    def clear(self) -> None:
        """Forget everything that was done."""
        shutil.rmtree(self.path)
        make_folder(self._pieces)

    def rows_file(self, piece: Piece) -> Path:
        """Where the results of a piece are until they are put together."""
        return self._pieces / f"{piece.number:08d}.rows"

    def mark_done(self, piece: Piece, failures: Sequence[Failure]) -> None:
        """Write down that a piece is done."""
        entries = [{"key": failure.key, "reason": failure.reason} for failure in failures]
        write_file(self._done_file(piece), json.dumps({"failed": entries}).encode())

    def is_done(self, piece: Piece) -> bool:
        """Whether a piece is done."""
        return self._done_file(piece).exists()

    def failures(self, piece: Piece) -> list[Failure]:
        """The images of a piece that failed, when it was done last."""
        content = json.loads(self._done_file(piece).read_bytes())
        return [Failure(entry["key"], entry["reason"]) for entry in content["failed"]]

    @property
    def is_finished(self) -> bool:
        """Whether all results were put together."""
        return (self._pieces / FINISHED_FILE).exists()

    def mark_finished(self, pieces: Sequence[Piece]) -> None:
        """Write down that all results are put together, and remove what they were put together from."""
        write_file(self._pieces / FINISHED_FILE, b"{}")
        for piece in pieces:
            self.rows_file(piece).unlink(missing_ok=True)

    def forget_pieces(self, pieces: Sequence[Piece]) -> None:
        """Take back that pieces are done and put together."""
        (self._pieces / FINISHED_FILE).unlink(missing_ok=True)
        for piece in pieces:
            self._done_file(piece).unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the job's lock while the block runs.

        Raises:
            UserError: another process does not let go of it, or the file system has no locks.
        """
        deadline = time.monotonic() + LOCK_SECONDS
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            while not self._try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise UserError("another process holds the job and does not end", where=str(self.path))
                time.sleep(LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)

    def _try_lock(self, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise UserError(
                f"the file system has no locks: {error.strerror}",
                where=str(self.path),
                fix="Name a folder on another one with --work-dir.",
            ) from error
        return True

    @property
    def _job_file(self) -> Path:
        return self.path / JOB_FILE

    def _done_file(self, piece: Piece) -> Path:
        return self._pieces / f"{piece.number:08d}.done"

    def _compare(self, wanted: Mapping[str, object]) -> None:
        settings = json.loads(self._job_file.read_bytes())
        names = [name for name in {**settings, **wanted} if settings.get(name) != wanted.get(name)]
        if names:
            raise UserError(
                "the output folder belongs to a job that differs in\n"
                + listing([f"{name}: {settings.get(name)} there, {wanted.get(name)} now" for name in names]),
                where=str(self.path),
                fix="Name another output folder, or begin anew with --restart, which replaces the results.",
            )


def write_file(path: Path, content: bytes) -> None:
    """Write a small file in one step."""
    with PendingFile(path) as file:
        file.write(content)


def make_folder(path: Path) -> None:
    """Make a folder with those above it.

    Raises:
        UserError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder cannot be made: {error.strerror}", where=str(path)) from error


def _hash(keys: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for key in keys:
        digest.update(key.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()[:16]
