"""PyTorch as a backend."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from imclass import artifact
from imclass.errors import UserError
from imclass.inference import Predictor
from imclass.inference.serving.backends import BACKENDS, LoadedModel
from imclass.inference.serving.backends.torch_backend import batch_sizes

CPU = torch.device("cpu")
TORCH = BACKENDS["torch"]

needs_bfloat16 = pytest.mark.skipif(
    "bfloat16" not in ("bfloat16" if torch.cpu._is_avx512_bf16_supported() else ""), reason="the CPU has no bfloat16"
)


@pytest.mark.parametrize("network", ["resnet_v2", "resnet_v1"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_float32_is_the_predictor(
    save_model: Callable[..., Path], pixels_of: Callable[..., np.ndarray], network: str, multi_label: bool
) -> None:
    path = save_model(network=network, multi_label=multi_label)
    pixels = np.stack([pixels_of(seed) for seed in range(5)])
    backend = TORCH.open(LoadedModel(*artifact.load(path)), CPU, "float32", 8)
    answer = backend.predict(pixels)
    assert answer.dtype == np.float32
    np.testing.assert_array_equal(answer, Predictor.load(path, device="cpu").predict(pixels))


@needs_bfloat16
@pytest.mark.parametrize("network", ["resnet_v2", "resnet_v1"])
def test_bfloat16_is_near(save_model: Callable[..., Path], pixels_of: Callable[..., np.ndarray], network: str) -> None:
    model = LoadedModel(*artifact.load(save_model(network=network)))
    pixels = np.stack([pixels_of(seed) for seed in range(20)])
    exact = TORCH.open(model, CPU, "float32", 32).predict(pixels)
    near = TORCH.open(model, CPU, "bfloat16", 32).predict(pixels)
    assert near.dtype == np.float32
    difference = np.abs(near - exact).max()
    assert 0 < difference < 0.05
    # The loaded model is not touched.
    assert all(parameter.dtype == torch.float32 for parameter in model.network.parameters())


def test_precision_that_the_device_does_not_have(save_model: Callable[..., Path]) -> None:
    model = LoadedModel(*artifact.load(save_model()))
    with pytest.raises(UserError, match="does not compute in int8"):
        TORCH.open(model, CPU, "int8", 8)


@pytest.mark.parametrize(
    ("most", "sizes"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (16, [1, 2, 4, 8, 16]), (48, [1, 2, 4, 8, 16, 32, 48])]
)
def test_batch_sizes(most: int, sizes: list[int]) -> None:
    assert batch_sizes(most) == sizes


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
# On a GPU, float32 convolutions round their factors to TF32, as in training and validation there.
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bfloat16", 0.05)])
def test_recorded_kernels_give_the_answers_of_the_cpu(
    save_model: Callable[..., Path], pixels_of: Callable[..., np.ndarray], precision: str, tolerance: float
) -> None:
    model = LoadedModel(*artifact.load(save_model()))
    exact = TORCH.open(model, CPU, "float32", 8)
    backend = TORCH.open(model, torch.device("cuda", 0), precision, 8)
    for count in (1, 2, 3, 8, 5, 1):
        pixels = np.stack([pixels_of(seed) for seed in range(count)])
        np.testing.assert_allclose(backend.predict(pixels), exact.predict(pixels), atol=tolerance)
    backend.close()
