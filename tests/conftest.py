"""Fixtures that several rooms share."""

import itertools
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from imclass import artifact
from imclass.models import build, initialise
from tests.remote_servers import KEYS, Bucket, s3_server

CLASS_NAMES = ("cat", "dog", "owl")

_numbers = itertools.count()

SaveModel = Callable[..., Path]

# Shells start what runs in the background with Ctrl-C ignored, and processes that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def save_model(tmp_path: Path) -> SaveModel:
    """Saves a small network with random weights and gives the path of its file."""
    return partial(save_random_model, tmp_path)


def save_random_model(folder: Path, **changes: object) -> Path:
    """Save a small network with random weights in a folder; returns its file."""
    values: dict[str, object] = {
        "network": "resnet_v2",
        "num_layers": 8,
        "image_shape": (3, 16, 16),
        "num_classes": 3,
        "class_names": CLASS_NAMES,
        **changes,
    }
    network = build(values["network"], values["num_layers"], values["image_shape"], values["num_classes"])  # type: ignore[arg-type]
    initialise(network, torch.Generator().manual_seed(7))
    settle_statistics(network)
    mean, std = network.normalisation
    values["normalisation"] = artifact.Normalisation(mean=tuple(mean), std=tuple(std))
    path = folder / f"model-{len(list(folder.iterdir()))}.tar.gz"
    artifact.save(path, artifact.Description.model_validate(values), network.state_dict())
    return path


@torch.no_grad()
def settle_statistics(network: torch.nn.Module) -> None:
    """Give batch norms the statistics of `random_pixels`, without which the outputs are saturated."""
    channels, height, width = network.image_shape  # type: ignore[union-attr,misc]
    images = np.stack([random_pixels(seed, height, width) for seed in range(100, 132)])
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)[:, :channels].float()
    network.train()
    for _ in range(40):
        network(batch)
    network.eval()


def random_pixels(seed: int, height: int = 16, width: int = 16) -> np.ndarray:
    """(height, width, 3) uint8 RGB noise around a colour that differs from seed to seed."""
    generator = np.random.default_rng(seed)
    colour = generator.integers(40, 216, 3)
    return np.clip(colour + generator.integers(-40, 40, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.fixture
def write_png() -> Callable[[Path, np.ndarray], Path]:
    """Writes (H, W, 3) uint8 RGB pixels as a PNG file, whose folder is made when missing."""

    def write(path: Path, pixels: np.ndarray) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        encoded = cv2.imencode(".png", pixels[:, :, ::-1])[1]
        path.write_bytes(encoded.tobytes())
        return path

    return write


@pytest.fixture
def pixels_of() -> Callable[..., np.ndarray]:
    return random_pixels


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """Address of an S3 server on this machine, in its own process."""
    with s3_server() as url:
        yield url


@pytest.fixture
def bucket(s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket; the AWS variables lead to it, and the cache is empty."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3_url, "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IMCLASS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    return Bucket(s3_url, f"bucket-{next(_numbers)}")


@pytest.fixture
def free_port() -> int:
    """A TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
