"""Reads RecordIO: one record after another from any binary stream, or single records from a file.

`imclass.data.recordio` shows the bytes. Nothing is believed before it is checked: a length read from a file
never sizes a buffer that the file's own bytes do not fill.
"""

import io
import os
import stat
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imclass.data.recordio import (
    LENGTH_BITS,
    LENGTH_MASK,
    MAGIC,
    MAGIC_BYTES,
    PART_HEAD,
    RECORD_LIMIT,
    PartKind,
    padding,
    place,
)
from imclass.data.reused_memory import ReusedMemory
from imclass.errors import DataError

READ_PIECE = 1 << 20
"""Largest number of bytes asked of a stream at once."""

PACK_AGAIN = "The file is damaged or incomplete; copy or pack it again."


class BinaryStream(Protocol):
    """What `read_records` needs of a stream."""

    def read(self, count: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a RecordIO stream.

    Attributes:
        offset: byte offset of its first part in the stream.
        parts: (kind, length) of each part as stored.
        payload: the record itself, with the magic words back in place.
    """

    offset: int
    parts: tuple[tuple[int, int], ...]
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Part:
    kind: int
    data: bytes

    @property
    def stored_bytes(self) -> int:
        return PART_HEAD.size + len(self.data) + padding(len(self.data))


def read_records(stream: BinaryStream, name: str, offset: int = 0) -> Iterator[Record]:
    """Yield the records of a stream until it ends at a record's end.

    Args:
        stream: anything with `read`, also a pipe.
        name: names the stream in errors.
        offset: the byte offset of the stream's next byte, for errors and `Record.offset`.

    Raises:
        DataError: no magic word where a part must begin, parts out of order, a record of 2^29 bytes or more,
            or the stream ends inside a record.
    """
    while parts := _read_record_parts(stream, name, offset):
        described = tuple((part.kind, len(part.data)) for part in parts)
        yield Record(offset, described, MAGIC_BYTES.join(part.data for part in parts))
        offset += sum(part.stored_bytes for part in parts)


def _read_record_parts(stream: BinaryStream, name: str, start: int) -> list[_Part]:
    """Read all parts of the next record; none at the end of the stream."""
    parts: list[_Part] = []
    offset = start
    payload_bytes = 0
    while not parts or parts[-1].kind in (PartKind.FIRST, PartKind.MIDDLE):
        part = _read_part(stream, name, offset)
        if part is None:
            if parts:
                raise DataError(
                    "the record that begins here lacks its last part",
                    where=place(name, start),
                    fix=PACK_AGAIN,
                )
            return []
        check_order(part.kind, inside_record=bool(parts), where=place(name, offset))
        payload_bytes += len(part.data) + (len(MAGIC_BYTES) if parts else 0)
        if payload_bytes >= RECORD_LIMIT:
            raise DataError(f"a record of 2^{LENGTH_BITS} bytes or more", where=place(name, start))
        parts.append(part)
        offset += part.stored_bytes
    return parts


def _read_part(stream: BinaryStream, name: str, offset: int) -> _Part | None:
    head = _read_up_to(stream, PART_HEAD.size)
    if not head:
        return None
    if len(head) < PART_HEAD.size:
        raise cut_head(len(head), place(name, offset))
    magic, word = PART_HEAD.unpack(head)
    if magic != MAGIC:
        raise no_record(place(name, offset))
    length = word & LENGTH_MASK
    wanted = length + padding(length)
    data = _read_up_to(stream, wanted)
    if len(data) < wanted:
        raise cut_part(length, wanted - len(data), place(name, offset))
    return _Part(word >> LENGTH_BITS, data[:length])


def _read_up_to(stream: BinaryStream, count: int) -> bytes:
    """Read `count` bytes, or fewer if the stream ends, in pieces so that a false length allocates nothing."""
    pieces: list[bytes] = []
    while count > 0 and (piece := stream.read(min(count, READ_PIECE))):
        pieces.append(piece)
        count -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def check_order(kind: int, *, inside_record: bool, where: str) -> None:
    """Check that a part of this kind may stand here.

    Raises:
        DataError: a continuation without a beginning, a beginning inside a record, or no known kind.
    """
    if kind > PartKind.LAST:
        raise no_record(where)
    if inside_record and kind in (PartKind.WHOLE, PartKind.FIRST):
        raise DataError("a record begins before the one in front of it is complete", where=where, fix=PACK_AGAIN)
    if not inside_record and kind in (PartKind.MIDDLE, PartKind.LAST):
        raise DataError("a continued record without its beginning", where=where, fix=PACK_AGAIN)


def no_record(where: str) -> DataError:
    """The error of a place that should hold a part but does not."""
    return DataError("no record begins where one must (wrong magic word or part kind)", where=where, fix=PACK_AGAIN)


def cut_head(available: int, where: str) -> DataError:
    """The error of a file that ends inside a part's first 8 bytes."""
    return DataError(f"{available} bytes at the end are too few for the head of a record", where=where, fix=PACK_AGAIN)


def cut_part(length: int, missing: int, where: str) -> DataError:
    """The error of a file that ends inside a part's data or padding."""
    return DataError(
        f"the file ends inside a record part of {length} bytes, {missing} bytes too early",
        where=where,
        fix=PACK_AGAIN,
    )


def _only_part(stored: bytes | memoryview) -> memoryview | None:
    """The payload of a record that is stored as one part and nothing else; None of any other bytes."""
    if len(stored) < PART_HEAD.size:
        return None
    magic, length = PART_HEAD.unpack_from(stored)  # of a whole record the kind is 0 and the word its length
    if magic != MAGIC or PART_HEAD.size + length + padding(length) != len(stored):
        return None
    return memoryview(stored)[PART_HEAD.size : PART_HEAD.size + length]


class RecordFile:
    """Random access to the records of one file, from any number of threads.

    Raises:
        DataError: the file is missing, may not be read or is not a regular file.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self.name = name or str(path)
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise DataError(f"cannot be opened: {error.strerror}", where=self.name) from error
        self._closer = weakref.finalize(self, os.close, self._descriptor)
        if not stat.S_ISREG(self.status().st_mode):
            self.close()
            raise DataError("is not a regular file, so its records cannot be found by offset", where=self.name)

    def __reduce__(self) -> tuple[type["RecordFile"], tuple[Path, str]]:
        """Pickle the path: in another process the file is opened again, for there the descriptor is another's."""
        return RecordFile, (self.path, self.name)

    def status(self) -> os.stat_result:
        """Return the size and times of the open file."""
        return os.fstat(self._descriptor)

    @property
    def descriptor(self) -> int:
        """The open file, for a memory map."""
        return self._descriptor

    def read(self, offset: int, stored_bytes: int) -> Record:
        """Read the record stored in `stored_bytes` bytes from `offset`.

        `os.pread` has no file position, so threads do not disturb one another.

        Raises:
            DataError: these bytes are not one whole record, say because the file changed since it was
                indexed.
        """
        try:
            stored = os.pread(self._descriptor, stored_bytes, offset)
        except OSError as error:
            raise self._unreadable(error, offset) from error
        if len(stored) == stored_bytes and (payload := _only_part(stored)) is not None:
            return Record(offset, ((PartKind.WHOLE, len(payload)),), bytes(payload))
        record = next(read_records(io.BytesIO(stored), self.name, offset), None)
        if record is None:
            raise cut_head(0, place(self.name, offset))
        return record

    def read_payload(self, offset: int, stored_bytes: int, memory: ReusedMemory) -> memoryview:
        """As `read`, the payload alone: in `memory`, until that is used again, unless it was stored in several parts.

        Raises:
            DataError: as `read`.
        """
        stored = memory.array((stored_bytes,)).data
        try:
            found = os.preadv(self._descriptor, [stored], offset)
        except OSError as error:
            raise self._unreadable(error, offset) from error
        if found == stored_bytes and (payload := _only_part(stored)) is not None:
            return payload
        return memoryview(self.read(offset, stored_bytes).payload)

    def _unreadable(self, error: OSError, offset: int) -> DataError:
        return DataError(f"cannot be read: {error.strerror}", where=place(self.name, offset))

    def close(self) -> None:
        """Close the file; records can no longer be read."""
        self._closer()
