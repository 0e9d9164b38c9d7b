"""Reads the images of many records at once, into memory that is used again for the next batch.

`RecordFile.read` gives each record memory of its own, and copies the image out of it. At 10,000 images a second both
cost more than the reading: the system has to find, clear and map fresh pages for a gigabyte a second. Here the records
lie one after the other in one buffer as they do in a file, and the images are views of it:

    byte      start     +4                   +8       +12       +32         +32+4*flag   +8+length
              +---------+--------------------+--------+---------+-----------+------------+---------+
    buffer    |  magic  | kind:3 | length:29 |  flag  |   ...   |  labels   |   image    |  zeros  |  the next record
              +---------+--------------------+--------+---------+-----------+------------+---------+

`imclass.data.recordio` shows the fields. Nothing of a record is believed before it is checked.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imclass.data.recordio import IMAGE_HEADER, LENGTH_BITS, LENGTH_MASK, MAGIC, PART_HEAD
from imclass.data.recordio_reader import RecordFile
from imclass.data.reused_memory import ReusedMemory

_NOT_WAITING: int = getattr(os, "RWF_NOWAIT", 0)  # 0 where the system has no such flag
_CAN_ADVISE = hasattr(os, "posix_fadvise")


def read_images(
    files: Sequence[RecordFile],
    numbers: NDArray[np.int64],
    offsets: NDArray[np.int64],
    stored_bytes: NDArray[np.int64],
    memory: ReusedMemory,
) -> list[memoryview | None]:
    """Read the images of n records.

    Args:
        files: where the records are.
        numbers: (n,) which of the files each record is in.
        offsets: (n,) byte offset of each in its file.
        stored_bytes: (n,) its stored length, padding included.
        memory: holds the images until it is used again.

    Returns:
        The encoded image of each record, a view of `memory`; None for a record that is not whole and in one part, or
        that holds no image. `RecordSource` reads or refuses such a record by itself, and says why.
    """
    sizes = np.array([file.status().st_size for file in files], np.int64)
    is_inside = (stored_bytes >= PART_HEAD.size + IMAGE_HEADER.size) & (stored_bytes % 4 == 0)
    is_inside &= (offsets >= 0) & (offsets + stored_bytes <= sizes[numbers])
    chosen = np.flatnonzero(is_inside)
    lengths = stored_bytes[chosen]
    stops = np.cumsum(lengths)
    starts = stops - lengths
    buffer = memory.array((int(lengths.sum()),))
    places = zip(numbers[chosen].tolist(), offsets[chosen].tolist(), starts.tolist(), stops.tolist(), strict=True)
    pieces = [_Piece(files[file].descriptor, offset, buffer.data[start:stop]) for file, offset, start, stop in places]
    is_read = _read(pieces)
    first, end, is_whole = _image_places(buffer, starts, lengths)
    images: list[memoryview | None] = [None] * len(offsets)
    good = np.flatnonzero(is_read & is_whole)
    for record, start, stop in zip(chosen[good].tolist(), first[good].tolist(), end[good].tolist(), strict=True):
        images[record] = buffer.data[start:stop]
    return images


class _Piece(NamedTuple):
    """Bytes of a file that go to a place in memory."""

    descriptor: int
    offset: int
    target: memoryview


def _read(pieces: Sequence[_Piece]) -> NDArray[np.bool_]:
    """(n,) which pieces were read.

    What the system has in memory is copied at once. All the rest it is asked for before the first of it is waited
    for, so that a disk can fetch many at the same time.
    """
    is_read = np.array([_try_to_read(piece, _NOT_WAITING) for piece in pieces], np.bool_)
    missing = np.flatnonzero(~is_read).tolist()
    if _CAN_ADVISE:
        for descriptor, offset, target in map(pieces.__getitem__, missing):
            with suppress(OSError):  # a file system that takes no advice is read without it
                os.posix_fadvise(descriptor, offset, len(target), os.POSIX_FADV_WILLNEED)
    for number in missing:
        is_read[number] = _try_to_read(pieces[number], 0)
    return is_read


def _try_to_read(piece: _Piece, flags: int) -> bool:
    """Whether a piece could be read. If not, `RecordFile.read` meets the same error later and names the file."""
    try:
        return os.preadv(piece.descriptor, [piece.target], piece.offset, flags) == len(piece.target)
    except OSError:
        return False


def _image_places(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """First and end byte of the image of each record in the buffer, and whether the record is as it should be."""
    words = buffer[: len(buffer) // 4 * 4].view("<u4")
    magic, word, flag = (words[starts // 4 + place].astype(np.int64) for place in range(3))
    record_bytes = word & LENGTH_MASK
    first = starts + PART_HEAD.size + IMAGE_HEADER.size + 4 * flag
    end = starts + PART_HEAD.size + record_bytes
    is_whole = (magic == MAGIC) & (word >> LENGTH_BITS == 0) & (first < end)
    is_whole &= PART_HEAD.size + record_bytes + -record_bytes % 4 == lengths
    return first, end, is_whole
