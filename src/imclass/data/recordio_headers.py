"""Gathers labels and ids from the image headers of many records at once, from a memory map.

`imclass.data.recordio` shows the header. Records stored in one part are read as whole columns of words; the
few that were split are read one by one, with the magic word put back.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imclass.data.recordio import (
    IMAGE_HEADER,
    LENGTH_MASK,
    MAGIC_BYTES,
    PART_HEAD,
    ImageHeader,
    too_many_labels,
)
from imclass.data.recordio_scan import Extents, Offsets, RecordMap, StoredPart, Words, walk_parts
from imclass.errors import DataError

HEADER_WORDS = IMAGE_HEADER.size // 4
HEAD_WORDS = PART_HEAD.size // 4

Where = Callable[[int], str]
"""Names a byte of a file for a message."""


@dataclass(frozen=True, slots=True)
class Headers:
    """What the image headers of n records say.

    Attributes:
        labels: (n, L) float32.
        ids: (n,) uint64.
    """

    labels: NDArray[np.float32]
    ids: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class _Split:
    """A record stored in several parts: its place among the others, its length, and its first bytes as words."""

    position: int
    payload_bytes: int
    words: Words


def gather_headers(records: RecordMap, extents: Extents, label_width: int | None) -> Headers:
    """Read labels and ids of records that lie inside the file.

    Args:
        extents: at least one record.
        label_width: the number of labels that each record must have; None takes that of the first.

    Raises:
        DataError: a record too short for its header or labels, another number of labels, or a label that is
            not a finite number, with the byte offset.
    """
    splits = [
        _read_split(records, int(position), int(extents.offsets[position]))
        for position in np.flatnonzero(extents.split)
    ]
    lengths = _payload_lengths(records, extents, splits)
    _check_lengths(records, extents.offsets, lengths)
    headers = _header_words(records, extents, splits)
    flags = headers[:, 0].astype(np.int64)
    _check_flags(records, extents.offsets, flags, lengths)
    widths = np.maximum(flags, 1)
    check_widths(records.where, extents.offsets, widths, label_width)
    labels = _labels(records, extents, splits, headers, flags)
    check_finite(records.where, extents.offsets, labels)
    ids = headers[:, 2].astype(np.uint64) | headers[:, 3].astype(np.uint64) << np.uint64(32)
    return Headers(labels, ids)


def _read_split(records: RecordMap, position: int, offset: int) -> _Split:
    """Put the first bytes of a split record together: the header and as many labels as it announces."""
    parts = list(walk_parts(records, offset))
    payload_bytes = sum(part.length for part in parts) + len(MAGIC_BYTES) * (len(parts) - 1)
    if payload_bytes < IMAGE_HEADER.size:
        return _Split(position, payload_bytes, np.empty(0, np.uint32))
    header = ImageHeader.unpack(_leading_bytes(records, parts, IMAGE_HEADER.size), records.where(offset))
    labels_end = min(IMAGE_HEADER.size + 4 * header.flag, payload_bytes // 4 * 4)
    leading = _leading_bytes(records, parts, labels_end)
    return _Split(position, payload_bytes, np.frombuffer(leading, dtype="<u4"))


def _leading_bytes(records: RecordMap, parts: list[StoredPart], count: int) -> bytes:
    """Return the first `count` bytes of a record, or all of it if it is shorter."""
    leading = bytearray()
    for part in parts:
        if part is not parts[0]:
            leading += MAGIC_BYTES
        if len(leading) >= count:
            break
        leading += records.read(part.data_offset, min(part.length, count - len(leading)))
    return bytes(leading[:count])


def _payload_lengths(records: RecordMap, extents: Extents, splits: list[_Split]) -> Offsets:
    lengths = (records.words[extents.offsets // 4 + 1] & LENGTH_MASK).astype(np.int64)
    for split in splits:
        lengths[split.position] = split.payload_bytes
    return lengths


def _header_words(records: RecordMap, extents: Extents, splits: list[_Split]) -> Words:
    """Return the headers as (n, 6) words; all records are known to be long enough."""
    columns = np.arange(HEADER_WORDS)
    headers = np.empty((len(extents), HEADER_WORDS), np.uint32)
    whole = ~extents.split
    headers[whole] = records.words[(extents.offsets[whole] // 4 + HEAD_WORDS)[:, None] + columns]
    for split in splits:
        headers[split.position] = split.words[:HEADER_WORDS]
    return headers


def _labels(
    records: RecordMap, extents: Extents, splits: list[_Split], headers: Words, flags: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return (n, L) labels; all records are known to have L labels in an array, or one in the header."""
    width = max(int(flags.max(initial=0)), 1)
    words = np.empty((len(extents), width), np.uint32)
    words[:, 0] = headers[:, 1]
    arrays = (flags > 0) & ~extents.split
    first_words = extents.offsets[arrays] // 4 + HEAD_WORDS + HEADER_WORDS
    words[arrays] = records.words[first_words[:, None] + np.arange(width)]
    for split in splits:
        if flags[split.position]:
            words[split.position] = split.words[HEADER_WORDS : HEADER_WORDS + width]
    return words.view(np.float32)


def _check_lengths(records: RecordMap, offsets: Offsets, lengths: Offsets) -> None:
    for i in np.flatnonzero(lengths < IMAGE_HEADER.size)[:1]:
        ImageHeader.unpack(bytes(int(lengths[i])), records.where(int(offsets[i])))


def _check_flags(records: RecordMap, offsets: Offsets, flags: Offsets, lengths: Offsets) -> None:
    for i in np.flatnonzero(IMAGE_HEADER.size + 4 * flags > lengths)[:1]:
        raise too_many_labels(int(flags[i]), int(lengths[i]), records.where(int(offsets[i])))


def check_widths(where: Where, offsets: Offsets, widths: Offsets, label_width: int | None) -> None:
    """Check that records have `label_width` labels each, or as many as the first.

    Raises:
        DataError: the first one that has not.
    """
    expected = widths[0] if label_width is None else label_width
    for i in np.flatnonzero(widths != expected)[:1]:
        raise DataError(
            f"this record has {widths[i]} labels, the records before it have {expected}",
            where=where(int(offsets[i])),
            fix="All records of a data set need the same number of labels; pack them again.",
        )


def check_finite(where: Where, offsets: Offsets, labels: NDArray[np.float32]) -> None:
    """Check that the labels of records are finite numbers.

    Raises:
        DataError: the first record with one that is not.
    """
    for i in np.flatnonzero(~np.isfinite(labels).all(axis=1))[:1]:
        raise DataError(
            f"a label of this record is not a finite number: {labels[i].tolist()[:20]}",
            where=where(int(offsets[i])),
            fix="Labels are class numbers, or 0 and 1 for each class; pack the file again.",
        )
