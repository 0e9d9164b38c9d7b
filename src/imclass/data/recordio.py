"""RecordIO, the container of MXNet's `.rec` files, and the image header inside its records.

A `.rec` file is a row of *parts* without any header or trailer. All numbers are little-endian::

    byte      0         4                    8              8+n      8+n+padding
              +---------+--------------------+--------------+---------+
    part      |  magic  | kind:3 | length:29 | data, n bytes| zeros   |
              +---------+--------------------+--------------+---------+
              0A 23 D7 CE   top 3   low 29                   0..3, up to a multiple of 4

    kind 0    the whole record
    kind 1    first part, kind 2 middle part, kind 3 last part of a record that was split

A writer looks at a record in steps of 4 bytes. Wherever such a word equals the magic, the word is left out
and a new part begins; a reader puts it back between two parts. So the magic stands at an aligned place of a
file only where a part begins. A record is shorter than 2^29 bytes.

An image record holds::

    byte      0        4         8        16        24          24+4*flag
              +--------+---------+--------+---------+-----------+----------------+
    record    |  flag  |  label  |   id   |   id2   |  labels   |  JPEG or PNG   |
              +--------+---------+--------+---------+-----------+----------------+
              uint32    float32   uint64   uint64    float32 x flag

    flag 0    one label, in the header
    flag k    k labels after the header (the label in the header is 0)
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from imclass.errors import DataError

MAGIC = 0xCED7230A
MAGIC_BYTES = MAGIC.to_bytes(4, "little")
LENGTH_BITS = 29
LENGTH_MASK = (1 << LENGTH_BITS) - 1
RECORD_LIMIT = 1 << LENGTH_BITS
"""A record must be shorter than this many bytes."""

Buffer = TypeVar("Buffer", bytes, memoryview)

PART_HEAD = struct.Struct("<II")
IMAGE_HEADER = struct.Struct("<IfQQ")


class PartKind(IntEnum):
    """What a part is to its record: the top three bits of the second word of a part."""

    WHOLE = 0
    FIRST = 1
    MIDDLE = 2
    LAST = 3


def place(name: str, offset: int) -> str:
    """Name a byte of a file in the way all messages do."""
    return f"{name}, byte {offset}"


def padding(length: int) -> int:
    """Number of zero bytes that follow `length` bytes of data."""
    return -length % 4


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """The 24 bytes at the start of an image record.

    Attributes:
        flag: 0 for a single label in the header, else the number of float32 labels that follow it.
        label: the single label; 0 when flag is not 0.
        id: the number of the image, as in the first column of a `.lst` file.
        id2: a second number that MXNet keeps and nobody uses, normally 0.
    """

    flag: int
    label: float
    id: int
    id2: int = 0

    def pack(self) -> bytes:
        """Return the 24 bytes."""
        return IMAGE_HEADER.pack(self.flag, self.label, self.id, self.id2)

    @classmethod
    def unpack(cls, record: bytes | memoryview, where: str) -> Self:
        """Read the header at the start of a record.

        Raises:
            DataError: the record has fewer than 24 bytes. `where` names it.
        """
        if len(record) < IMAGE_HEADER.size:
            raise DataError(
                f"a record of {len(record)} bytes is too short for the {IMAGE_HEADER.size}-byte image header",
                where=where,
                fix="Pack the images with MXNet's im2rec; plain RecordIO files hold no labels.",
            )
        return cls(*IMAGE_HEADER.unpack_from(record))


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image with its labels, as stored.

    Attributes:
        header: the first 24 bytes.
        labels: (L,) float32; the single label of the header, or the label array.
        image: the encoded image; may be empty.
    """

    header: ImageHeader
    labels: NDArray[np.float32]
    image: bytes

    def pack(self) -> bytes:
        """Return the bytes of the record, the inverse of `unpack_image`."""
        array = self.labels.astype("<f4").tobytes() if self.header.flag else b""
        return self.header.pack() + array + self.image


def pack_image(label: float | Sequence[float] | NDArray[np.float32], image: bytes, image_id: int) -> bytes:
    """Make an image record as MXNet's `recordio.pack` does.

    Args:
        label: a number is stored in the header (flag 0), a sequence of numbers after it (flag = how many). An
            empty sequence becomes the single label 0.
        image: the encoded image.
        image_id: 0 to 2^64 - 1.
    """
    values = np.asarray(label, dtype=np.float32)
    if values.ndim == 0:
        header = ImageHeader(flag=0, label=float(values), id=image_id)
    else:
        header = ImageHeader(flag=values.size, label=0.0, id=image_id)
    return ImageRecord(header, values.reshape(-1), image).pack()


def unpack_image(record: bytes, where: str) -> ImageRecord:
    """Read an image record; `where` names it in errors.

    Raises:
        DataError: the record is too short for its header or for the labels that the header announces.
    """
    header = ImageHeader.unpack(record, where)
    start = IMAGE_HEADER.size
    end = start + 4 * header.flag
    if end > len(record):
        raise too_many_labels(header.flag, len(record), where)
    labels = np.frombuffer(record[start:end], dtype="<f4") if header.flag else np.array([header.label])
    return ImageRecord(header, labels.astype(np.float32), record[end:])


def image_of(record: Buffer, where: Callable[[], str]) -> Buffer:
    """Return the image of an image record alone, which is quicker than `unpack_image`; `where` names it in errors.

    The image of a view is a view.

    Raises:
        DataError: as `unpack_image`.
    """
    if len(record) < IMAGE_HEADER.size:
        ImageHeader.unpack(record, where())
    start = IMAGE_HEADER.size + 4 * int.from_bytes(record[:4], "little")
    if start > len(record):
        raise too_many_labels((start - IMAGE_HEADER.size) // 4, len(record), where())
    return record[start:]


def too_many_labels(flag: int, length: int, where: str) -> DataError:
    """The error of a header that announces more labels than its record has room for."""
    return DataError(
        f"the image header announces {flag} labels, but the record has only {length} bytes",
        where=where,
        fix="The file is damaged or was not made for images; pack it again.",
    )
