"""Four steps that MXNet took, taken again from its checkpoint with imclass's network, loss and optimizers.

MXNet's CPU puts the biased variance of a batch into the running variance; torch puts the unbiased one, as cuDNN does.
The running value is linear in what is put in, so the difference is a factor that the number of values decides, and
can be taken out before the comparison.
"""

import json

import numpy as np
import pytest
import torch
from torch import nn

from imclass.hyperparameters import parse
from imclass.models import build
from imclass.models.mxnet import read_params, read_symbol, recognise, state_of
from imclass.training.losses import plain_loss
from imclass.training.optimizers import OPTIMIZERS
from tests.models.mxnet_golden import GOLDEN

STEPS = 4
KEPT = 0.9**STEPS  # what four steps leave of a running statistic

# Largest differences of outputs and of weights. Adam divides by the root of tiny squares: where a gradient is nearly
# 0, rounding decides about its direction.
TOLERANCES = {"sgd": (1e-5, 1e-5), "adam": (1e-3, 1e-4)}


def settings_of(info):
    given = info["settings"]
    names = {"learning_rate": "learning_rate", "momentum": "momentum", "wd": "weight_decay"}
    return parse(
        {
            "num_classes": info["num_classes"],
            "num_training_samples": 32,
            "optimizer": info["optimizer"],
            **{names[name]: value for name, value in given.items()},
        }
    )


def values_in_a_batch(network):
    """Fills up as the network runs: how many values of a channel each batch norm has seen at once."""
    counts = {}

    def count(name):
        def hook(_module, inputs):
            counts[name] = inputs[0].numel() // inputs[0].shape[1]

        return hook

    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(count(name))
    return counts


@pytest.mark.parametrize("optimizer", TOLERANCES)
def test_steps_are_those_of_mxnet(optimizer):
    folder = GOLDEN / "train_trace" / optimizer
    info = json.loads((folder / "info.json").read_text())
    batches, outputs = np.load(folder / "batches.npz"), np.load(folder / "train_outputs.npy")
    recognised = recognise(read_symbol((folder / "step-symbol.json").read_bytes()))
    network = build("resnet_v2", recognised.num_layers, (3, 16, 16), recognised.head.num_classes)

    def state_after(step):
        return state_of(recognised, read_params((folder / f"step-{step:04d}.params").read_bytes()), network)

    start = state_after(0)
    network.load_state_dict(start)
    counts = values_in_a_batch(network)
    stepper = OPTIMIZERS[info["optimizer"]](network, settings_of(info))
    loss = plain_loss(multi_label=False)
    of_outputs, of_weights = TOLERANCES[optimizer]
    network.train()
    for step, rate in enumerate(info["lr_used"]):
        logits = network(torch.from_numpy(batches["x"][step]).float())
        np.testing.assert_allclose(logits.detach().softmax(1), outputs[step], rtol=0, atol=of_outputs)
        network.zero_grad()
        loss(logits, torch.from_numpy(batches["y"][step]).float()[:, None]).mean().backward()
        stepper.begin(rate)
        stepper.step()

    actual = network.state_dict()
    for name, expected in state_after(STEPS).items():
        module, _, kind = name.rpartition(".")
        if kind == "num_batches_tracked":
            continue
        value = actual[name]
        if kind == "running_var":
            biased = (counts[module] - 1) / counts[module]
            value = KEPT * start[name] + biased * (value - KEPT * start[name])
        torch.testing.assert_close(value, expected, rtol=of_weights, atol=of_weights, msg=name)

    network.eval()
    network.load_state_dict(state_after(STEPS))
    with torch.inference_mode():
        answers = network(torch.from_numpy(batches["x"][0]).float()).softmax(1).numpy()
    expected = np.load(folder / "eval_output_batch0_after.npy")
    np.testing.assert_allclose(answers, expected, rtol=0, atol=1e-5)
