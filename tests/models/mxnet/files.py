"""Files of MXNet: golden ones, and small ones put together byte by byte."""

import struct
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from tests.models.mxnet_golden import GOLDEN

MODELS = GOLDEN / "models"
# 70 MB with all versions of them, so a checkout does not carry these; they lie beside it where they were made.
LARGE_MODELS = Path(__file__).resolve().parents[4] / "shared" / "golden" / "models"

V0, V1, V2, V3 = None, 0xF993FAC8, 0xF993FAC9, 0xF993FACA
NUMPY_TYPES = ("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8", "?", "<i2", "<u2", "<u4", "<u8")


def large(name):
    """A golden folder that not every checkout has, as a test parameter."""
    missing = not (LARGE_MODELS / name).exists()
    return pytest.param(
        LARGE_MODELS / name,
        id=name,
        marks=pytest.mark.skipif(missing, reason=f"the large golden model {name} is not beside this checkout"),
    )


SMALL_MODELS = ("resnet20_28", "resnet20_28_fc", "resnet20_28_logistic", "resnet20_28_fp16")
FOLDERS = [
    *(pytest.param(MODELS / name, id=name) for name in SMALL_MODELS),
    large("resnet18_64"),
    large("resnet164_28"),
]


def symbol_of(folder):
    """The symbol of a golden folder in today's dialect."""
    [path] = [path for path in folder.glob("*-symbol.json") if not path.name.startswith("legacy")]
    return path


def params_of(folder):
    [path] = folder.glob("*.params")
    return path


def array_bytes(values, version=V2, dtype=None, device=(1, 0)):
    """One array as MXNet stores it."""
    values = np.asarray(values)
    number = [np.dtype(name) for name in NUMPY_TYPES].index(values.dtype) if dtype is None else dtype
    sides = struct.pack(f"<{values.ndim}{'I' if version is V0 else 'q'}", *values.shape)
    head = b"" if version is V0 else struct.pack("<I", version)
    head += struct.pack("<i", 0) if version in (V2, V3) else b""
    return head + struct.pack("<i", values.ndim) + sides + struct.pack("<iii", *device, number) + values.tobytes()


def list_bytes(arrays, names=None, count=None):
    """A whole file of arrays that are bytes already."""
    head = struct.pack("<QQQ", 0x112, 0, len(arrays) if count is None else count)
    encoded = [name if isinstance(name, bytes) else name.encode() for name in names or ()]
    tail = b"".join(struct.pack("<Q", len(name)) + name for name in encoded)
    return head + b"".join(arrays) + struct.pack("<Q", len(encoded)) + tail


def same(tensor: Tensor, values) -> bool:
    return tensor.shape == np.shape(values) and bool((tensor.numpy() == values).all())
