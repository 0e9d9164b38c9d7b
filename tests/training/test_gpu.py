"""The same runs on a GPU; skipped where there is none."""

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from imclass.data import open_source
from imclass.hyperparameters import parse
from imclass.images import Batch
from imclass.training import run, train
from imclass.training.job import Job
from imclass.training.metrics import RunningSums
from imclass.training.model_evaluation import evaluate_model
from imclass.training.optimizers import OPTIMIZERS
from imclass.training.preparation import prepare
from imclass.training.process_group import Processes
from imclass.training.recording import RecordedUpdate
from imclass.training.step import Training, train_step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

SETTINGS = {
    "recipe": "sagemaker",
    "image_shape": "3,16,16",
    "num_layers": 8,
    "epochs": 3,
    "mini_batch_size": 12,
    "learning_rate": 0.05,
    "augmentation_type": "crop",
    "pad_size": 2,
}
FITS = 2.0**10  # a scale with which no gradient of the steps below overflows in float16
OVERFLOWS = 2.0**60  # a scale with which every gradient overflows in float16


@pytest.mark.parametrize("optimizer", ["sgd", "nag", "muon", "adam", "rmsprop"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_run_on_the_gpu_answers_as_on_the_cpu(photos: Path, tmp_path: Path, optimizer: str, precision: str) -> None:
    rate = 0.05 if optimizer in ("sgd", "nag", "muon") else 0.002
    settings = {**SETTINGS, "optimizer": optimizer, "precision_dtype": precision, "learning_rate": rate}
    result = train(photos, output=tmp_path, hyperparameters=settings, device="cuda", quiet=True)
    assert all(math.isfinite(value) for line in result.metrics for value in line.values())
    reports = [evaluate_model(result.model_path, photos, device=device) for device in ("cuda", "cpu")]
    assert reports[0].loss == pytest.approx(reports[1].loss, rel=5e-3)
    assert reports[0].samples == reports[1].samples == 72


def test_losses_follow_those_on_the_cpu(photos: Path, tmp_path: Path) -> None:
    curves = []
    for device in ("cpu", "cuda"):
        result = train(photos, output=tmp_path / device, hyperparameters=SETTINGS, device=device, quiet=True)
        curves.append([line["train_loss"] for line in result.metrics])
    assert curves[0] == pytest.approx(curves[1], rel=0.05)


@pytest.mark.parametrize("optimizer", ["sgd", "nag", "muon", "adam", "rmsprop"])
def test_recorded_steps_learn_as_unrecorded_ones_do(
    photos: Path, tmp_path: Path, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = 0.01 if optimizer in ("sgd", "nag", "muon") else 0.001
    more = {"optimizer": optimizer, "learning_rate": rate, "cutmix_alpha": 1.0, "mixup_alpha": 0.2, "ema_decay": 0.5}
    settings = {**SETTINGS, **more, "warmup_epochs": 1}
    curves = []
    for recorded in (False, True):
        monkeypatch.setattr(run, "can_be_recorded", lambda training, recorded=recorded: recorded)
        output = tmp_path / str(recorded)
        result = train(photos, output=output, hyperparameters=settings, device="cuda", quiet=True)
        curves.append([line[name] for line in result.metrics for name in ("train_loss", "validation_loss")])
    assert curves[0] == pytest.approx(curves[1], rel=0.02)


def test_recording_goes_on_after_unfreezing(photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = train(photos, output=tmp_path / "a", hyperparameters=SETTINGS, device="cuda", quiet=True)
    settings = {**SETTINGS, "epochs": 4, "freeze_backbone_epochs": 2, "learning_rate": 0.01}
    second = train(
        photos, output=tmp_path / "b", model=first.model_path, hyperparameters=settings, device="cuda", quiet=True
    )
    assert second.metrics[-1]["train_loss"] < first.metrics[0]["train_loss"]
    assert "cannot be recorded" not in caplog.text


def test_everything_at_once(photos: Path, tmp_path: Path) -> None:
    more = {
        "mixup_alpha": 0.2,
        "cutmix_alpha": 1.0,
        "ema_decay": 0.9,
        "gradient_clip_norm": 1.0,
        "label_smoothing": 0.1,
        "class_weights": "balanced",
        "precision_dtype": "float16",
    }
    result = train(photos, output=tmp_path, hyperparameters={**SETTINGS, **more}, device="cuda", quiet=True)
    assert len(result.metrics) == 3


@pytest.mark.parametrize("network", ["resnet_v2", "resnet_v1"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("compiled", ["auto", "on"])
def test_compiled_steps_learn_as_plain_ones_do(
    photos: Path, tmp_path: Path, network: str, precision: str, compiled: str
) -> None:
    more = {"network": network, "precision_dtype": precision, "learning_rate": 0.01, "ema_decay": 0.5}
    curves = []
    for mode in ("off", compiled):
        settings = {**SETTINGS, **more, "compile": mode}
        result = train(photos, output=tmp_path / mode, hyperparameters=settings, device="cuda", quiet=True)
        assert ("compile_seconds" in result.metrics[0]) == (mode != "off")
        curves.append([line[name] for line in result.metrics for name in ("train_loss", "validation_loss")])
    assert curves[0] == pytest.approx(curves[1], rel=0.05)


def ready(photos: Path, output: Path, **more: object) -> tuple[Training, Batch]:
    """A training before its first step, and a batch for it."""
    device = torch.device("cuda", 0)
    raw = {"num_classes": 3, "num_training_samples": 72, "num_layers": 8, "image_shape": "3,16,16"}
    settings = parse({**raw, "mini_batch_size": 12, "top_k": 2, **more})
    source = open_source(photos)
    training = prepare(Job(source, source, settings, "resnet_v2", None, output), Processes(0, 1, 0, 1, device))
    run.make_ready(training, epoch=0)
    images = torch.randint(0, 256, (12, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(12.0, device=device)[:, None] % 3
    return training, Batch(images, labels, np.arange(12), planned=12)


def recorded(training: Training) -> RecordedUpdate:
    """The update of a training, which is a recording of it."""
    assert isinstance(training.update, RecordedUpdate)
    return training.update


@pytest.mark.parametrize("mode", ["off", "auto", "on"])
@pytest.mark.parametrize(("precision", "recording"), [("bfloat16", True), ("float16", True), ("float16", False)])
def test_steps_do_not_wait_for_the_device(
    photos: Path, tmp_path: Path, mode: str, precision: str, recording: bool
) -> None:
    more = {"precision_dtype": precision, "ema_decay": 0.9, "compile": mode, "gradient_clip_norm": 1.0}
    training, batch = ready(photos, tmp_path, **more)
    if not recording:
        training.update = recorded(training).update
    sums = RunningSums(batch.images.device, 2, multi_label=False)
    for step in range(5):  # the fourth is recorded
        sums.add(*train_step(training, batch, step, 0.01), step)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(5, 10):
            sums.add(*train_step(training, batch, step, 0.01), step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert sums.read().samples == 120
    assert not recording or recorded(training).graph is not None


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_recorded_float16_steps_equal_unrecorded_ones(
    photos: Path, tmp_path: Path, optimizer: str, clip: float
) -> None:
    """With an overflow among them, which changes the scale only."""
    more = {"precision_dtype": "float16", "optimizer": optimizer, "gradient_clip_norm": clip, "compile": "off"}
    curves, scales = [], []
    for recording in (False, True):
        training, batch = ready(photos, tmp_path, **more)
        training.scaler = torch.amp.GradScaler("cuda", init_scale=FITS)
        if not recording:
            training.update = recorded(training).update
        curve = []
        for step in range(12):
            if step == 7:
                training.scaler.update(OVERFLOWS)
            _, _, losses = train_step(training, batch, step, 0.001)
            curve.append(losses.mean().item())
            if step == 7:
                assert training.scaler.get_scale() == OVERFLOWS / 2
                training.scaler.update(FITS)
        curves.append(curve)
        scales.append(training.scaler.state_dict())
        assert not recording or recorded(training).graph is not None
    assert curves[0] == pytest.approx(curves[1], rel=0.02, abs=0.005)
    assert scales[0] == scales[1]


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("clip", [0.0, 1.0])
@pytest.mark.parametrize("mode", ["off", "auto"])
def test_an_overflow_in_a_recording_is_skipped(
    photos: Path, tmp_path: Path, optimizer: str, clip: float, mode: str
) -> None:
    more = {"precision_dtype": "float16", "optimizer": optimizer, "gradient_clip_norm": clip, "compile": mode}
    training, batch = ready(photos, tmp_path, **more)
    training.scaler = torch.amp.GradScaler("cuda", init_scale=FITS)
    for step in range(5):
        train_step(training, batch, step, 0.001)
    assert recorded(training).graph is not None
    before = copies(training)
    training.scaler.update(OVERFLOWS)
    for step in (5, 6):
        train_step(training, batch, step, 0.001)
    assert training.scaler.get_scale() == OVERFLOWS / 4
    assert all(map(torch.equal, before, copies(training)))
    training.scaler.update(FITS)
    train_step(training, batch, 7, 0.001)
    after = copies(training)
    assert all(tensor.isfinite().all() for tensor in after)
    assert not all(map(torch.equal, before, after))
    assert training.scaler.get_scale() == FITS


def test_float16_goes_on_where_it_cannot_be_recorded(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the scaler has begun while recording is forgotten."""
    clip = nn.utils.clip_grad_norm_

    def clip_unless_recorded(parameters: Iterable[torch.Tensor], norm: float) -> None:
        if torch.cuda.is_current_stream_capturing():
            raise RuntimeError("not while recording")
        clip(parameters, norm)

    monkeypatch.setattr(nn.utils, "clip_grad_norm_", clip_unless_recorded)
    training, batch = ready(photos, tmp_path, precision_dtype="float16", gradient_clip_norm=1.0, compile="off")
    training.scaler = torch.amp.GradScaler("cuda", init_scale=FITS)
    for step in range(6):
        train_step(training, batch, step, 0.001)
        assert training.scaler.state_dict()["_growth_tracker"] == step + 1
    assert "cannot be recorded as a CUDA graph, going on without: not while recording" in caplog.text
    assert training.scaler.get_scale() == FITS
    before = copies(training)
    training.scaler.update(OVERFLOWS)
    train_step(training, batch, 6, 0.001)
    assert all(map(torch.equal, before, copies(training)))
    assert training.scaler.get_scale() == OVERFLOWS / 2


def copies(training: Training) -> list[torch.Tensor]:
    """Of all weights and the state of the optimizer."""
    states = [tensor for state in training.optimizer.state.values() for tensor in state.values()]
    return [tensor.detach().clone() for tensor in [*training.model.parameters(), *states]]
