"""Writes `.params`, the named arrays that MXNet loads, in its current version V2.

    0x112 (8)   0 (8)   N (8)   N arrays   N (8)   N names: length (8), UTF-8 bytes

    array:   0xF993FAC9 (4)   storage 0, dense (4)   dimensions d (4)   sides (8d)   device 1, 0: the CPU (8)
             element type (4)   values in C order

All numbers are little-endian and nothing is aligned. `params_reader` describes what else there is.
"""

import struct
from collections.abc import Mapping

import torch
from torch import Tensor

from imclass.models.mxnet.params_format import DTYPES, LIST_MAGIC, V2_MAGIC

NUMBERS = {dtype: number for number, dtype in DTYPES.items()}
DENSE = 0
CPU = (1, 0)


def write_params(arrays: Mapping[str, Tensor]) -> bytes:
    """The bytes of a file.

    Args:
        arrays: by name ("arg:conv0_weight", "aux:bn0_moving_mean"), on the CPU, at least one side each.
    """
    parts = [struct.pack("<QQQ", LIST_MAGIC, 0, len(arrays))]
    for tensor in arrays.values():
        parts += [_head(tensor), _values(tensor)]
    parts.append(struct.pack("<Q", len(arrays)))
    for name in arrays:
        encoded = name.encode()
        parts += [struct.pack("<Q", len(encoded)), encoded]
    return b"".join(parts)


def _head(tensor: Tensor) -> bytes:
    assert tensor.ndim > 0, "V2 has no scalars: no side means no value"
    sides = struct.pack(f"<{tensor.ndim}q", *tensor.shape)
    return struct.pack("<Iii", V2_MAGIC, DENSE, tensor.ndim) + sides + struct.pack("<iii", *CPU, NUMBERS[tensor.dtype])


def _values(tensor: Tensor) -> bytes:
    """Seen as bytes, because numpy has no bfloat16."""
    values: bytes = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return values
