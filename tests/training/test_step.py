"""Steps without images, and steps that overflow."""

from pathlib import Path

import numpy as np
import pytest
import torch

from imclass.data import open_source
from imclass.hyperparameters import parse
from imclass.images import Batch
from imclass.training.job import Job
from imclass.training.loop import set_training_mode
from imclass.training.preparation import prepare
from imclass.training.process_group import Processes
from imclass.training.step import train_step

EMPTY = Batch(torch.zeros(0, 3, 16, 16, dtype=torch.uint8), torch.zeros(0, 1), np.zeros(0, np.int64), planned=2)


@pytest.mark.parametrize("frozen_epochs", [0, 1])
def test_an_idle_step_leaves_statistics_and_modes_alone(photos: Path, tmp_path: Path, frozen_epochs: int) -> None:
    source = open_source(photos)
    raw = {"num_classes": 3, "num_training_samples": 72, "num_layers": 8, "image_shape": "3,16,16", "momentum": 0}
    settings = parse({**raw, "weight_decay": 0, "freeze_backbone_epochs": frozen_epochs})
    job = Job(source, source, settings, "resnet_v2", None, tmp_path)
    training = prepare(job, Processes(0, 1, 0, 1, torch.device("cpu")))
    set_training_mode(training, epoch=0)
    modes = [part.training for part in training.model.modules()]
    before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
    logits, labels, losses = train_step(training, EMPTY, step=0, learning_rate=0.1)
    assert [len(logits), len(labels), len(losses)] == [0, 0, 0]
    assert [part.training for part in training.model.modules()] == modes
    assert all(torch.equal(before[name], tensor) for name, tensor in training.model.state_dict().items())


def test_a_float16_step_that_overflows_lowers_the_scale_and_leaves_the_weights(photos: Path, tmp_path: Path) -> None:
    source = open_source(photos)
    raw = {"num_classes": 3, "num_training_samples": 72, "num_layers": 8, "image_shape": "3,16,16", "ema_decay": 0.5}
    job = Job(source, source, parse({**raw, "precision_dtype": "float16"}), "resnet_v2", None, tmp_path)
    training = prepare(job, Processes(0, 1, 0, 1, torch.device("cpu")))
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batch = Batch(images, torch.zeros(4, 1), np.arange(4), planned=4)
    train_step(training, batch, step=0, learning_rate=0.1)
    assert training.average is not None
    followed = training.average.updates
    before = {name: weight.detach().clone() for name, weight in training.model.named_parameters()}
    training.scaler.update(2.0**60)
    _, _, losses = train_step(training, batch, step=1, learning_rate=0.1)
    assert losses.isfinite().all()
    assert all(torch.equal(before[name], weight) for name, weight in training.model.named_parameters())
    assert training.scaler.get_scale() == 2.0**59
    assert training.average.updates == followed + 1
    training.scaler.update(2.0**10)
    train_step(training, batch, step=2, learning_rate=0.1)
    assert not torch.equal(before["fc1.weight"], training.model.get_parameter("fc1.weight"))
