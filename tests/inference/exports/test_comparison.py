"""Comparison of answers."""

import numpy as np
import pytest
import torch

from imclass.errors import ArtifactError
from imclass.inference.exports.comparison import check_answers
from imclass.inference.exports.program import Program
from imclass.models import build, initialise


def program() -> Program:
    network = build("resnet_v2", 8, (3, 8, 8), 3)
    initialise(network, torch.Generator().manual_seed(0))
    return Program(network, multi_label=False).eval()


def pixels(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)


def probabilities(images: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return program()(torch.from_numpy(images)).numpy()


@pytest.mark.parametrize(("count", "sizes"), [(1, [1, 7, 16]), (24, [1, 7, 16]), (50, [1, 7, 16, 1, 7, 16, 1, 1])])
def test_every_image_is_compared_in_batches_of_several_sizes(count: int, sizes: list[int]) -> None:
    seen = []

    def answer(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return probabilities(images)

    images = pixels(count)
    assert check_answers(program(), answer, images, where="m.onnx") <= 1e-6
    assert [len(batch) for batch in seen] == sizes
    assert np.array_equal(np.concatenate(seen)[:count], images)


def test_small_differences_are_measured() -> None:
    def answer(images: np.ndarray) -> np.ndarray:
        return probabilities(images) * np.float32(1 - 5e-5)

    assert check_answers(program(), answer, pixels(3), where="") == pytest.approx(5e-5, rel=0.1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda rows: rows + 2e-4, "answers otherwise"),
        (lambda rows: rows * np.float32(np.nan), "answers otherwise"),
        (lambda rows: rows[:, :2], "of shape"),
        (lambda rows: np.where(rows < 1e-3, rows / 2, rows), "logarithms by"),
    ],
)
def test_wrong_answers_are_refused(wrong, message: str) -> None:
    sure = program()
    with torch.no_grad():
        sure.network.fc1.bias.copy_(torch.tensor([0.0, 0.0, -40.0]))  # the third class is nearly impossible

    def answer(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return wrong(sure(torch.from_numpy(images)).numpy())

    with pytest.raises(ArtifactError, match=message):
        check_answers(sure, answer, pixels(3), where="m.onnx")
