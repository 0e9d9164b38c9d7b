"""Steps with scaled losses: what overflows has no effect, and nothing else is changed by the scale."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from imclass.hyperparameters import parse
from imclass.training.optimizers import OPTIMIZERS, ForeachOptimizer

SCALE = 2.0**10
NOT_FINITE = [float("inf"), float("-inf"), float("nan")]

every_optimizer = pytest.mark.parametrize("name", sorted(OPTIMIZERS))


class SmallNetwork(nn.Module):
    """Weights of a convolution, a batch norm and a last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)


class Scaled:
    """A network, and an optimizer whose gradients are given, times the scale of a `GradScaler`."""

    def __init__(self, name: str, scale: float = SCALE) -> None:
        settings = parse({"optimizer": name, "learning_rate": "0.01", "weight_decay": "0.1"})
        torch.manual_seed(0)
        self.network = SmallNetwork().to(memory_format=torch.channels_last)
        self.optimizer: ForeachOptimizer = OPTIMIZERS[name](self.network, settings)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        self.scaler.scale(torch.zeros(()))  # makes the tensor of the scale

    def gradients(self, seed: int, factor: float) -> None:
        """Random gradients of the parameters that learn, times `factor`."""
        generator = torch.Generator().manual_seed(seed)
        self.optimizer.zero_grad(set_to_none=True)
        for parameter in self.network.parameters():
            values = torch.randn(parameter.shape, generator=generator) * factor
            if parameter.requires_grad:
                parameter.grad = torch.empty_like(parameter).copy_(values)  # strides of the parameter

    def step(self, seed: int, *, bad: float | None = None, place: str = "head.weight", clip: float = 0.0) -> None:
        """A step as `step.descend` takes it; one value of one gradient is `bad`."""
        self.optimizer.begin(0.01)
        self.gradients(seed, self.scaler.get_scale())
        if bad is not None:
            gradient = self.network.get_parameter(place).grad
            assert gradient is not None
            gradient[(-1,) * gradient.dim()] = bad
        if clip:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def plain_step(self, seed: int, *, clip: float = 0.0) -> None:
        """The same step without a scale."""
        self.optimizer.begin(0.01)
        self.gradients(seed, 1.0)
        if clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), clip)
        self.optimizer.step()

    def bits(self) -> dict[str, bytes]:
        """All weights and all state, by name."""
        names = {parameter: name for name, parameter in self.network.named_parameters()}
        found = {name: parameter.detach().numpy().tobytes() for parameter, name in names.items()}
        for parameter, state in self.optimizer.state.items():
            for key, tensor in state.items():
                found[f"{names[parameter]}.{key}"] = tensor.numpy().tobytes()
        return found


def states(bits: Mapping[str, bytes], network: nn.Module) -> dict[str, bytes]:
    """Those of `Scaled.bits` that are no weights."""
    weights = dict(network.named_parameters())
    return {name: value for name, value in bits.items() if name not in weights}


@every_optimizer
@pytest.mark.parametrize("bad", NOT_FINITE)
@pytest.mark.parametrize("place", ["convolution.weight", "norm.bias", "head.weight"])
@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_an_overflow_leaves_weights_and_state_as_they_were(name: str, bad: float, place: str, clip: float) -> None:
    """In whichever group it is: the others stay as well."""
    scaled = Scaled(name)
    for seed in range(2):
        scaled.step(seed, clip=clip)
    before, scale = scaled.bits(), scaled.scaler.get_scale()
    scaled.step(2, bad=bad, place=place, clip=clip)
    assert scaled.bits() == before
    assert scaled.scaler.get_scale() == scale / 2
    scaled.step(3, clip=clip)
    after = scaled.bits()
    assert all(after[parameter] != before[parameter] for parameter, _ in scaled.network.named_parameters())
    assert scaled.scaler.get_scale() == scale / 2


@every_optimizer
@pytest.mark.parametrize("bad", NOT_FINITE)
def test_state_that_an_overflowing_step_makes_is_zeros(name: str, bad: float) -> None:
    """The first step of a run often overflows; the next one goes on as from the beginning."""
    scaled, fresh = Scaled(name), Scaled(name)
    before = scaled.bits()
    scaled.step(0, bad=bad)
    after = scaled.bits()
    assert all(after[parameter] == before[parameter] for parameter, _ in scaled.network.named_parameters())
    assert not any(any(value) for value in states(after, scaled.network).values())
    fresh.optimizer.begin(0.01)  # the step counts
    scaled.step(1)
    fresh.step(1)
    assert scaled.bits() == fresh.bits()


@every_optimizer
@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_a_scale_that_is_a_power_of_two_changes_no_bit(name: str, clip: float) -> None:
    scaled, plain = Scaled(name), Scaled(name)
    for seed in range(4):
        scaled.step(seed, clip=clip)
        plain.plain_step(seed, clip=clip)
        assert scaled.bits() == plain.bits()
    assert scaled.scaler.get_scale() == SCALE


@every_optimizer
def test_any_scale_is_divided_out(name: str) -> None:
    scaled, plain = Scaled(name, 1234.5), Scaled(name)
    for seed in range(4):
        scaled.step(seed)
        plain.plain_step(seed)
    pairs = zip(scaled.network.parameters(), plain.network.parameters(), strict=True)
    assert all(torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6) for ours, theirs in pairs)


@every_optimizer
def test_what_is_frozen_has_no_part_in_it(name: str) -> None:
    """Nor does it get state, until it learns."""
    scaled, plain = Scaled(name), Scaled(name)
    for each in (scaled, plain):
        each.network.convolution.requires_grad_(False)
        each.network.norm.requires_grad_(False)
    frozen = scaled.network.convolution.weight.detach().clone()
    scaled.step(0)
    plain.plain_step(0)
    before = scaled.bits()
    scaled.step(1, bad=float("nan"))
    plain.optimizer.begin(0.01)  # the step counts
    assert scaled.bits() == before == plain.bits()
    assert torch.equal(scaled.network.convolution.weight, frozen)
    for each in (scaled, plain):
        each.network.requires_grad_(True)
    scaled.step(2)
    plain.plain_step(2)
    assert scaled.bits() == plain.bits()
    assert not torch.equal(scaled.network.convolution.weight, frozen)


@every_optimizer
def test_a_state_that_was_loaded_is_kept_too(name: str) -> None:
    scaled, resumed = Scaled(name), Scaled(name)
    scaled.step(0)
    resumed.network.load_state_dict(scaled.network.state_dict())
    resumed.optimizer.load_state_dict(copy.deepcopy(scaled.optimizer.state_dict()))
    before = resumed.bits()
    resumed.step(1, bad=float("inf"))
    assert resumed.bits() == before == scaled.bits()


@every_optimizer
@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_a_scaled_step_reads_nothing_back(name: str, clip: float) -> None:
    """On a GPU each look at a number waits for all that was started before."""
    scaled, plain = Scaled(name), Scaled(name)
    for each in (scaled, plain):
        each.optimizer.begin(0.01)
        each.gradients(0, SCALE)
    plain.optimizer._step_supports_amp_scaling = False
    finish_step(scaled, clip, NothingReadBack())
    with pytest.raises(AssertionError, match="a number was read back"):
        finish_step(plain, clip, NothingReadBack())
    assert not hasattr(scaled.optimizer, "found_inf")
    assert scaled.scaler.get_scale() == SCALE


class NothingReadBack(TorchDispatchMode):
    """Inside, it is an error to take a number out of a tensor."""

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), options: dict[str, Any] | None = None
    ) -> Any:
        assert function is not torch.ops.aten._local_scalar_dense.default, "a number was read back"
        return function(*arguments, **(options or {}))


def finish_step(scaled: Scaled, clip: float, mode: TorchDispatchMode) -> None:
    """What follows on the gradients, in a dispatch mode."""
    with mode:
        scaled.scaler.unscale_(scaled.optimizer)
        if clip:
            nn.utils.clip_grad_norm_(scaled.network.parameters(), clip)
        scaled.scaler.step(scaled.optimizer)
        scaled.scaler.update()
