"""Reads what MXNet itself wrote: parameter files (.params) of the golden folder, under imclass's names."""

import math
import re
import struct
import tarfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GOLDEN = Path(__file__).parents[1] / "golden"

LIST_MAGIC, ARRAY_MAGIC, FLOAT32 = 0x112, 0xF993FAC9, 0


def read_params(data: bytes) -> dict[str, NDArray[np.float32]]:
    """Arrays by MXNet's name ("arg:conv0_weight"), in the file's order. Dense float32 only."""
    place = 0

    def take(layout: str) -> tuple[int, ...]:
        nonlocal place
        values = struct.unpack_from("<" + layout, data, place)
        place += struct.calcsize("<" + layout)
        return values

    magic, _, count = take("QQQ")
    assert magic == LIST_MAGIC
    arrays = []
    for _ in range(count):
        array_magic, storage, dimensions = take("Iii")
        assert (array_magic, storage) == (ARRAY_MAGIC, 0)
        shape = take(f"{dimensions}q")
        _device, _number, dtype = take("iii")
        assert dtype == FLOAT32
        size = math.prod(shape)
        arrays.append(np.frombuffer(data, "<f4", size, place).reshape(shape))
        place += size * 4
    (names,) = take("Q")
    assert names == count
    by_name = {}
    for array in arrays:
        (length,) = take("Q")
        by_name[data[place : place + length].decode()] = array
        place += length
    return by_name


def imclass_name(name: str) -> str:
    """ "arg:stage1_unit2_bn1_gamma" -> "stage1.1.bn1.weight"."""
    stem, kind = re.fullmatch(r"(?:arg|aux):(.+?)_(weight|bias|gamma|beta|moving_mean|moving_var)", name).groups()
    ours = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_var": "running_var"}
    unit = re.fullmatch(r"stage(\d+)_unit(\d+)_(\w+)", stem)
    if unit:
        stem = f"stage{unit[1]}.{int(unit[2]) - 1}.{unit[3]}"
    return f"{stem}.{ours.get(kind, kind)}"


def state_of(arrays: dict[str, NDArray[np.float32]]) -> dict[str, Tensor]:
    """A state dict of `resnet_v2`; the scale of bn_data, which MXNet stores and ignores, becomes one."""
    state = {imclass_name(name): torch.from_numpy(array.copy()) for name, array in arrays.items()}
    state["bn_data.weight"] = torch.ones_like(state["bn_data.weight"])
    return state


def params_file(folder: Path) -> bytes:
    """The bytes of the only .params file of a folder, or of the archive in it."""
    archive = folder / "model.tar.gz"
    if not archive.exists():
        [path] = folder.glob("*.params")
        return path.read_bytes()
    with tarfile.open(archive) as tar:
        [name] = [name for name in tar.getnames() if name.endswith(".params")]
        return tar.extractfile(name).read()
