"""Reads `.params`, the named arrays that MXNet saves. All numbers are little-endian, nothing is aligned.

    offset  size
         0     8  list magic 0x112
         8     8  reserved, 0
        16     8  number of arrays N
        24        N arrays, see below
               8  number of names: N, or 0 for arrays without names
                  for each name: its length (8) and its bytes, UTF-8

    array V2 (since MXNet 1.0)            V1                        V0 (oldest)
     4  magic 0xF993FAC9                   4  magic 0xF993FAC8
     4  storage: 0 dense, else sparse
     4  number of dimensions d             4  d                      4  d
    8d  sides, int64                      8d  sides, int64          4d  sides, uint32
     8  kind and number of the device      8  device                 8  device
     4  element type, see `DTYPES`         4  element type           4  element type
        values, C order                       values                    values

V3 (0xF993FACA, numpy semantics) is laid out as V2, but there d = 0 is a scalar and d = -1 an array without a value;
in the others d = 0 is an array without a value, and nothing follows it.

No length is believed: each is compared with what is left of the file before memory is set aside.
"""

import math
import struct
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from imclass.errors import ArtifactError
from imclass.models.mxnet.params_format import DTYPES, LIST_MAGIC, V1_MAGIC, V2_MAGIC, V3_MAGIC

MOST_DIMENSIONS: Final = 32
SMALLEST_ARRAY: Final = 4  # bytes; V0 without a value
SPARSE: Final = {1: "row_sparse", 2: "csr"}

COPY_AGAIN: Final = "Copy or download the file again."


def read_params(data: bytes, where: str = ".params") -> dict[str, Tensor]:
    """All arrays by name ("arg:conv0_weight", "aux:bn0_moving_mean"), in the file's order.

    Args:
        data: the whole file.
        where: its name, for messages.

    Returns:
        Tensors on the CPU with the file's element types and own storage.

    Raises:
        ArtifactError: the file is cut, damaged, or holds sparse arrays; the message gives the byte offset.
    """
    file = _File(memoryview(data), where)
    magic, _reserved, count = file.take("QQQ", "the head of the file")
    if magic != LIST_MAGIC:
        raise file.damaged(f"starts with {magic:#x} instead of {LIST_MAGIC:#x}, so it is no MXNet .params file", 0)
    if count > file.left // SMALLEST_ARRAY:
        raise file.damaged(f"promises {count:,} arrays, more than fit into it", 16)
    arrays = [_read_array(file) for _ in range(count)]
    return dict(zip(_read_names(file, count), arrays, strict=True))


@dataclass
class _File:
    """Bytes that are taken from front to back."""

    data: memoryview
    where: str
    place: int = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.place

    def take(self, layout: str, what: str) -> tuple[int, ...]:
        """Numbers in `struct` notation."""
        return struct.unpack("<" + layout, self.take_bytes(struct.calcsize("<" + layout), what))

    def take_bytes(self, size: int, what: str) -> memoryview:
        if size > self.left:
            raise self.damaged(f"ends early: {what} needs {size:,} bytes, {self.left:,} are left")
        self.place += size
        return self.data[self.place - size : self.place]

    def damaged(self, what: str, place: int | None = None) -> ArtifactError:
        """The error for something wrong at a byte offset, the current one unless said otherwise."""
        offset = self.place if place is None else place
        return ArtifactError(f"the file {what}", where=f"{self.where}, byte {offset}", fix=COPY_AGAIN)


def _read_array(file: _File) -> Tensor:
    start = file.place
    shape = _read_shape(file)
    file.take("ii", "a device")  # where the array was; it is read to the CPU anyway
    place = file.place
    (number,) = file.take("i", "an element type")
    dtype = DTYPES.get(number)
    if dtype is None:
        raise file.damaged(f"has an array of the unknown element type {number}", place)
    size = math.prod(shape) * dtype.itemsize
    values = file.take_bytes(size, f"the array at byte {start}, of shape {shape} and type {dtype},")
    # A copy, because the values lie at any offset, and because the bytes are not ours to change.
    if not size:
        return torch.empty(shape, dtype=dtype)
    if dtype == torch.bool:
        return torch.frombuffer(bytearray(values), dtype=torch.uint8).reshape(shape) != 0
    return torch.frombuffer(bytearray(values), dtype=dtype).reshape(shape)


def _read_shape(file: _File) -> tuple[int, ...]:
    """Everything of an array that comes before its device."""
    start = file.place
    (magic,) = file.take("I", "an array")
    if magic in (V2_MAGIC, V3_MAGIC):
        (storage,) = file.take("i", "a storage type")
        if storage:
            raise ArtifactError(
                f"the array is sparse ({SPARSE.get(storage, f'storage type {storage}')}); only dense arrays are read",
                where=f"{file.where}, byte {start}",
                fix="Save the model with dense arrays: array.tostype('default') in MXNet.",
            )
    place = file.place
    dimensions = file.take("i", "the number of dimensions")[0] if magic in (V1_MAGIC, V2_MAGIC, V3_MAGIC) else magic
    if dimensions == (-1 if magic == V3_MAGIC else 0):
        raise file.damaged("has an array without a value", start)
    if not 0 <= dimensions <= MOST_DIMENSIONS:
        if magic == dimensions:
            raise file.damaged(f"has no array where one is expected, but {magic:#010x}", start)
        raise file.damaged(f"has an array of {dimensions} dimensions", place)
    sides = file.take(f"{dimensions}{'I' if magic == dimensions else 'q'}", "the shape of an array")
    if any(side < 0 for side in sides):
        raise file.damaged(f"has an array of the impossible shape {sides}", start)
    # MXNet's own largest size; a product that only zeros keep small would upset torch.
    if math.prod(max(side, 1) for side in sides) >= 1 << 62:
        raise file.damaged(f"has an array of the impossible shape {sides}", start)
    return sides


def _read_names(file: _File, count: int) -> list[str]:
    place = file.place
    (number,) = file.take("Q", "the number of names")
    if number != count:
        what = "no names for its arrays" if number == 0 else f"{number:,} names for {count:,} arrays"
        raise file.damaged(f"has {what}", place)
    names: dict[str, None] = {}
    for _ in range(count):
        place = file.place
        (length,) = file.take("Q", "the length of a name")
        data = file.take_bytes(length, "a name")
        try:
            name = str(data, "utf-8")
        except UnicodeDecodeError as error:
            raise file.damaged("has a name that is not UTF-8", place) from error
        if name in names:
            raise file.damaged(f"has two arrays called {name!r}", place)
        names[name] = None
    if file.left:
        raise file.damaged(f"goes on for {file.left:,} bytes behind its end")
    return list(names)
