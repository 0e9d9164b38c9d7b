"""Finds every record of a RecordIO file in one pass over a memory map, many million parts a second.

`imclass.data.recordio` shows the bytes. The pass goes chunk by chunk. Long parts, such as photographs, are walked from
head to head, which leaves their data unread. Short ones are searched for, many at once:

1. Candidates are the aligned words that equal the magic and are followed by a word with a known part kind.
2. The end of each candidate, computed from its length, must be the next candidate: checked for the whole
   chunk at once.
3. Where it is not, the data of a part may hold an unescaped magic (files not made by MXNet): candidates
   inside the data of the part in front are dropped. If nothing begins where that part ends, the file is
   damaged there.
4. Kinds must follow each other as whole, or first, middle..., last.

Memory is that of a chunk and of what is found, whatever the size of the file.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imclass.data.recordio import LENGTH_BITS, LENGTH_MASK, MAGIC, PART_HEAD, PartKind, place
from imclass.data.recordio_reader import PACK_AGAIN, RecordFile, check_order, cut_head, cut_part, no_record
from imclass.errors import DataError

CHUNK_BYTES = 32 << 20
PROBED_PARTS = 32
"""So many parts at the beginning of a chunk tell how long its parts are."""
WALKED_FROM_BYTES = 1500
"""Reading so many bytes takes about as long as a step of the walk."""

Offsets = NDArray[np.int64]
Words = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Extents:
    """Where records are stored.

    Attributes:
        offsets: (n,) int64, byte offset of each record's first part, ascending.
        stored_bytes: (n,) int64, from there to the end of its last part, padding included.
        split: (n,) bool, stored in several parts.
    """

    offsets: Offsets
    stored_bytes: Offsets
    split: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.offsets)


class RecordMap:
    """A memory map over a RecordIO file, seen as little-endian words.

    Attributes:
        name: names the file in errors.
        size: bytes in the file.
        words: (size // 4,) uint32.
        view: (size,) bytes, read-only.
    """

    def __init__(self, file: RecordFile) -> None:
        self.name = file.name
        self.size = file.status().st_size
        if self.size == 0:
            raise DataError("the file is empty: it holds no records", where=self.name, fix=PACK_AGAIN)
        self._map = mmap.mmap(file.descriptor, self.size, access=mmap.ACCESS_READ)
        self.view = memoryview(self._map)
        self.words: Words = np.frombuffer(self._map, dtype="<u4", count=self.size // 4)

    def head(self, offset: int) -> tuple[int, int]:
        """Return the two words of the part that begins at a byte, at least 8 before the end."""
        magic, word = PART_HEAD.unpack_from(self._map, offset)
        return magic, word

    def read(self, start: int, count: int) -> bytes:
        """Return up to `count` bytes from `start`."""
        return self._map[start : start + count]

    def release(self, start: int, stop: int) -> None:
        """Let go of the pages between two bytes, so that a pass over a large file stays small in memory."""
        if hasattr(mmap, "MADV_DONTNEED"):
            first = start // mmap.PAGESIZE * mmap.PAGESIZE
            self._map.madvise(mmap.MADV_DONTNEED, first, min(stop, self.size) - first)

    def where(self, offset: int) -> str:
        """Name a byte of this file for a message."""
        return place(self.name, offset)


def part_ends(offsets: Offsets, words: Words) -> Offsets:
    """Return where parts end, padding included, from their offsets and the second word of their heads."""
    lengths = (words & LENGTH_MASK).astype(np.int64)
    return offsets + PART_HEAD.size + (lengths + 3) // 4 * 4


def part_kinds(words: Words) -> NDArray[np.uint32]:
    """Return the kinds of parts from the second word of their heads."""
    return words >> np.uint32(LENGTH_BITS)


def scan(records: RecordMap, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Extents]:
    """Yield the records of a file in file order, those that end in a chunk together.

    Raises:
        DataError: a gap between parts, parts out of order or a cut file, with the byte offset.
    """
    pending: Offsets = np.empty(0, np.int64)
    for found in _scan_parts(records, chunk_bytes):
        parts = np.concatenate([pending, found])
        kinds = part_kinds(records.words[parts // 4 + 1])
        _check_kinds(records, parts, kinds)
        last = np.flatnonzero((kinds == PartKind.WHOLE) | (kinds == PartKind.LAST))
        complete = int(last[-1]) + 1 if len(last) else 0
        pending = parts[complete:]
        yield _extents(records, parts[:complete], kinds[:complete], parts[last])
    if len(pending):
        where = records.where(int(pending[0]))
        raise DataError("the record that begins here lacks its last part", where=where, fix=PACK_AGAIN)


def _extents(records: RecordMap, parts: Offsets, kinds: NDArray[np.uint32], last_parts: Offsets) -> Extents:
    begins = (kinds == PartKind.WHOLE) | (kinds == PartKind.FIRST)
    offsets = parts[begins]
    ends = part_ends(last_parts, records.words[last_parts // 4 + 1])
    return Extents(offsets, ends - offsets, kinds[begins] == PartKind.FIRST)


def _check_kinds(records: RecordMap, parts: Offsets, kinds: NDArray[np.uint32]) -> None:
    """Check the order of kinds; `parts` begins where a record must begin."""
    inside = np.zeros(len(kinds), np.bool_)
    inside[1:] = (kinds[:-1] == PartKind.FIRST) | (kinds[:-1] == PartKind.MIDDLE)
    continues = (kinds == PartKind.MIDDLE) | (kinds == PartKind.LAST)
    for i in np.flatnonzero(inside != continues)[:1]:
        check_order(int(kinds[i]), inside_record=bool(inside[i]), where=records.where(int(parts[i])))


def _scan_parts(records: RecordMap, chunk_bytes: int) -> Iterator[Offsets]:
    """Yield the offsets of all parts, chunk by chunk; the pages of a chunk are let go after its turn."""
    heads_end = len(records.words) - 1  # a head has two words
    expected = 0  # where the next part must begin
    for start in range(0, heads_end, chunk_bytes // 4):
        stop = min(start + chunk_bytes // 4, heads_end)
        if expected >= stop * 4:
            continue  # the data of one part covers this chunk: nothing to read
        parts, expected = _chunk_parts(records, expected, stop * 4)
        if expected > records.size:
            raise _cut_last_part(records, int(parts[-1]), expected)
        yield parts
        records.release(start * 4, stop * 4)
    if expected < records.size:
        left = records.size - expected
        where = records.where(expected)
        raise cut_head(left, where) if left < PART_HEAD.size else no_record(where)


def _cut_last_part(records: RecordMap, offset: int, end: int) -> DataError:
    length = int(records.words[offset // 4 + 1]) & LENGTH_MASK
    return cut_part(length, end - records.size, records.where(offset))


def _chunk_parts(records: RecordMap, expected: int, stop: int) -> tuple[Offsets, int]:
    """Find the parts of a chunk, from `expected` to the byte `stop`.

    Returns:
        The offsets of the parts, at least one, and where the next part must begin.
    """
    probed, after = _walk(records, expected, stop, PROBED_PARTS)
    if after >= stop:
        return probed, after
    if after - expected >= WALKED_FROM_BYTES * len(probed):
        parts, after = _walk(records, after, stop)
    else:
        parts, after = _search(records, after, stop)
    return np.concatenate([probed, parts]), after


def _walk(records: RecordMap, expected: int, stop: int, most: int = CHUNK_BYTES) -> tuple[Offsets, int]:
    """Go from head to head, over `most` parts at most; as `_chunk_parts`."""
    head = records.head
    found: list[int] = []
    while expected < stop and len(found) < most:
        magic, word = head(expected)
        if magic != MAGIC or word >> LENGTH_BITS > PartKind.LAST:
            raise no_record(records.where(expected))
        found.append(expected)
        expected += PART_HEAD.size + ((word & LENGTH_MASK) + 3) // 4 * 4
    return np.array(found, np.int64), expected


def _search(records: RecordMap, expected: int, stop: int) -> tuple[Offsets, int]:
    """Look at every word, all at once; as `_chunk_parts`."""
    words = records.words
    first = expected // 4
    candidates = np.flatnonzero(words[first : stop // 4] == MAGIC) + first
    candidates = candidates[part_kinds(words[candidates + 1]) <= PartKind.LAST]
    return _follow(records, candidates * 4, expected, stop)


def _follow(records: RecordMap, candidates: Offsets, expected: int, stop: int) -> tuple[Offsets, int]:
    """Keep the candidates that follow one another without gaps, from `expected` to the byte `stop`.

    Returns:
        The offsets of the parts, at least one, and where the next part must begin.
    """
    ends = part_ends(candidates, records.words[candidates // 4 + 1])
    jumps = np.append(np.flatnonzero(ends[:-1] != candidates[1:]), len(candidates) - 1)
    runs = []
    while expected < stop:
        first = int(np.searchsorted(candidates, expected))
        if first == len(candidates) or candidates[first] != expected:
            raise no_record(records.where(expected))
        last = int(jumps[np.searchsorted(jumps, first)])
        runs.append(candidates[first : last + 1])
        expected = int(ends[last])
    return np.concatenate(runs), expected


@dataclass(frozen=True, slots=True)
class StoredPart:
    """One part as stored: its kind, where its data begins, and how long that is."""

    kind: int
    data_offset: int
    length: int

    @property
    def end(self) -> int:
        return self.data_offset + (self.length + 3) // 4 * 4


def walk_parts(records: RecordMap, offset: int) -> Iterator[StoredPart]:
    """Yield the parts of the one record that begins at `offset`.

    Raises:
        DataError: as `imclass.data.recordio_reader.read_records`.
    """
    inside = False
    position = offset
    while True:
        where = records.where(position)
        head = records.read(position, PART_HEAD.size)
        if len(head) < PART_HEAD.size:
            raise cut_head(len(head), where)
        magic, word = PART_HEAD.unpack(head)
        if magic != MAGIC:
            raise no_record(where)
        part = StoredPart(word >> LENGTH_BITS, position + PART_HEAD.size, word & LENGTH_MASK)
        check_order(part.kind, inside_record=inside, where=where)
        if part.end > records.size:
            raise cut_part(part.length, part.end - records.size, where)
        yield part
        if part.kind in (PartKind.WHOLE, PartKind.LAST):
            return
        inside = True
        position = part.end
