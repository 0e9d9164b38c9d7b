"""A backend is what the user says, or the fastest that agrees with validation."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from imclass import artifact
from imclass.errors import UserError
from imclass.inference.serving import choosing
from imclass.inference.serving.backends import BACKENDS, Backend, BackendKind, LoadedModel
from imclass.inference.serving.choosing import choose, generated_images

CPU = torch.device("cpu")


@pytest.fixture
def model(save_model: Callable[..., Path]) -> LoadedModel:
    return LoadedModel(*artifact.load(save_model()))


class Shifted:
    """torch's answers, with an error and a delay."""

    concurrency = 1
    device = "cpu"

    def __init__(self, name: str, model: LoadedModel, precision: str, error: float, delay: float) -> None:
        self.name = name
        self.precision = precision
        self.is_closed = False
        self._torch = BACKENDS["torch"].open(model, CPU, "float32", 64)
        self._error = error
        self._delay = delay

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(self._delay)
        return (self._torch.predict(pixels) + self._error).astype(np.float32)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Shifted]:
    """Backends beside torch: one quick and wrong, one slow and right; and all that were opened of them."""
    made: list[Shifted] = []

    def kind(name: str, error: float, delay: float, missing: str | None = None) -> BackendKind:
        def open_shifted(model: LoadedModel, device: torch.device, precision: str, max_batch: int) -> Backend:
            made.append(Shifted(name, model, precision, error, delay))
            return made[-1]

        return BackendKind(name, lambda: missing, lambda model, device: ("float32",), open_shifted)

    monkeypatch.setattr(choosing, "MEASURED_SECONDS", 0.05)
    monkeypatch.delitem(BACKENDS, "openvino")
    for added in (kind("wrong", 0.01, 0), kind("slow", 0, 0.2), kind("absent", 0, 0, "it is not installed")):
        monkeypatch.setitem(BACKENDS, added.name, added)
    return made


def test_what_the_user_says_is_not_measured(model: LoadedModel) -> None:
    backend, candidates = choose(model, CPU, backend="torch", precision="float32", max_batch=4)
    assert (backend.name, backend.precision, backend.device, candidates) == ("torch", "float32", "cpu", [])


def test_auto_takes_the_fastest_that_agrees(
    model: LoadedModel, opened: list[Shifted], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "imclass")
    backend, candidates = choose(model, CPU, backend="auto", precision="float32", max_batch=4)
    assert backend.name == "torch"
    assert [candidate.backend for candidate in candidates] == ["torch", "wrong", "slow"]
    assert [candidate.verdict for candidate in candidates] == ["agrees", "differs by more than 0.0001", "agrees"]
    assert candidates[1].largest_difference == pytest.approx(0.01, abs=1e-4)
    assert candidates[0].images_per_second > candidates[2].images_per_second > 0
    assert [(each.name, each.is_closed) for each in opened] == [("wrong", True), ("slow", True)]
    assert "differs by more than" in caplog.text


def test_nothing_agrees(model: LoadedModel, opened: list[Shifted], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(choosing.BACKENDS, "slow")
    monkeypatch.setitem(choosing.TOLERANCES, "float32", -1.0)
    with pytest.raises(UserError, match="no backend agrees"):
        choose(model, CPU, backend="auto", precision="float32", max_batch=4)
    assert opened[0].is_closed


@pytest.mark.parametrize(
    ("backend", "precision", "said"),
    [
        ("absent", "float32", "it is not installed"),
        ("tensorflow", "float32", "there is no backend 'tensorflow'"),
        ("torch", "int8", "the backend torch does not compute this model in int8 on cpu"),
        ("torch", "float64", "--backend torch with --precision float32"),
    ],
)
def test_what_cannot_be_had(model: LoadedModel, opened: list[Shifted], backend: str, precision: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        choose(model, CPU, backend=backend, precision=precision, max_batch=4)
    assert said in str(caught.value)


@pytest.mark.parametrize("shape", [(3, 20, 30), (1, 8, 8)])
def test_generated_images(shape: tuple[int, int, int]) -> None:
    images = generated_images(shape)
    channels, height, width = shape
    assert images.shape == (16, height, width, channels)
    assert images.dtype == np.uint8
    assert images.std() > 30
    np.testing.assert_array_equal(images, generated_images(shape))
