"""Fixtures that several rooms share."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from imclass import artifact
from imclass.models import build, initialise

CLASS_NAMES = ("cat", "dog", "owl")

SaveModel = Callable[..., Path]


@pytest.fixture
def save_model(tmp_path: Path) -> SaveModel:
    """Saves a small network with random weights and gives the path of its file."""

    def save(**changes: object) -> Path:
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
        path = tmp_path / f"model-{len(list(tmp_path.iterdir()))}.tar.gz"
        artifact.save(path, artifact.Description.model_validate(values), network.state_dict())
        return path

    return save


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
