"""Writes a `.rec` file over several attempts: what an interrupted one wrote is kept, and the next goes on behind it.

While `NAME.rec` is made there are two files beside it:

`.NAME.rec.packing`
    the records so far, as they will stand in `NAME.rec`.
`.NAME.rec.journal`
    text, one line an item, in the order in which items were given::

        {"format": 1, "job": "<hash>"}      first line: what is being made
        <key> TAB <begin> TAB <end>         a record with this key, stored in these bytes
        <key> TAB - TAB "<reason>"          an item that was left out, with the reason as a JSON string
        end TAB <bytes>                     all items are done; the records take their place next

The journal is only written after the records that it speaks of are safe on the disk, so that it never promises too
much, whatever stops the process or the machine. What the records file holds beyond the journal is cut off.

The journal outlives `finish`, so that a job of several files knows which of them are done, until `forget`.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from imclass.data.recordio import MAGIC_BYTES
from imclass.data.recordio_writer import encode_record
from imclass.errors import DataError
from imclass.pending_file import PendingFile

JOURNAL_FORMAT = 1
WRITE_BYTES = 4 << 20
CHECKPOINT_SECONDS = 5.0
_END = "end"


class ResumableRecordWriter:
    """Writes `NAME.rec` and `NAME.idx`; both appear on `finish`. Leaving the `with` block without it keeps the work.

    Args:
        path: `NAME.rec`.
        job: a hash of everything that decides what the file will hold. Work that was kept of another job is dropped.
        go_on: use what an earlier attempt left; otherwise it is dropped.

    Attributes:
        items: number of items that are done: written or left out.
        left_out: (item number from 0, reason) of the items that were left out.
        is_finished: whether `NAME.rec` and `NAME.idx` are in place, of this job.

    Raises:
        DataError: the folder cannot be written to, or another process is making the same file.
    """

    def __init__(self, path: Path, job: str, *, go_on: bool = True) -> None:
        self.path = path
        self.index_path = path.with_suffix(".idx")
        self._working_path = path.with_name(f".{path.name}.packing")
        self._journal_path = path.with_name(f".{path.name}.journal")
        self.items = 0
        self.left_out: list[tuple[int, str]] = []
        self.is_finished = False
        self._size = 0
        self._records = bytearray()
        self._lines: list[str] = []
        self._checkpoint_at = time.monotonic() + CHECKPOINT_SECONDS
        if path.is_dir():
            raise DataError("this is a folder, and a file is to be written here", where=str(path))
        try:
            self._journal = _open_locked(self._journal_path)
            try:
                self._begin(job, go_on)
            except BaseException:
                os.close(self._journal)
                raise
        except OSError as problem:
            raise self._unwritable(problem) from problem

    def _begin(self, job: str, go_on: bool) -> None:
        head = json.dumps({"format": JOURNAL_FORMAT, "job": job}) + "\n"
        if not (go_on and self._read_journal(head)):
            self.items, self._size, self.left_out = 0, 0, []
            self._working_path.unlink(missing_ok=True)
            os.truncate(self._journal, 0)
            _write_all(self._journal, head.encode())
        self._working = -1 if self.is_finished else _open(self._working_path)
        if not self.is_finished:
            os.truncate(self._working, self._size)

    def _read_journal(self, head: str) -> bool:
        """Take up the kept work; False if there is none of this job."""
        with self._journal_path.open("rb") as stream:
            if stream.readline() != head.encode():
                return False
            kept = stream.tell()
            while (line := stream.readline()).endswith(b"\n") and self._take_up(line):
                kept = stream.tell()
        if line.startswith(_END.encode()) and self._is_in_place():
            self.is_finished = True
            return True
        if self._stored_bytes() < self._size:
            return False
        os.truncate(self._journal, kept)
        return True

    def _take_up(self, line: bytes) -> bool:
        """Count the item of a line; False if it is none: the end, or what a power cut made of a line."""
        try:
            _, begin, rest = line.decode().split("\t")
            if begin == "-":
                self.left_out.append((self.items, json.loads(rest)))
            else:
                self._size = int(rest)
        except ValueError:
            return False
        self.items += 1
        return True

    def _is_in_place(self) -> bool:
        """Whether the finished records have their place; completes the step that puts the `.idx` beside them."""
        if self._working_path.exists() or not self.path.is_file() or self.path.stat().st_size != self._size:
            return False
        with self.path.open("rb") as stream:
            if self._size and stream.read(len(MAGIC_BYTES)) != MAGIC_BYTES:
                return False
        with PendingFile(self.index_path, DataError) as index:
            self._write_index(index)
        return True

    def _stored_bytes(self) -> int:
        return self._working_path.stat().st_size if self._working_path.exists() else 0

    def write(self, key: int, payload: bytes) -> None:
        """Add an item as a record.

        Args:
            key: the number of the record in the `.idx` file.
            payload: the record.

        Raises:
            DataError: the record has 2^29 bytes or more, or the disk is full.
        """
        stored = encode_record(payload)
        self._records += stored
        self._add(f"{key}\t{self._size}\t{self._size + len(stored)}\n")
        self._size += len(stored)

    def leave_out(self, key: int, reason: str) -> None:
        """Add an item that there is no record of."""
        self.left_out.append((self.items, reason))
        self._add(f"{key}\t-\t{json.dumps(reason)}\n")

    def _add(self, line: str) -> None:
        self._lines.append(line)
        self.items += 1
        if len(self._records) >= WRITE_BYTES:
            self._write_records()
        if time.monotonic() >= self._checkpoint_at:
            self.checkpoint()

    def _write_records(self) -> None:
        """Hand the records to the operating system, which writes them while others are made."""
        records, self._records = self._records, bytearray()
        try:
            _write_all(self._working, records)
        except OSError as problem:
            self._lines.clear()
            raise self._unwritable(problem) from problem

    def checkpoint(self) -> None:
        """Make everything so far safe: records first, then the journal.

        Raises:
            DataError: the disk is full. What was safe before stays so.
        """
        self._write_records()
        lines, self._lines = self._lines, []
        try:
            os.fsync(self._working)
            _write_all(self._journal, "".join(lines).encode())
            os.fsync(self._journal)
        except OSError as problem:
            raise self._unwritable(problem) from problem
        self._checkpoint_at = time.monotonic() + CHECKPOINT_SECONDS

    def finish(self) -> None:
        """Put `NAME.rec` and `NAME.idx` in place. An old `.idx` goes first, so that it never stands beside the records
        of another."""
        self.checkpoint()
        with PendingFile(self.index_path, DataError) as index:
            self._write_index(index)
            index.finish()
            try:
                _write_all(self._journal, f"{_END}\t{self._size}\n".encode())
                os.fsync(self._journal)
                self.index_path.unlink(missing_ok=True)
                self._working_path.replace(self.path)
            except OSError as problem:
                raise self._unwritable(problem) from problem
        self.is_finished = True

    def _write_index(self, index: PendingFile) -> None:
        for key, begin in self._journal_records():
            index.write(f"{key}\t{begin}\n".encode())

    def _journal_records(self) -> Iterator[tuple[str, str]]:
        with self._journal_path.open() as stream:
            next(stream)
            for line in stream:
                fields = line.split("\t")
                if fields[0] != _END and fields[1] != "-":
                    yield fields[0], fields[1]

    def forget(self) -> None:
        """Remove the journal: the whole job is done."""
        self._journal_path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if not self.is_finished:
                self.checkpoint()
        finally:
            if self._working >= 0:
                os.close(self._working)
            os.close(self._journal)

    def _unwritable(self, problem: OSError) -> DataError:
        return DataError(
            f"the file cannot be written: {problem.strerror or problem}",
            where=str(self.path),
            fix="Check that the folder exists, may be written to and has space left. What was packed is kept.",
        )


def _open_locked(path: Path) -> int:
    """Open a journal for appending, and keep other processes out of it until it is closed."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DataError("another process is making this file", where=str(path)) from None
    return descriptor


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)


def _write_all(descriptor: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
