"""A file that is written under a temporary name and takes its place in one step, or never."""

import os
import secrets
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from imclass.errors import UserError


class PendingFile:
    """A binary file beside `path` that becomes `path` on `commit`, or at the end of a `with` block without an error.

    Args:
        path: the file; one that is there already is replaced.
        error: the kind of UserError to raise when the file cannot be written.
        to_disk: bring the bytes to the disk before the file takes its place, which takes milliseconds. Without it a
            power failure, but not the end of the process, can leave an empty file.

    Attributes:
        stream: what to write to.

    Raises:
        UserError: of the kind asked for: the folder is missing or may not be written to, `path` is a folder, the disk
            is full.
    """

    def __init__(self, path: Path, error: type[UserError] = UserError, *, to_disk: bool = True) -> None:
        self.path = path
        self._error = error
        self._to_disk = to_disk
        self._temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        if path.is_dir():
            raise error("this is a folder, and a file is to be written here", where=str(path))
        try:
            self.stream: IO[bytes] = self._temporary.open("xb")
        except OSError as problem:
            raise self._unwritable(problem) from problem

    def write(self, data: bytes) -> None:
        """Append bytes."""
        try:
            self.stream.write(data)
        except OSError as problem:
            raise self._unwritable(problem) from problem

    def finish(self) -> None:
        """Write all that waits to be written; `commit` may follow."""
        try:
            self.stream.flush()
            if self._to_disk:
                os.fsync(self.stream.fileno())
            self.stream.close()
        except OSError as problem:
            raise self._unwritable(problem) from problem

    def commit(self) -> None:
        """Put the file in place."""
        if not self.stream.closed:
            self.finish()
        try:
            self._temporary.replace(self.path)
        except OSError as problem:
            raise self._unwritable(problem) from problem

    def discard(self) -> None:
        """Throw away what was written; does nothing after `commit`."""
        try:
            with suppress(OSError):  # what is not written yet has no place on a full disk, and is not wanted
                self.stream.close()
        finally:
            self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.discard()
        if isinstance(error, OSError):
            raise self._unwritable(error) from error

    def _unwritable(self, problem: OSError) -> UserError:
        return self._error(
            f"the file cannot be written: {problem.strerror or problem}",
            where=str(self.path),
            fix="Check that the folder exists, may be written to and has space left.",
        )


def remove_left_over(folder: Path, names: Container[str] | None = None) -> None:
    """Remove what processes left in a folder that were killed while they wrote. Nobody else may be writing there.

    Args:
        names: of the files that they wrote; any by default.
    """
    for temporary in folder.glob(".*.tmp"):
        name, _, _ = temporary.name[1:].rsplit(".", 2)  # as PendingFile makes it
        if names is None or name in names:
            temporary.unlink(missing_ok=True)
