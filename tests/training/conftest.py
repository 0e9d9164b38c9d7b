import os
from pathlib import Path

import pytest
import torch

from tests.pictures import write_class_folders

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported, which some test files do


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with 24 pictures of each of three classes."""
    return write_class_folders(tmp_path_factory.mktemp("photos"), 24)


@pytest.fixture(scope="session")
def more_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another 8 of each."""
    return write_class_folders(tmp_path_factory.mktemp("more"), 8, first=100)
