"""Runs that start from public weights, fetched from a hub on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save

from imclass import artifact, models
from tests.models.hub_server import hub
from tests.pictures import write_class_folders

DEADLINE = 120.0


@pytest.fixture(scope="module")
def weights() -> bytes:
    """A complete resnet_v1 of 18 layers and 1,000 classes, as the hub has them."""
    model = models.build("resnet_v1", 18, (3, 224, 224), 1000)
    models.initialise(model, torch.Generator().manual_seed(1))
    return save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_class_folders(tmp_path_factory.mktemp("photographs"), 6, side=96)


def run(photographs: Path, output: Path, cache: Path, endpoint: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "imclass", "train", str(photographs), "--output", str(output)]
    settings = ["--epochs", "1", "--image-shape", "3,72,72", "--mini-batch-size", "7", "--device", "cpu", "--no-report"]
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *settings, *more], env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False
    )


def test_only_the_last_layer_is_new(photographs: Path, tmp_path: Path, weights: bytes) -> None:
    public = models.PRETRAINED[18]
    with hub({f"{public.repository}/{public.filename}": weights}) as (endpoint, requests):
        done = run(photographs, tmp_path / "out", tmp_path / "cache", endpoint, "--learning-rate", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(request.startswith("GET") for request in requests)
    assert "Loaded 120 tensors: conv1.weight, " in done.stdout
    assert "New, with random weights: fc.weight, fc.bias" in done.stdout
    assert "Skipped in the file: fc.bias, fc.weight" in done.stdout
    description, model = artifact.load(tmp_path / "out/model.tar.gz")
    assert description.network == "resnet_v1"
    (tmp_path / "weights.safetensors").write_bytes(weights)
    before, after = load_file(tmp_path / "weights.safetensors"), model.state_dict()
    assert torch.equal(before["layer3.1.conv2.weight"], after["layer3.1.conv2.weight"])
    assert after["fc.weight"].shape == (3, 512)


def test_without_a_hub_people_train_from_scratch_and_are_told(photographs: Path, tmp_path: Path) -> None:
    done = run(photographs, tmp_path / "out", tmp_path / "cache", "http://127.0.0.1:9", "--num-layers", "18")
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line for line in done.stdout.splitlines() if "Training from scratch" in line]
    assert len(told) == 1
    assert "WARNING" in told[0]
    assert "Performing random weight initialization" in done.stdout


def test_weights_asked_for_by_name_must_be_there(photographs: Path, tmp_path: Path) -> None:
    cases = {
        "hub": ["--use-pretrained-model", "1"],
        "file": ["--pretrained", str(tmp_path / "nothing.safetensors")],
    }
    for name, options in cases.items():
        done = run(photographs, tmp_path / name, tmp_path / "cache", "http://127.0.0.1:9", *options)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "imclass: error: " in done.stderr
        assert "Traceback" not in done.stderr
