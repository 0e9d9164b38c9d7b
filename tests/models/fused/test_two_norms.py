"""The sum of two normalised arrays, activated, against PyTorch's operations one by one."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from imclass.models import batch_norm as fusing
from imclass.models.fused import norm as fused
from imclass.models.kernels import kernels
from tests.models.fused.comparison import assert_as_near, assert_close, batch_norm, randoms

Operation = Callable[[Tensor, Tensor, nn.BatchNorm2d, nn.BatchNorm2d], tuple[Tensor, Tensor]]

SHAPES = [(3, 16, 9, 8), (2, 70, 5, 7), (4, 3, 6, 6), (5, 128, 1, 1)]
USED = [(0,), (1,), (0, 1)]


def step_by_step(
    x: Tensor, shortcut: Tensor, by: nn.BatchNorm2d, by_of_shortcut: nn.BatchNorm2d
) -> tuple[Tensor, Tensor]:
    activated = functional.relu(by(x) + by_of_shortcut(shortcut))
    return activated, activated


def norms(channels: int, device: torch.device) -> tuple[nn.BatchNorm2d, nn.BatchNorm2d]:
    first, second = batch_norm(channels, device), batch_norm(channels, device)
    with torch.no_grad():
        second.weight.add_(0.5)
    return first, second


def outcome(
    operation: Operation,
    x: Tensor,
    shortcut: Tensor,
    by: tuple[nn.BatchNorm2d, nn.BatchNorm2d],
    used: tuple[int, ...] = (0, 1),
) -> dict[str, Tensor]:
    """Results, gradients and running statistics, when something is learned from the branches in `used`."""
    x, shortcut = x.detach().requires_grad_(), shortcut.detach().requires_grad_()
    results = operation(x * 1, shortcut * 1, *by)
    gradients = [randoms(tuple(x.shape), 7 + way, x.device).to(x.dtype) for way in used]
    torch.autograd.backward([results[way] for way in used], gradients)
    found = {"dx": x.grad, "d_shortcut": shortcut.grad}
    for name, norm in zip(("norm", "norm of shortcut"), by, strict=True):
        found |= {f"{name}, d_weight": norm.weight.grad, f"{name}, d_bias": norm.bias.grad}
        found |= {f"{name}, mean": norm.running_mean, f"{name}, variance": norm.running_var}
    got = {name: value for name, value in found.items() if value is not None}
    assert got.keys() == found.keys()
    return got | {"first": results[0].detach(), "second": results[1].detach()}


@pytest.mark.parametrize("used", USED, ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_float32(shape: tuple[int, int, int, int], used: tuple[int, ...], device: torch.device) -> None:
    x, shortcut = 3 * randoms(shape, 1, device) + 20, randoms(shape, 2, device) - 5
    got = outcome(fused.norms_add_relu_branch_after, x, shortcut, norms(shape[1], device), used)
    first, second = (norm.double() for norm in norms(shape[1], device))
    assert_close(got, outcome(step_by_step, x.double(), shortcut.double(), (first, second), used), 1e-4)


def test_bfloat16_is_as_near_as_that_of_pytorch(device: torch.device) -> None:
    shape = (4, 24, 7, 6)
    x, shortcut = (3 * randoms(shape, 1, device) + 2).bfloat16(), randoms(shape, 2, device).bfloat16()
    got = outcome(fused.norms_add_relu_branch_after, x, shortcut, norms(24, device))
    theirs = outcome(step_by_step, x, shortcut, norms(24, device))
    first, second = (norm.double() for norm in norms(24, device))
    exact = outcome(step_by_step, x.double(), shortcut.double(), (first, second))
    for name, value in exact.items():
        assert got[name].dtype == theirs[name].dtype
        assert_as_near(got[name], theirs[name], value, name)


def test_two_different_branches_of_one_tensor(device: torch.device) -> None:
    """As in a unit: both inputs come from the same tensor, and both results go on."""
    gradients = []
    for operation, dtype in ((fused.norms_add_relu_branch_after, torch.float32), (step_by_step, torch.float64)):
        leaf = randoms((3, 16, 5, 6), 1, device).to(dtype).requires_grad_()
        by = [norm.to(dtype) for norm in norms(16, device)]
        first, second = operation(leaf * 2, leaf.flip(1), *by)
        (first.sin().sum() + second.mean((2, 3)).square().sum()).backward()
        assert leaf.grad is not None
        gradients.append(leaf.grad)
    assert_close({"leaf": gradients[0]}, {"leaf": gradients[1]}, 1e-4)


@pytest.mark.parametrize("frozen", [(), (0,), (1,), (0, 1)], ids=str)
def test_a_norm_that_is_not_in_training_is_left_to_pytorch(frozen: tuple[int, ...], device: torch.device) -> None:
    """The operation of the networks does the same whichever of its norms are in evaluation mode."""
    x, shortcut = randoms((3, 8, 4, 4), 1, device), randoms((3, 8, 4, 4), 2, device)
    by = nn.ModuleList([fusing.BatchNorm2d(8), fusing.BatchNorm2d(8)]).to(device)
    for place in frozen:
        by[place].eval()
    plain = step_by_step(x, shortcut, by[0], by[1])  # type: ignore[arg-type]
    with kernels(by):
        got = fusing.norm_add_relu_branch_after(by[0], x, shortcut, by[1])
    assert_close(dict(zip("ab", got, strict=True)), dict(zip("ab", plain, strict=True)), 1e-5)
