"""The same runs on a GPU; skipped where there is none."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from imclass.data import open_source
from imclass.hyperparameters import parse
from imclass.images import Batch
from imclass.training import run, train
from imclass.training.job import Job
from imclass.training.metrics import RunningSums
from imclass.training.model_evaluation import evaluate_model
from imclass.training.preparation import prepare
from imclass.training.process_group import Processes
from imclass.training.step import train_step

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


@pytest.mark.parametrize("mode", ["off", "auto", "on"])
def test_steps_do_not_wait_for_the_device(photos: Path, tmp_path: Path, mode: str) -> None:
    device = torch.device("cuda", 0)
    raw = {"num_classes": 3, "num_training_samples": 72, "num_layers": 8, "image_shape": "3,16,16"}
    more = {"mini_batch_size": 12, "precision_dtype": "bfloat16", "top_k": 2, "ema_decay": 0.9, "compile": mode}
    source = open_source(photos)
    training = prepare(
        Job(source, source, parse({**raw, **more, "gradient_clip_norm": 1.0}), "resnet_v2", None, tmp_path),
        Processes(0, 1, 0, 1, device),
    )
    run.make_ready(training, epoch=0)
    images = torch.randint(0, 256, (12, 3, 16, 16), dtype=torch.uint8, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    batch = Batch(images, torch.zeros(12, 1, device=device), np.arange(12), planned=12)
    sums = RunningSums(device, 2, multi_label=False)
    for step in range(5):  # the fourth is recorded
        sums.add(*train_step(training, batch, step, 0.01), step)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(5, 10):
            sums.add(*train_step(training, batch, step, 0.01), step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert sums.read().samples == 120
