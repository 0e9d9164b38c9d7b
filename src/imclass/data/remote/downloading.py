"""Downloads many objects at once; large ones in parts. A file gets its name when it is complete."""

import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imclass.data.remote.faults import RangesNotServedError
from imclass.data.remote.parallel import in_parallel
from imclass.data.remote.reporting import Advance
from imclass.data.remote.stores import RemoteFile, Store
from imclass.errors import DataError

CONNECTIONS = 16
PART_BYTES = 8 << 20
"""Larger objects are fetched in parts of this size, side by side; memory is at most CONNECTIONS of them."""

ROOM_NEEDED = "Make room, or name another folder for the cache: IMCLASS_CACHE."


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object and the file that it is to become.

    Attributes:
        path: relative to the folder, with forward slashes; known to stay inside it.
        file: the object.
    """

    path: str
    file: RemoteFile


def download(store: Store, wanted: Sequence[Wanted], folder: Path, incoming: Path, advance: Advance) -> None:
    """Fetch objects into files.

    Args:
        folder: where the files go.
        incoming: a folder on the same disk for files that are not complete yet.
        advance: told of files and bytes on the way.

    Raises:
        DataError: an object changed or vanished meanwhile, no connection, or the disk is full.
    """
    try:
        for each in sorted({(folder / one.path).parent for one in wanted}):
            each.mkdir(parents=True, exist_ok=True)
        for done in in_parallel(_Part.fetch, _parts(store, wanted, folder, incoming), CONNECTIONS):
            advance(*done)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", where=str(folder), fix=ROOM_NEEDED) from error


def _parts(store: Store, wanted: Sequence[Wanted], folder: Path, incoming: Path) -> Iterator["_Part"]:
    """Yield what is to be fetched, the largest files first, so that none is left over at the end."""
    for one in sorted(wanted, key=lambda one: -one.file.size):
        size = one.file.size
        target = _Target(store, one.file, folder / one.path, incoming / secrets.token_hex(8), -(-size // PART_BYTES))
        for start in range(0, max(size, 1), PART_BYTES):
            yield _Part(target, start, min(start + PART_BYTES, size))


class _Target:
    """A file that is being written, by several threads."""

    def __init__(self, store: Store, file: RemoteFile, path: Path, temporary: Path, parts: int) -> None:
        self.store, self.file = store, file
        self._path, self._temporary = path, temporary
        self._parts_left = max(parts, 1)
        self._lock = threading.Lock()
        self._is_whole = False

    def write(self, start: int, content: bytes | memoryview) -> None:
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            view = memoryview(content)
            while len(view):
                written = os.pwrite(descriptor, view, start)
                view, start = view[written:], start + written
        finally:
            os.close(descriptor)

    def fetch_whole(self) -> Iterator[int]:
        """Fetch all in one request, once, whichever part comes to it first; yields the bytes of each piece."""
        with self._lock:
            if self._is_whole:
                return
            position = 0
            for piece in self.store.pieces(self.file):
                self.write(position, piece)
                position += len(piece)
                yield len(piece)
            if position != self.file.size:
                where = str(self.store.address.with_key(self.file.key))
                raise DataError(f"{position} bytes came instead of {self.file.size}", where=where)
            self._is_whole = True

    def part_done(self) -> int:
        """Count a part, and give the file its name with the last one; returns the number of files completed."""
        with self._lock:
            self._parts_left -= 1
            if self._parts_left:
                return 0
        if self.file.size == 0:
            self._temporary.touch()
        self._temporary.replace(self._path)
        return 1


@dataclass(frozen=True, slots=True)
class _Part:
    target: _Target
    start: int
    stop: int

    def fetch(self) -> Iterator[tuple[int, int]]:
        """Fetch these bytes; yields files that became complete, and bytes that came."""
        for size in self._fetch():
            yield 0, size
        yield self.target.part_done(), 0

    def _fetch(self) -> Iterator[int]:
        target, size = self.target, self.stop - self.start
        if 0 < target.file.size <= PART_BYTES:
            yield from target.fetch_whole()
        elif size:
            try:
                target.write(self.start, target.store.read(target.file, self.start, self.stop))
            except RangesNotServedError:
                yield from target.fetch_whole()
            else:
                yield size
