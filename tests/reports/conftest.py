"""A run to report on: a small network, trained for two epochs on small pictures."""

import shutil
from pathlib import Path

import pytest
import torch

from imclass.training import train
from tests.pictures import write_class_folders

SETTINGS = {"image_shape": "3,16,16", "num_layers": 8, "epochs": 2, "mini_batch_size": 12, "seed": 3}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training and validation images of three classes. One is in both, and `dots/100.png` of validation is no image."""
    root = tmp_path_factory.mktemp("photos")
    train_folder = write_class_folders(root / "train", 12)
    validation = write_class_folders(root / "validation", 6, first=100)
    shutil.copy(train_folder / "bars" / "003.png", validation / "rings" / "seen.png")
    (validation / "dots" / "100.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="session")
def finished_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a run; tests must not change it."""
    output = tmp_path_factory.mktemp("runs") / "run1"
    settings = SETTINGS | {"bad_image_limit": 0.5}
    train(photos, output=output, hyperparameters=settings, device="cpu", threads=1, quiet=True)
    return output


@pytest.fixture
def run_folder(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of that folder, for tests that write to it."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))
