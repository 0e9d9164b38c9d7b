"""Weights that are rounded together give what autocast gives that rounds each."""

import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from imclass.models import build
from imclass.models.convolution import Conv2d
from imclass.models.rounding import rounded_weights


def network(name: str = "resnet_v1", side: int = 16) -> nn.Module:
    model: nn.Module = build(name, 18, (3, side, side), 5)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def answers_and_gradients(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
    functional.cross_entropy(logits.float(), torch.arange(len(images))).backward()
    gradients = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    return {"logits": logits.detach(), **gradients}


def photographs(side: int) -> Tensor:
    images = torch.randint(0, 256, (4, 3, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return images.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("name", "side"), [("resnet_v1", 16), ("resnet_v2", 16), ("resnet_v1", 48)])
def test_answers_and_gradients_have_the_bits_of_autocasts(name: str, side: int) -> None:
    model, images = network(name, side), photographs(side)
    usual = answers_and_gradients(model, images)
    with rounded_weights(model, torch.bfloat16):
        rounded = answers_and_gradients(model, images)
    assert rounded.keys() == usual.keys()
    assert all(torch.equal(rounded[name], value) for name, value in usual.items())
    assert all(rounded[name].dtype == torch.float32 for name in rounded if name != "logits")


@pytest.mark.parametrize(("name", "side"), [("resnet_v1", 48), ("resnet_v2", 16)])
def test_gradients_of_a_stage_are_there_before_the_stages_below_it_go_backward(name: str, side: int) -> None:
    model, arrived = network(name, side), list[str]()
    for parameter_name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(lambda _, name=parameter_name: arrived.append(name))
    with rounded_weights(model, torch.bfloat16):
        answers_and_gradients(model, photographs(side))
    stages = [int(match[1]) for each in arrived if (match := re.match(r"(?:stage|layer)(\d)\.", each))]
    assert len(set(stages)) >= 3
    assert stages == sorted(stages, reverse=True)


def test_all_convolutions_take_part_and_only_inside() -> None:
    model = network()
    convolutions = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
    with rounded_weights(model, torch.float16):
        assert all(isinstance(part, Conv2d) and part.effective_weight.dtype == torch.float16 for part in convolutions)
    assert all(isinstance(part, Conv2d) and part.effective_weight is part.weight for part in convolutions)


def test_that_ends_with_an_error_too() -> None:
    model = network()
    with pytest.raises(RuntimeError, match="an error"), rounded_weights(model, torch.float16):
        raise RuntimeError("an error")
    assert all(part.rounded_weight is None for part in model.modules() if isinstance(part, Conv2d))


def test_the_weights_are_those_of_now() -> None:
    model, images = network().eval(), photographs(16)
    with torch.no_grad(), rounded_weights(model, torch.bfloat16), torch.autocast("cpu", torch.bfloat16):
        before = model(images)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    with torch.no_grad(), rounded_weights(model, torch.bfloat16), torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal(before, model(images))


def test_a_frozen_backbone_stays_frozen() -> None:
    model = network()
    for parameter in model.backbone_parameters():  # type: ignore[operator]
        parameter.requires_grad_(False)
    with rounded_weights(model, torch.bfloat16):
        found = answers_and_gradients(model, photographs(16))
    assert found.keys() == {"logits", "fc.weight", "fc.bias"}
