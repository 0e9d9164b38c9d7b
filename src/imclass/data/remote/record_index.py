"""The index of a `.rec` object: where its records are, and their labels and ids, without keeping the object.

Found in this order:

1. the index kept in the cache, if the objects are as they were (size and ETag);
2. the `.idx` beside it, when records are large: the first bytes of each listed record, many requests at a time;
3. one pass over the whole object in large range requests. If there is an `.idx`, it says which records count.
"""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imclass.data.recordio import (
    IMAGE_HEADER,
    LENGTH_BITS,
    LENGTH_MASK,
    MAGIC,
    PART_HEAD,
    ImageHeader,
    PartKind,
    padding,
    place,
    too_many_labels,
)
from imclass.data.recordio_cache import MISSING, Stamp, write_cache
from imclass.data.recordio_headers import check_finite, check_widths
from imclass.data.recordio_idx import ListedOffsets, check_begins, check_offsets, check_overlaps
from imclass.data.recordio_index import RecordIndex, index_from_cache
from imclass.data.recordio_reader import PACK_AGAIN, cut_part, read_records
from imclass.data.recordio_scan import Extents
from imclass.data.remote.places import cache_folder
from imclass.data.remote.read_ahead import ReadAhead
from imclass.data.remote.records import RangeStream, StreamedFile
from imclass.errors import DataError

LARGE_RECORD_BYTES = 64 << 10
"""From this mean size on, a request for the beginning of each record is less work than reading all bytes."""
BEGINNING_BYTES = 4 << 10
BEGINNINGS_AT_A_TIME = 4096


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the index keeps of one record."""

    offset: int
    stored_bytes: int
    is_split: bool
    labels: NDArray[np.float32]
    id: int


def load_remote_index(file: StreamedFile) -> RecordIndex:
    """Return the index of a `.rec` object, and keep it in the cache, unless nothing would tell later that it is out of
    date, or the cache cannot be written to.

    Raises:
        DataError: as `imclass.data.recordio_index.load_index`; or the object changed meanwhile, or cannot be read.
    """
    if not (file.record.tells_changes and (file.idx is None or file.idx.tells_changes)):
        return build_remote_index(file)
    stamp = Stamp(file.record.size, 0, file.idx.size if file.idx else MISSING, 0)
    path = _cache_path(file)
    kept = index_from_cache(path, stamp)
    if kept is not None:
        return kept
    index = build_remote_index(file)
    write_cache(path, stamp, index.columns())
    return index


def _cache_path(file: StreamedFile) -> Path:
    """The name of the kept index says which versions of the objects it belongs to."""
    versions = (str(file.address), file.record.version, file.idx.version if file.idx else "")
    return cache_folder() / "indexes" / (hashlib.sha256("\n".join(versions).encode()).hexdigest()[:32] + ".npz")


def build_remote_index(file: StreamedFile) -> RecordIndex:
    """Make the index of a `.rec` object from its bytes; errors are those of `load_remote_index`."""
    if file.record.size == 0:
        raise DataError("the file is empty: it holds no records", where=file.name, fix=PACK_AGAIN)
    listed = file.listed()
    if listed is None:
        return _index(file, list(_all_records(file)))
    check_offsets(listed, file.name, file.record.size)
    if file.record.size < LARGE_RECORD_BYTES * len(listed.offsets):
        by_offset = {entry.offset: entry for entry in _all_records(file)}
        check_begins(listed, np.array([offset in by_offset for offset in listed.offsets.tolist()]), file.name)
        index = _index(file, [by_offset[offset] for offset in listed.offsets.tolist()])
    else:
        index = _index(file, list(_listed_records(file, listed)))
    check_overlaps(listed, index.extents)
    return index


def _index(file: StreamedFile, entries: list[_Entry]) -> RecordIndex:
    def where(offset: int) -> str:
        return place(file.name, offset)

    offsets = np.array([entry.offset for entry in entries], np.int64)
    check_widths(where, offsets, np.array([len(entry.labels) for entry in entries], np.int64), None)
    labels = np.stack([entry.labels for entry in entries])
    check_finite(where, offsets, labels)
    stored_bytes = np.array([entry.stored_bytes for entry in entries], np.int64)
    split = np.array([entry.is_split for entry in entries], np.bool_)
    return RecordIndex(
        Extents(offsets, stored_bytes, split), labels, np.array([entry.id for entry in entries], np.uint64)
    )


def _all_records(file: StreamedFile) -> Iterator[_Entry]:
    with closing(RangeStream(file, 0, file.record.size)) as stream:
        for record in read_records(stream, file.name):
            yield _entry(file, record.offset, record.parts, record.payload)


def _entry(file: StreamedFile, offset: int, parts: tuple[tuple[int, int], ...], beginning: bytes) -> _Entry:
    """Read the image header in the beginning of a record, which holds all labels."""
    where = place(file.name, offset)
    header = ImageHeader.unpack(beginning, where)
    end = IMAGE_HEADER.size + 4 * header.flag
    if end > len(beginning):
        raise too_many_labels(header.flag, len(beginning), where)
    array = np.frombuffer(beginning, "<f4", header.flag, IMAGE_HEADER.size) if header.flag else [header.label]
    stored_bytes = sum(PART_HEAD.size + length + padding(length) for _, length in parts)
    return _Entry(offset, stored_bytes, len(parts) > 1, np.array(array, np.float32), header.id)


def _listed_records(file: StreamedFile, listed: ListedOffsets) -> Iterator[_Entry]:
    """Read the beginnings of the listed records; the few that need more are read in full afterwards."""
    starts = listed.offsets
    sizes = np.minimum(BEGINNING_BYTES, file.record.size - starts)
    ahead = ReadAhead(lambda _, start, stop: file.read_bytes(start, stop), np.zeros_like(starts), starts, sizes)
    begins = np.ones(len(starts), np.bool_)
    entries: list[_Entry | None] = []
    try:
        for piece in range(len(starts)):
            if piece % BEGINNINGS_AT_A_TIME == 0:
                ahead.announce(range(piece, min(piece + 2 * BEGINNINGS_AT_A_TIME, len(starts))))
            beginning = ahead.take(piece)
            begins[piece] = _begins_record(beginning)
            entries.append(_from_beginning(file, int(starts[piece]), beginning) if begins[piece] else None)
    finally:
        ahead.forget()
    check_begins(listed, begins, file.name)
    limits = np.append(starts[1:], file.record.size)
    for start, limit, entry in zip(starts.tolist(), limits.tolist(), entries, strict=True):
        yield entry or _in_full(file, start, limit)


def _begins_record(beginning: memoryview) -> bool:
    magic, word = PART_HEAD.unpack_from(beginning)
    return magic == MAGIC and word >> LENGTH_BITS in (PartKind.WHOLE, PartKind.FIRST)


def _from_beginning(file: StreamedFile, offset: int, beginning: memoryview) -> _Entry | None:
    """Index a record from its first bytes; None if it has several parts, or more labels than these bytes hold."""
    _, word = PART_HEAD.unpack_from(beginning)
    kind, length = word >> LENGTH_BITS, word & LENGTH_MASK
    end = offset + PART_HEAD.size + length + padding(length)
    if end > file.record.size:
        raise cut_part(length, end - file.record.size, place(file.name, offset))
    payload = bytes(beginning[PART_HEAD.size : PART_HEAD.size + length])
    labels_end = IMAGE_HEADER.size
    if len(payload) >= IMAGE_HEADER.size:
        labels_end += 4 * ImageHeader.unpack(payload, place(file.name, offset)).flag
    is_enough = kind == PartKind.WHOLE and (labels_end <= len(payload) or len(payload) == length)
    return _entry(file, offset, ((kind, length),), payload) if is_enough else None


def _in_full(file: StreamedFile, offset: int, limit: int) -> _Entry:
    """Index a record from all its bytes, which end where the next listed record begins, or before."""
    with closing(RangeStream(file, offset, limit)) as stream:
        record = next(read_records(stream, file.name, offset))
    return _entry(file, offset, record.parts, record.payload)
