"""Starting values: the distribution of the original, and that they depend on the seed alone."""

import math

import pytest
import torch
from torch import nn

from imclass.models import NETWORKS, build, initialise


@pytest.mark.parametrize("network", NETWORKS)
def test_values_have_the_original_distribution(network):
    model = build(network, 18, (3, 64, 64), 100)
    for value in [*model.parameters(), *model.buffers()]:
        value.data.fill_(7)
    initialise(model, torch.Generator().manual_seed(3))
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            deviation = math.sqrt(2 / layer.weight[0].numel())
            tolerance = 5 / math.sqrt(2 * layer.weight.numel())  # five standard errors
            assert layer.weight.std().item() == pytest.approx(deviation, rel=tolerance), name
            assert abs(layer.weight.mean().item()) < 5 * deviation / math.sqrt(layer.weight.numel()), name
            assert layer.weight.abs().max() > 3 * deviation, name  # not truncated
        elif isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all()
            assert (layer.bias == 0).all()
            assert (layer.running_mean == 0).all()
            assert (layer.running_var == 1).all()
            assert layer.num_batches_tracked == 0
    assert (model.head.bias == 0).all()


def test_values_depend_on_the_generator_alone():
    def weights(seed):
        torch.rand(17)  # the global generator has no part in it
        model = build("resnet_v2", 20, (3, 28, 28), 5)
        initialise(model, torch.Generator().manual_seed(seed))
        return model.state_dict()

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv0.weight"], other["conv0.weight"])


def test_a_single_layer_can_be_started():
    head = nn.Linear(200, 50)
    initialise(head, torch.Generator().manual_seed(0))
    assert head.weight.std().item() == pytest.approx(0.1, rel=0.05)
    assert (head.bias == 0).all()
