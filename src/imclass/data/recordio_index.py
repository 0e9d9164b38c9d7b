"""The index of one `.rec` file: where its records are, and their labels and ids.

Found in this order:

1. the cache file beside it, if the files are as they were (`imclass.data.recordio_cache`);
2. the `.idx` file beside it (`imclass.data.recordio_idx`);
3. one pass over the file (`imclass.data.recordio_scan`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imclass.data.recordio_cache import Columns, Stamp, cache_path, read_cache, write_cache
from imclass.data.recordio_headers import Headers, gather_headers
from imclass.data.recordio_idx import ListedOffsets, check_offsets, check_overlaps, locate, read_idx
from imclass.data.recordio_reader import RecordFile
from imclass.data.recordio_scan import CHUNK_BYTES, Extents, Offsets, RecordMap, scan

CACHE_FROM_RECORDS = 10_000
CACHE_FROM_BYTES = 64 << 20
"""Smaller files are indexed faster than anyone notices and get no cache file beside them."""

COLUMN_TYPES: dict[str, np.dtype[np.generic]] = {
    "offsets": np.dtype(np.int64),
    "stored_bytes": np.dtype(np.int64),
    "split": np.dtype(np.bool_),
    "labels": np.dtype(np.float32),
    "ids": np.dtype(np.uint64),
}


@dataclass(frozen=True, slots=True)
class RecordIndex:
    """Where the N records of a file are and what their image headers say; at least one record.

    Attributes:
        extents: byte offsets, stored lengths and which records are split, in file order.
        labels: (N, L) float32.
        ids: (N,) uint64.
    """

    extents: Extents
    labels: NDArray[np.float32]
    ids: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.extents)

    def columns(self) -> Columns:
        """Return the arrays of the cache file."""
        extents = self.extents
        return {
            "offsets": extents.offsets,
            "stored_bytes": extents.stored_bytes,
            "split": extents.split,
            "labels": self.labels,
            "ids": self.ids,
        }


def load_index(file: RecordFile) -> RecordIndex:
    """Return the index of an open `.rec` file from its cache, its `.idx` or a pass over it.

    Raises:
        DataError: the file is empty, damaged or cut, its records are no image records with the same number of
            finite labels, or the `.idx` beside it does not fit. The message names the byte offset, or the
            line of the `.idx`.
    """
    idx_path = file.path.with_suffix(".idx")
    stamp = Stamp.of(file.status(), idx_path)
    kept = index_from_cache(cache_path(file.path), stamp)
    if kept is not None:
        return kept
    index = build_index(file, read_idx(idx_path) if idx_path.exists() else None)
    if len(index) >= CACHE_FROM_RECORDS or stamp.record_bytes >= CACHE_FROM_BYTES:
        write_cache(cache_path(file.path), stamp, index.columns())
    return index


def build_index(file: RecordFile, listed: ListedOffsets | None, chunk_bytes: int = CHUNK_BYTES) -> RecordIndex:
    """Make the index of a file from its bytes; `listed` are the offsets of an `.idx` file, None looks for
    them.

    Raises:
        DataError: as `load_index`.
    """
    records = RecordMap(file)
    extents: list[Extents] = []
    headers: list[Headers] = []
    label_width: int | None = None
    for found in scan(records, chunk_bytes) if listed is None else _locate_all(listed, records, chunk_bytes):
        if len(found):
            extents.append(found)
            headers.append(gather_headers(records, found, label_width))
            label_width = headers[-1].labels.shape[1]
    index = RecordIndex(
        Extents(
            np.concatenate([part.offsets for part in extents]),
            np.concatenate([part.stored_bytes for part in extents]),
            np.concatenate([part.split for part in extents]),
        ),
        np.concatenate([part.labels for part in headers]),
        np.concatenate([part.ids for part in headers]),
    )
    if listed is not None:
        check_overlaps(listed, index.extents)
    return index


def _locate_all(listed: ListedOffsets, records: RecordMap, chunk_bytes: int) -> Iterator[Extents]:
    """Locate the listed records, a chunk of the file at a time, and let its pages go after its turn."""
    check_offsets(listed, records.name, records.size)
    chunks: Offsets = listed.offsets // chunk_bytes
    starts = np.flatnonzero(np.diff(chunks, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(chunks)], strict=True):
        yield locate(listed[start:stop], records)
        chunk_start = int(chunks[start]) * chunk_bytes
        records.release(chunk_start, chunk_start + chunk_bytes)


def index_from_cache(path: Path, stamp: Stamp) -> RecordIndex | None:
    """Read a kept index; None if there is none that fits the stamp."""
    columns = read_cache(path, stamp, COLUMN_TYPES)
    if columns is None:
        return None
    extents = Extents(
        columns["offsets"].astype(np.int64, copy=False),
        columns["stored_bytes"].astype(np.int64, copy=False),
        columns["split"].astype(np.bool_, copy=False),
    )
    labels = columns["labels"].astype(np.float32, copy=False)
    ids = columns["ids"].astype(np.uint64, copy=False)
    fits = _is_sound(extents, labels, ids, stamp.record_bytes)
    return RecordIndex(extents, labels, ids) if fits else None


def _is_sound(extents: Extents, labels: NDArray[np.float32], ids: NDArray[np.uint64], record_bytes: int) -> bool:
    """Whether arrays of a cache file can be an index of a file of this size."""
    count = len(extents.offsets)
    one_column = all(column.shape == (count,) for column in (extents.stored_bytes, extents.split, ids))
    if not (count and one_column and labels.ndim == 2 and labels.shape[0] == count and labels.shape[1] > 0):
        return False
    ends = extents.offsets + extents.stored_bytes
    return bool(
        extents.offsets[0] >= 0
        and (extents.stored_bytes > 0).all()
        and (ends[:-1] <= extents.offsets[1:]).all()
        and ends[-1] <= record_bytes
        and np.isfinite(labels).all()
    )
