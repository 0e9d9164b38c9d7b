"""Runs an example as a user does, in the process of the tests, and small data for it."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from imclass import models
from tests.documentation.pages import ROOT

EXAMPLES = ROOT / "examples"

# The smallest network on small pictures: what examples change to run on a stand-in.
SMALL = (
    *("--set", "num_layers=8"),
    *("--set", "image_shape=3,16,16"),
    *("--set", "mini_batch_size=8"),
    *("--set", "augmentation_type=none"),
)

RunExample = Callable[..., str]


@pytest.fixture
def run_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunExample:
    """Runs `python examples/NAME ARGUMENTS` and gives what it printed."""

    def run(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        monkeypatch.syspath_prepend(str(EXAMPLES))
        capsys.readouterr()
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file of random weights in the place of public ones: 18 layers, 1,000 classes."""
    network = models.build("resnet_v1", 18, (3, 224, 224), 1000)
    models.initialise(network, torch.Generator().manual_seed(1))
    path = tmp_path / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return path
