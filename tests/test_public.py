"""`import imclass`: instant, and complete when asked."""

import subprocess
import sys

import pytest

import imclass


def test_names() -> None:
    from imclass.errors import UserError
    from imclass.inference.predictor import load
    from imclass.training import train
    from imclass.version import VERSION

    assert imclass.__version__ == VERSION
    assert imclass.train is train
    assert imclass.load is load
    assert imclass.UserError is UserError
    assert {"UserError", "__version__", "load", "train"} <= set(dir(imclass))


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        imclass.trian  # noqa: B018


def test_import_brings_no_heavy_library() -> None:
    program = "import sys, imclass, imclass.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "imclass.cli" in loaded
    assert not {"torch", "cv2", "numpy", "pydantic", "safetensors", "imclass.training"} & set(loaded)
