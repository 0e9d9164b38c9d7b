"""The update rules against what MXNet computed (tests/golden/optimizers)."""

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from imclass.hyperparameters import parse
from imclass.models import build, initialise
from imclass.training.optimizers import (
    NAG,
    OPTIMIZERS,
    SGD,
    Adam,
    Muon,
    RMSProp,
    muon_groups,
    parameter_groups,
)

GOLDEN = Path(__file__).parent.parent / "golden" / "optimizers"
NAMES = ("fc_weight", "fc_bias", "bn_gamma")


def replay(case: str, make, *, momentum=0.9, decay=1e-4, decayed=("fc_weight", "bn_gamma"), clip=None) -> float:
    """Feed a case's recorded gradients to an optimizer; the largest difference from the recorded weights."""
    recorded = np.load(GOLDEN / f"{case}.npz")
    weights = {name: nn.Parameter(torch.from_numpy(recorded[f"{name}_0"].copy())) for name in NAMES}
    groups = [{"params": [weights[name]], "weight_decay": decay if name in decayed else 0.0} for name in NAMES]
    optimizer = make(groups)
    largest = 0.0
    for step, rate in enumerate(recorded["lr_used"]):
        for name, weight in weights.items():
            gradient = torch.from_numpy(recorded[f"{name}_grads"][step]) * float(recorded["rescale_grad"])
            weight.grad = gradient if clip is None else gradient.clamp(-clip, clip)
        optimizer.begin(float(rate))
        optimizer.step()
        for name, weight in weights.items():
            difference = np.abs(weight.detach().numpy() - recorded[f"{name}_after"][step]).max()
            largest = max(largest, float(difference))
    return largest


@pytest.mark.parametrize(
    ("case", "momentum", "decay", "clip"),
    [
        ("sgd", 0.9, 1e-4, None),
        ("sgd_nomomentum", 0.0, 1e-4, None),
        ("sgd_wd_big", 0.9, 0.05, None),
        ("sgd_lrdrop", 0.9, 1e-4, None),
        ("sgd_clip", 0.9, 1e-4, 0.05),
    ],
)
def test_sgd_is_mxnets(case: str, momentum: float, decay: float, clip: float | None) -> None:
    assert replay(case, lambda groups: SGD(groups, 0.1, momentum), decay=decay, clip=clip) < 1e-6


@pytest.mark.parametrize(("case", "decay"), [("nag_mxnet13", 0.05), ("nag_mxnet13_lrdrop", 1e-4)])
def test_nag_is_mxnets_before_1_9(case: str, decay: float) -> None:
    assert replay(case, lambda groups: NAG(groups, 0.1, 0.9), decay=decay) < 1e-6


@pytest.mark.parametrize(
    ("case", "decay", "betas", "eps"),
    [
        ("adam", 1e-4, (0.9, 0.999), 1e-8),
        ("adam_wd0", 0.0, (0.85, 0.99), 1e-6),
        ("adam_lrdrop", 0.0, (0.9, 0.999), 1e-8),
    ],
)
def test_adam_is_mxnets(case: str, decay: float, betas: tuple[float, float], eps: float) -> None:
    assert replay(case, lambda groups: Adam(groups, 0.01, *betas, eps), decay=decay) < 1e-6


@pytest.mark.parametrize(
    ("case", "decay", "gamma", "eps"), [("rmsprop", 1e-4, 0.9, 1e-8), ("rmsprop_wd0", 0.0, 0.8, 1e-3)]
)
def test_rmsprop_is_mxnets(case: str, decay: float, gamma: float, eps: float) -> None:
    assert replay(case, lambda groups: RMSProp(groups, 0.01, gamma, eps), decay=decay) < 1e-6


class SmallNetwork(nn.Module):
    """Two layers and a frozen shift."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.norm.bias.requires_grad_(False)
        self.head = nn.Linear(4, 2)


def test_groups_go_by_module_type_and_leave_frozen_parameters_out() -> None:
    network = SmallNetwork()
    groups = {tuple(id(p) for p in group["params"]): group["weight_decay"] for group in parameter_groups(network, 0.1)}
    assert groups == {
        (id(network.convolution.weight), id(network.norm.weight)): 0.1,
        (id(network.convolution.bias),): 0.0,
        (id(network.head.weight),): 0.1,
        (id(network.head.bias),): 0.0,
    }


def test_a_frozen_backbone_does_not_count_updates() -> None:
    network = SmallNetwork()
    optimizer = OPTIMIZERS["adam"](network, parse({"optimizer": "adam", "learning_rate": "0.1"}))
    network.convolution.requires_grad_(False)
    for _ in range(100):
        network.head.weight.grad = torch.ones_like(network.head.weight)
        optimizer.begin(0.1)
        optimizer.step()
    network.convolution.requires_grad_(True)
    before = network.convolution.weight.detach().clone()
    network.convolution.weight.grad = torch.ones_like(before)
    optimizer.begin(0.1)
    optimizer.step()
    assert torch.allclose(before - network.convolution.weight, torch.full_like(before, 0.1), atol=1e-4)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer_is_built_from_hyperparameters(name: str) -> None:
    network = SmallNetwork()
    settings = parse({"optimizer": name, "weight_decay": "0.5", "learning_rate": "0.01"})
    optimizer = OPTIMIZERS[name](network, settings)
    expected = 0.5 if name in ("sgd", "nag", "muon") else 0.0  # the original ignores weight decay for the other two
    assert {group["weight_decay"] for group in optimizer.param_groups} == {expected, 0.0}
    before = network.convolution.weight.detach().clone()
    network.convolution.weight.grad = torch.ones_like(before)
    optimizer.begin(0.01)
    optimizer.step()
    assert torch.all(network.convolution.weight < before)


def test_nag_is_torchs() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(5)) for _ in range(2))
    mine = NAG([{"params": [ours], "weight_decay": 0.01}], 0.1, 0.9)
    torchs = torch.optim.SGD([theirs], 0.1, momentum=0.9, weight_decay=0.01, nesterov=True)
    for _ in range(5):
        ours.grad = torch.randn(5, generator=generator)
        theirs.grad = ours.grad.clone()
        mine.begin(0.1)
        mine.step()
        torchs.step()
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-6)


def test_muon_turns_the_inner_convolutions() -> None:
    network = build("resnet_v1", 18, (3, 32, 32), 4)
    network.layer1.requires_grad_(False)  # type: ignore[union-attr]
    [turned] = [group for group in muon_groups(network, 0.1) if group["turns"]]
    assert turned["weight_decay"] == 0.0
    learn = {name: each for name, each in network.named_parameters() if each.requires_grad}
    of_convolutions = {id(each) for name, each in learn.items() if each.ndim == 4 and name != "conv1.weight"}
    assert {id(each) for each in turned["params"]} == of_convolutions
    every = [id(each) for group in muon_groups(network, 0.1) for each in group["params"]]
    assert sorted(every) == sorted(id(each) for each in learn.values())


def test_muon_turns_weights_by_the_learning_rate_and_keeps_their_length() -> None:
    optimizer, turned, before = one_step_of_muon(0.1)
    assert optimizer.param_groups[0]["turns"]
    for weight, old in zip(turned, before, strict=True):
        length = torch.linalg.vector_norm(old)
        torch.testing.assert_close(torch.linalg.vector_norm(weight), length, rtol=1e-5, atol=0)
        angle = torch.acos((weight * old).sum() / length**2)
        assert 0.06 < float(angle) < 0.12


def test_without_a_gradient_muon_changes_nothing() -> None:
    _, turned, before = one_step_of_muon(0.1, of_gradient=0.0)
    for weight, old in zip(turned, before, strict=True):
        torch.testing.assert_close(weight, old, rtol=1e-5, atol=0)


def one_step_of_muon(rate: float, of_gradient: float = 1.0) -> tuple[Muon, list[torch.Tensor], list[torch.Tensor]]:
    """The weights that it turns, after the step and before."""
    network = build("resnet_v1", 18, (3, 32, 32), 4)
    generator = torch.Generator().manual_seed(0)
    initialise(network, generator)
    optimizer = Muon(muon_groups(network, 0.0), rate, 0.9)
    turned = [each for group in optimizer.param_groups if group["turns"] for each in group["params"]]
    before = [weight.detach().clone() for weight in turned]
    for weight in turned:
        weight.grad = torch.randn(weight.shape, generator=generator) * of_gradient
    optimizer.begin(rate)
    optimizer.step()
    return optimizer, [weight.detach() for weight in turned], before


def test_all_else_learns_as_with_nag() -> None:
    networks = [SmallNetwork(), SmallNetwork()]
    networks[1].load_state_dict(networks[0].state_dict())
    muon = Muon(muon_groups(networks[0], 0.01), 0.1, 0.9)
    nag = NAG(parameter_groups(networks[1], 0.01), 0.1, 0.9)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        for mine, theirs in zip(*(network.parameters() for network in networks), strict=True):
            mine.grad = torch.randn(mine.shape, generator=generator)
            theirs.grad = mine.grad.clone()
        for optimizer in (muon, nag):
            optimizer.begin(0.1)
            optimizer.step()
    for (name, mine), theirs in zip(networks[0].named_parameters(), networks[1].parameters(), strict=True):
        assert torch.equal(mine, theirs) == (name != "convolution.weight")


def test_state_survives_saving() -> None:
    weight = nn.Parameter(torch.ones(3))
    first, second = (Adam([{"params": [weight]}], 0.1, 0.9, 0.999, 1e-8) for _ in range(2))
    weight.grad = torch.tensor([0.1, -0.2, 0.3])
    first.begin(0.1)
    first.step()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    saved = weight.detach().clone()
    first.begin(0.1)
    first.step()
    after_first = weight.detach().clone()
    with torch.no_grad():
        weight.copy_(saved)
    second.begin(0.1)
    second.step()
    assert torch.equal(weight.detach(), after_first)


def test_no_step_loads_torch_s_compiler() -> None:
    """That takes a second, which no run on a CPU has a use for."""
    program = (
        "import sys, torch\n"
        "from imclass.training.optimizers import SGD\n"
        "weight = torch.nn.Parameter(torch.ones(2))\n"
        "optimizer = SGD([{'params': [weight]}], 0.5, momentum=0.9)\n"
        "optimizer.load_state_dict(optimizer.state_dict())\n"
        "optimizer.begin(0.5)\n"
        "optimizer.zero_grad(set_to_none=True)\n"
        "weight.sum().backward()\n"
        "optimizer.step()\n"
        "print(weight.tolist(), 'torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[0.5, 0.5] False\n"
