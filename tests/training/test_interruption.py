"""Runs that are killed, stopped and resumed, as real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from imclass import artifact

SETTINGS = {
    "image-shape": "3,16,16",
    "num-layers": "8",
    "epochs": "6",
    "mini-batch-size": "4",
    "learning-rate": "0.05",
    "augmentation-type": "crop_color_transform",
    "ema-decay": "0.9",
    "lr-scheduler-step": "3",
    "seed": "11",
}
DEADLINE = 120.0


def start(photos: Path, output: Path, *more: str) -> subprocess.Popen[str]:
    options = [text for name, value in SETTINGS.items() for text in (f"--{name}", value)]
    command = [sys.executable, "-m", "imclass", "train", str(photos), "--recipe", "sagemaker", "--output", str(output)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "--device", "cpu", "--threads", "1", "--no-report", *options, *more],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, output
    return output


def epochs_done(output: Path) -> int:
    metrics = output / "metrics.jsonl"
    return len(metrics.read_text().splitlines()) if metrics.exists() else 0


def wait_for_epochs(process: subprocess.Popen[str], output: Path, number: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while epochs_done(output) < number:
        assert process.poll() is None, "the run ended before it could be interrupted"
        assert time.monotonic() < deadline, "the run does not get on"
        time.sleep(0.005)


def curves(output: Path) -> list[tuple[float, float, float]]:
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [(line["train_loss"], line["train_accuracy"], line["validation_accuracy"]) for line in lines]


def largest_difference(a: Path, b: Path) -> float:
    first, second = (artifact.load(path / "model.tar.gz")[1].state_dict() for path in (a, b))
    assert first.keys() == second.keys()
    return max((first[name].float() - second[name].float()).abs().max().item() for name in first)


def test_killed_at_any_moment_a_resumed_run_ends_with_the_same_weights(photos: Path, tmp_path: Path) -> None:
    finish(start(photos, tmp_path / "whole"))
    for number, pause in ((1, 0.0), (2, 0.05), (4, 0.02)):
        process = start(photos, tmp_path / "killed", "--resume")
        wait_for_epochs(process, tmp_path / "killed", number)
        time.sleep(pause)
        process.kill()
        process.communicate(timeout=DEADLINE)
    output = finish(start(photos, tmp_path / "killed", "--resume"))
    assert "Resuming after epoch" in output
    assert curves(tmp_path / "killed") == curves(tmp_path / "whole")
    assert largest_difference(tmp_path / "whole", tmp_path / "killed") <= 1e-6
    assert not list((tmp_path / "killed").rglob("*.tmp")), "no half-written file is left in the way"


def test_sigterm_saves_in_time_and_the_epoch_goes_on(photos: Path, tmp_path: Path) -> None:
    finish(start(photos, tmp_path / "whole"))
    process = start(photos, tmp_path / "stopped")
    wait_for_epochs(process, tmp_path / "stopped", 2)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=DEADLINE)
    assert time.monotonic() - asked < 20
    assert process.returncode == 143, output
    description, _ = artifact.load(tmp_path / "stopped" / "model.tar.gz")
    assert description.epoch >= 1
    state = torch.load(tmp_path / "stopped/checkpoints/last.pt", weights_only=True)
    assert not state["progress"]["finished"]

    finish(start(photos, tmp_path / "stopped", "--resume"))
    assert curves(tmp_path / "stopped") == curves(tmp_path / "whole")
    assert largest_difference(tmp_path / "whole", tmp_path / "stopped") <= 1e-6
