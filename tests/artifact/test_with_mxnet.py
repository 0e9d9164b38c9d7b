"""What imclass writes, loaded and run by MXNet itself; only when asked (`make test-mxnet`), as MXNet needs an
environment of its own with an old NumPy."""

import os
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from imclass import artifact
from imclass.artifact import Description, Normalisation
from imclass.models import build, initialise
from tests.artifact.packing import describe
from tests.models.mxnet.files import MODELS

PYTHON = os.environ.get("IMCLASS_MXNET_PYTHON")
SCRIPT = Path(__file__).with_name("mxnet_answers.py")

pytestmark = pytest.mark.skipif(not PYTHON, reason="IMCLASS_MXNET_PYTHON does not name a Python that has MXNet")


def answers_of_mxnet(archive, epoch, images, folder):
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    np.save(folder / "input.npy", images)
    prefix, output = folder / "image-classification", folder / "output.npy"
    command = [PYTHON, SCRIPT, prefix, str(epoch), folder / "input.npy", output]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    return np.load(output)


@torch.inference_mode()
def answers_of_imclass(network, images, multi_label):
    logits = network.eval()(torch.from_numpy(images))
    return (logits.sigmoid() if multi_label else logits.softmax(1)).numpy()


def network_with_statistics(depth, shape, classes, images):
    """Random weights, and the statistics of the images, without which outputs are 0 and 1."""
    network = build("resnet_v2", depth, shape, classes)
    initialise(network, torch.Generator().manual_seed(3))
    network.train()
    with torch.no_grad():
        for _ in range(40):
            network(torch.from_numpy(images))
        network.fc1.weight.mul_(0.2)
    return network.eval()


@pytest.mark.parametrize(
    ("depth", "shape", "multi_label"),
    [
        (8, (3, 16, 16), False),
        (20, (1, 28, 28), True),
        (164, (3, 20, 20), False),
        (18, (3, 32, 32), False),
        (18, (3, 70, 50), True),
        (50, (3, 64, 64), False),
    ],
)
def test_mxnet_gives_the_same_probabilities(tmp_path, depth, shape, multi_label):
    images = np.random.default_rng(1).integers(0, 256, (6, *shape)).astype(np.float32)
    network = network_with_statistics(depth, shape, 5, images)
    normalisation = Normalisation(mean=(0.0,) * shape[0], std=(1.0,) * shape[0])
    description = Description(
        network="resnet_v2",
        num_layers=depth,
        image_shape=shape,
        num_classes=5,
        multi_label=multi_label,
        normalisation=normalisation,
        epoch=7,
    )
    artifact.save_mxnet(tmp_path / "model.tar.gz", description, network.state_dict(), torch.from_numpy(images))
    theirs = answers_of_mxnet(tmp_path / "model.tar.gz", 7, images, tmp_path)
    ours = answers_of_imclass(network, images, multi_label)
    assert ours.std() > 0.01
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5)


def test_an_archive_of_both_kinds_is_read(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (6, 3, 16, 16)).astype(np.float32)
    network = network_with_statistics(8, (3, 16, 16), 3, images)
    archive = tmp_path / "model.tar.gz"
    artifact.save_mxnet(archive, describe(), network.state_dict(), torch.from_numpy(images), own_too=True)
    theirs = answers_of_mxnet(archive, describe().epoch, images, tmp_path)
    np.testing.assert_allclose(theirs, answers_of_imclass(network, images, False), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet20_28", "resnet20_28_fc", "resnet20_28_logistic", "resnet20_28_fp16"])
def test_golden_models_come_back_to_mxnet(tmp_path, name):
    folder = MODELS / name
    description, state = artifact.read(folder / "model-symbol.json", image_shape=(3, 28, 28))
    images = np.load(folder / "input.npy")
    artifact.save_mxnet(tmp_path / "model.tar.gz", description, state, torch.from_numpy(images))
    theirs = answers_of_mxnet(tmp_path / "model.tar.gz", description.epoch, images, tmp_path)
    np.testing.assert_allclose(theirs, np.load(folder / "output_softmax.npy"), rtol=0, atol=1e-5)
