"""A model and small photographs to transform."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from imclass.inference.transform import Computing

CPU = Computing(device="cpu", threads=2, batch_size=8)


@pytest.fixture
def model(save_model: Callable[..., Path]) -> Path:
    return save_model()


@pytest.fixture
def photos(tmp_path: Path, pixels_of: Callable[..., np.ndarray]) -> Path:
    """150 images, which are three pieces, in folders of different depth."""
    return write_photos(tmp_path / "photos", 150, pixels_of)


def write_photos(root: Path, count: int, pixels_of: Callable[..., np.ndarray]) -> Path:
    """`root/F/NNNN.png` for F of three folders, one below the other two."""
    for number in range(count):
        path = root / ("a", "b", "b/deep")[number % 3] / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", pixels_of(number)[:, :, ::-1])[1].tobytes())
    return root


def relative_files(folder: Path) -> list[str]:
    """All files in a folder, hidden ones too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
