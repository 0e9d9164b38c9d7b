"""Operations that send a tensor two ways, whose gradients meet in the kernels, against PyTorch's additions."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from imclass.models import build, initialise
from imclass.models.batch_norm import Branches
from imclass.models.fused import norm as fused
from imclass.models.kernels import kernels
from imclass.models.resnet import BasicUnitV1, BasicUnitV2, BottleneckUnitV1, BottleneckUnitV2
from tests.models.fused.comparison import assert_as_near, assert_close, batch_norm, randoms

Operation = Callable[[Tensor, Tensor, nn.BatchNorm2d], tuple[Tensor, Tensor]]

FUSED: dict[str, Operation] = {
    "norm_relu_branch_before": lambda x, shortcut, by: fused.norm_relu_branch_before(x, by),
    "norm_relu_branch_after": lambda x, shortcut, by: fused.norm_relu_branch_after(x, by),
    "norm_add_relu_branch_after": fused.norm_add_relu_branch_after,
}
STEP_BY_STEP: dict[str, Operation] = {
    "norm_relu_branch_before": lambda x, shortcut, by: (functional.relu(by(x)), x),
    "norm_relu_branch_after": lambda x, shortcut, by: (functional.relu(by(x)),) * 2,
    "norm_add_relu_branch_after": lambda x, shortcut, by: (functional.relu(by(x) + shortcut),) * 2,
}
SHAPES = [(3, 16, 9, 8), (2, 70, 5, 7), (4, 3, 6, 6), (5, 128, 1, 1)]
USED = [(0,), (1,), (0, 1)]


def outcome(
    operation: Operation, x: Tensor, shortcut: Tensor, norm: nn.BatchNorm2d, used: tuple[int, ...]
) -> dict[str, Tensor]:
    """Results and gradients of an operation, when something is learned from the branches in `used`."""
    x, shortcut = x.detach().requires_grad_(), shortcut.detach().requires_grad_()
    # What comes before: an operation's input is no leaf.
    results = operation(x * 1, shortcut, norm)
    gradients = [randoms(tuple(x.shape), 7 + way, x.device).to(x.dtype) for way in used]
    torch.autograd.backward([results[way] for way in used], gradients)
    found = {"dx": x.grad, "d_shortcut": shortcut.grad, "d_weight": norm.weight.grad, "d_bias": norm.bias.grad}
    got = {name: value for name, value in found.items() if value is not None}
    return got | {"first": results[0].detach(), "second": results[1].detach()}


@pytest.mark.parametrize("used", USED, ids=str)
@pytest.mark.parametrize("operation", FUSED)
@pytest.mark.parametrize("shape", SHAPES)
def test_float32(operation: str, shape: tuple[int, int, int, int], used: tuple[int, ...], device: torch.device) -> None:
    x, shortcut = 3 * randoms(shape, 1, device) + 20, randoms(shape, 2, device)
    got = outcome(FUSED[operation], x, shortcut, batch_norm(shape[1], device), used)
    norm = batch_norm(shape[1], device).double()
    assert_close(got, outcome(STEP_BY_STEP[operation], x.double(), shortcut.double(), norm, used), 1e-4)


@pytest.mark.parametrize("used", USED, ids=str)
@pytest.mark.parametrize("operation", FUSED)
def test_bfloat16_is_as_near_as_that_of_pytorch(operation: str, used: tuple[int, ...], device: torch.device) -> None:
    shape = (4, 24, 7, 6)
    x, shortcut = (3 * randoms(shape, 1, device) + 2).bfloat16(), randoms(shape, 2, device).bfloat16()
    got = outcome(FUSED[operation], x, shortcut, batch_norm(24, device), used)
    theirs = outcome(STEP_BY_STEP[operation], x, shortcut, batch_norm(24, device), used)
    norm = batch_norm(24, device).double()
    exact = outcome(STEP_BY_STEP[operation], x.double(), shortcut.double(), norm, used)
    assert got.keys() == exact.keys()
    for name, value in exact.items():
        assert got[name].dtype == theirs[name].dtype
        assert_as_near(got[name], theirs[name], value, name)


@pytest.mark.parametrize("operation", FUSED)
def test_gradients_of_other_strides_are_taken_too(operation: str, device: torch.device) -> None:
    shape = (3, 16, 5, 6)
    x, shortcut = randoms(shape, 1, device), randoms(shape, 2, device)
    dx = []
    for operations, given in ((FUSED, x), (STEP_BY_STEP, x.double())):
        leaf, norm = given.detach().requires_grad_(), batch_norm(16, device).to(given.dtype)
        first, second = operations[operation](leaf * 1, shortcut.to(given.dtype), norm)
        loss = first.contiguous().sin().sum() + second.mean((2, 3)).square().sum()
        loss.backward()
        assert leaf.grad is not None
        dx.append(leaf.grad)
    assert_close({"dx": dx[0]}, {"dx": dx[1]}, 1e-4)


class _Nothing(torch.autograd.Function):
    """Learns nothing from what it is given, and says so only on the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.sum()

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> None:
        return None


@pytest.mark.parametrize("operation", FUSED)
def test_without_any_gradient_nothing_comes_back(operation: str, device: torch.device) -> None:
    x, norm = randoms((2, 4, 3, 3), 1, device).requires_grad_(), batch_norm(4, device)
    first, second = FUSED[operation](x * 1, x * 2, norm)
    (_Nothing.apply(first) + _Nothing.apply(second)).backward()  # type: ignore[no-untyped-call]
    assert x.grad is None
    assert norm.weight.grad is None
    assert norm.bias.grad is None


@pytest.mark.parametrize("operation", ["norm_relu_branch_before", "norm_add_relu_branch_after"])
def test_a_result_that_is_changed_in_place_is_noticed(operation: str, device: torch.device) -> None:
    """The branches share their memory, so that a change of one would spoil what is kept for the gradient."""
    x, shortcut = randoms((2, 4, 3, 3), 1, device).requires_grad_(), randoms((2, 4, 3, 3), 2, device)
    first, second = FUSED[operation](x * 1, shortcut, batch_norm(4, device))
    second.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        first.sum().backward()


# ------------------------------------------------------------------------------------------------ in networks


@pytest.fixture
def whole_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions of a GPU multiply float32 as it is, and not with 10 bits of it."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


class Additions(TorchDispatchMode):
    """Counts additions of two feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten.add.Tensor, torch.ops.aten.add_.Tensor) and args[0].dim() == 4:
            self.count += 1
        return func(*args, **(kwargs or {}))


def learn(network: nn.Module, images: Tensor) -> tuple[int, dict[str, Tensor]]:
    """Additions of feature maps on a network's way back, and all gradients."""
    network.zero_grad()
    loss = network(images).square().mean()
    with Additions() as additions:
        loss.backward()
    gradients = {name: value.grad for name, value in network.named_parameters() if value.requires_grad}
    assert all(gradient is not None for gradient in gradients.values())
    return additions.count, {name: value for name, value in gradients.items() if value is not None}


@pytest.mark.usefixtures("whole_float32")
@pytest.mark.parametrize(("network", "plain", "left"), [("resnet_v2", 6, 0), ("resnet_v1", 6, 1)])
def test_networks_add_in_kernels_alone(network: str, plain: int, left: int, device: torch.device) -> None:
    """Of 14 layers in three stages of two units; what the stem of `resnet_v1` gives goes two ways without a kernel."""
    images = 50 * randoms((4, 3, 16, 16), 3, device) + 128
    model = build(network, 14, (3, 16, 16), 5)
    initialise(model, torch.Generator().manual_seed(1))
    model = model.to(device, memory_format=torch.channels_last).train()
    additions, wanted = learn(model, images)
    assert additions == plain
    with kernels(model):
        additions, got = learn(model, images)
    assert additions == left
    assert_close(got, wanted, 1e-3)


class Twice(nn.Module):
    """The first and the second unit of a stage, of a family whose units take both branches if `branches`."""

    def __init__(self, unit: type[nn.Module], branches: bool) -> None:
        super().__init__()
        self.units = nn.Sequential(unit(8, 16, 2, True), unit(16, 16, 1, False))
        self.branches = branches

    def forward(self, x: Tensor) -> Tensor:
        result = self.units(Branches(x, x) if self.branches else x)
        return result.residual if self.branches else result


@pytest.mark.usefixtures("whole_float32")
@pytest.mark.parametrize(
    ("unit", "branches"),
    [(BasicUnitV1, True), (BottleneckUnitV1, True), (BasicUnitV2, False), (BottleneckUnitV2, False)],
)
def test_units_of_all_kinds(unit: type[nn.Module], branches: bool, device: torch.device) -> None:
    torch.manual_seed(4)
    model = Twice(unit, branches).to(device, memory_format=torch.channels_last).train()
    images = randoms((4, 8, 10, 10), 5, device)
    additions, exact = learn(model, images)
    assert additions > 0
    with kernels(model):
        additions, got = learn(model, images)
        assert additions == 0
        assert_close(got, exact, 1e-3)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        _, theirs = learn(model, images)
        with kernels(model):
            _, got = learn(model, images)
    everything = (torch.cat([value.flatten() for value in of.values()]) for of in (got, theirs, exact))
    assert_as_near(*everything, "gradients")
