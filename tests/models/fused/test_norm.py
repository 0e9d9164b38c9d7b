"""The fused operations against PyTorch's own, one after the other, in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from imclass.models.fused import launch
from imclass.models.fused import norm as fused
from tests.models.fused.comparison import assert_close, batch_norm, randoms

Operation = Callable[[Tensor, Tensor, nn.BatchNorm2d], Tensor]

FUSED: dict[str, Operation] = {
    "norm": lambda x, shortcut, by: fused.norm(x, by),
    "norm_relu": lambda x, shortcut, by: fused.norm_relu(x, by),
    "norm_add_relu": lambda x, shortcut, by: fused.norm_add_relu_branch_after(x, shortcut, by)[0],
    "norm_relu_pool": lambda x, shortcut, by: fused.norm_relu_pool(x, by),
}
STEP_BY_STEP: dict[str, Operation] = {
    "norm": lambda x, shortcut, by: by(x),
    "norm_relu": lambda x, shortcut, by: functional.relu(by(x)),
    "norm_add_relu": lambda x, shortcut, by: functional.relu(by(x) + shortcut),
    "norm_relu_pool": lambda x, shortcut, by: functional.max_pool2d(functional.relu(by(x)), 3, 2, 1),
}
SHAPES = [(3, 16, 9, 8), (2, 70, 5, 7), (4, 3, 6, 6), (5, 128, 1, 1), (2, 8, 21, 30)]


def outcome(
    operation: Operation, x: Tensor, shortcut: Tensor, norm: nn.BatchNorm2d, dy: Tensor | None
) -> dict[str, Tensor]:
    """Result, gradients and moved statistics of an operation that gets copies of x and shortcut."""
    x, shortcut = x.detach().requires_grad_(), shortcut.detach().requires_grad_()
    y = operation(x, shortcut, norm)
    dy = randoms(y.shape, 7, y.device) if dy is None else dy
    y.backward(dy.to(y.dtype))
    found = {"y": y, "dx": x.grad, "d_shortcut": shortcut.grad, "d_weight": norm.weight.grad, "d_bias": norm.bias.grad}
    return {name: value.detach() for name, value in found.items() if value is not None} | dict(norm.named_buffers())


@pytest.mark.parametrize("operation", FUSED)
@pytest.mark.parametrize("shape", SHAPES)
def test_float32(operation: str, shape: tuple[int, int, int, int], device: torch.device) -> None:
    x, shortcut = 3 * randoms(shape, 1, device) + 20, randoms(shape, 2, device)
    got = outcome(FUSED[operation], x, shortcut, batch_norm(shape[1], device), None)
    wanted = outcome(
        STEP_BY_STEP[operation], x.double(), shortcut.double(), batch_norm(shape[1], device).double(), None
    )
    assert_close(got, wanted, 1e-4)
    assert int(got["num_batches_tracked"]) == 1


@pytest.mark.parametrize("operation", FUSED)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 1e-2), (torch.float16, 1e-3)])
def test_half_precision_rounds_once(operation: str, dtype: torch.dtype, tolerance: float, device: torch.device) -> None:
    shape = (4, 24, 7, 6)
    x, shortcut = (3 * randoms(shape, 1, device) + 2).to(dtype), randoms(shape, 2, device).to(dtype)
    got = outcome(FUSED[operation], x, shortcut, batch_norm(24, device), None)
    wanted = outcome(STEP_BY_STEP[operation], x.double(), shortcut.double(), batch_norm(24, device).double(), None)
    assert got["y"].dtype == got["dx"].dtype == dtype
    assert got["d_weight"].dtype == got["running_mean"].dtype == torch.float32
    assert_close(got, wanted, tolerance)


def test_rows_are_divided_among_programs(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than a block has, more programs than their sums' block has, and a remainder in both."""
    monkeypatch.setattr(launch, "_PROGRAMS_A_PROCESSOR", 200)
    shape = (7, 8, 167, 21)
    division = launch.Shape(7 * 167 * 21, 8, 1)
    assert division.rows_a_program % division.blocks(launch._SUMMED_ELEMENTS)["BLOCK_ROWS"] == 0
    monkeypatch.setattr(launch, "_SUMMED_ELEMENTS", 256)
    assert launch.Shape(7 * 167 * 21, 8, 1).programs > launch._BLOCK_PROGRAMS
    x = randoms(shape, 1, device) - 4
    got = outcome(FUSED["norm_relu"], x, x, batch_norm(8, device), None)
    wanted = outcome(STEP_BY_STEP["norm_relu"], x.double(), x.double(), batch_norm(8, device).double(), None)
    assert_close(got, wanted, 1e-4)


def test_a_far_mean_leaves_the_variance_exact(device: torch.device) -> None:
    x = randoms((8, 16, 4, 4), 1, device) + 3000
    got = outcome(FUSED["norm"], x, x, batch_norm(16, device), None)
    wanted = outcome(STEP_BY_STEP["norm"], x.double(), x.double(), batch_norm(16, device).double(), None)
    assert_close({"y": got["y"]}, {"y": wanted["y"]}, 1e-3)


def test_other_strides_are_taken_too(device: torch.device) -> None:
    shape = (3, 16, 5, 6)
    x, shortcut = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(device), randoms(shape, 2, device)
    dy = torch.ones((3, 16, 1, 1), device=device).expand(shape)  # what a mean over the plane sends back
    got = outcome(FUSED["norm_add_relu"], x, shortcut.contiguous(), batch_norm(16, device), dy)
    wanted = outcome(STEP_BY_STEP["norm_add_relu"], x.double(), shortcut.double(), batch_norm(16, device).double(), dy)
    assert_close(got, wanted, 1e-4)
    assert got["y"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("operation", FUSED)
def test_what_is_no_number_is_not_hidden(operation: str, device: torch.device) -> None:
    x = randoms((2, 4, 6, 6), 1, device)
    x[1, 2, 3, 3] = float("nan")
    y = FUSED[operation](x, torch.zeros_like(x), batch_norm(4, device))
    assert y[:, 2].isnan().all()
    assert y[:, [0, 1, 3]].isfinite().all()


def test_the_same_batch_gives_the_same_bits(device: torch.device) -> None:
    x = randoms((5, 16, 9, 9), 1, device)
    first, second = (outcome(FUSED["norm_relu_pool"], x, x, batch_norm(16, device), None) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
