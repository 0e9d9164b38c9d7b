"""Runs of several processes, started by torchrun as a user would."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imclass import artifact
from imclass.training import train
from imclass.training.evaluation import evaluate_model

SETTINGS = {
    "recipe": "sagemaker",
    "image_shape": "3,16,16",
    "num_layers": "8",
    "epochs": "3",
    "mini_batch_size": "12",
    "learning_rate": "0.05",
    "augmentation_type": "crop",
    "pad_size": "2",
    "seed": "5",
}
DEADLINE = 180.0


def start(
    processes: int,
    photos: Path,
    output: Path,
    settings: dict[str, str],
    *,
    machines: int = 1,
    rank: int = 0,
    port: int = 0,
    resume: bool = False,
) -> subprocess.Popen[str]:
    options = [text for name, value in settings.items() for text in ("--" + name.replace("_", "-"), value)]
    rendezvous = ["--standalone"]
    if machines > 1:
        rendezvous = [f"--nnodes={machines}", f"--node-rank={rank}", "--master-addr=127.0.0.1", f"--master-port={port}"]
    command = [sys.executable, "-m", "torch.distributed.run", *rendezvous, f"--nproc-per-node={processes}"]
    command += ["-m", "imclass", "train", str(photos), "--output", str(output), "--device", "cpu", "--threads", "1"]
    return subprocess.Popen(
        [*command, *options, *(["--resume"] if resume else [])],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    try:
        output, _ = process.communicate(timeout=DEADLINE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output
    return output


def metrics(output: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


def test_two_processes_give_the_curve_of_one(photos: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "sync_batch_norm": "1", "learning_rate": "0.01"}
    printed = finish(start(2, photos, tmp_path / "two", settings))
    one = train(photos, output=tmp_path / "one", hyperparameters=settings, device="cpu", threads=1, quiet=True)
    two = metrics(tmp_path / "two")
    for name in ("train_loss", "validation_loss"):
        assert [line[name] for line in two] == pytest.approx([line[name] for line in one.metrics], rel=2e-3), name
    assert printed.count("Epoch[0] Validation-accuracy=") == 1, "one process of a machine does the talking"
    assert "2 processes on 1 machines" in printed

    # Validation counts every sample once: what the two processes found is what one finds.
    report = evaluate_model(tmp_path / "two/model.tar.gz", photos, device="cpu", threads=1)
    assert report.samples == 72
    description, _ = artifact.load(tmp_path / "two/model.tar.gz")
    best = max(two, key=lambda line: line["validation_accuracy"])
    assert description.metrics["validation_accuracy"] == best["validation_accuracy"]


def test_machines_that_update_locally_end_with_one_model(photos: Path, tmp_path: Path, free_port: int) -> None:
    settings = {**SETTINGS, "kv_store": "dist_async", "local_update_steps": "2", "mini_batch_size": "6"}
    nodes = [start(1, photos, tmp_path / "out", settings, machines=2, rank=rank, port=free_port) for rank in range(2)]
    printed = [finish(node) for node in nodes]
    assert all("Epoch[2] Validation-accuracy=" in text for text in printed), "each machine logs, as the original"
    lines = [next(line for line in text.splitlines() if "Epoch[2] Validation" in line) for text in printed]
    assert lines[0].split("Epoch")[1] == lines[1].split("Epoch")[1]
    assert len(metrics(tmp_path / "out")) == 3


def test_a_dead_worker_ends_the_job_with_an_error(photos: Path, tmp_path: Path) -> None:
    process = start(2, photos, tmp_path / "out", {**SETTINGS, "epochs": "2000"})
    try:
        deadline = time.monotonic() + DEADLINE
        while not (tmp_path / "out/metrics.jsonl").exists() or not metrics(tmp_path / "out"):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
        os.kill(int(workers.stdout.split()[-1]), signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode != 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def test_sigterm_reaches_all_processes_and_the_run_can_go_on(photos: Path, tmp_path: Path) -> None:
    process = start(2, photos, tmp_path / "out", {**SETTINGS, "epochs": "2000"})
    try:
        deadline = time.monotonic() + DEADLINE
        while not (tmp_path / "out/metrics.jsonl").exists() or not metrics(tmp_path / "out"):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40)
        assert time.monotonic() - asked < 30
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    done = len(metrics(tmp_path / "out"))
    assert (tmp_path / "out/model.tar.gz").exists()
    printed = finish(start(2, photos, tmp_path / "out", {**SETTINGS, "epochs": str(done + 1)}, resume=True))
    assert f"Resuming after epoch {done}" in printed
    assert len(metrics(tmp_path / "out")) == done + 1
