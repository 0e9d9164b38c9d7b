"""Runs of several processes, started by torchrun as a user would."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from imclass import artifact
from imclass.training import train
from imclass.training.model_evaluation import evaluate_model
from tests.pictures import write_class_folders

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
KEEPING_WEIGHTS = (str(Path(__file__).parent / "weights_worker.py"),)


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
    program: tuple[str, ...] = ("-m", "imclass"),
    weights: Path | None = None,
) -> subprocess.Popen[str]:
    options = [text for name, value in settings.items() for text in ("--" + name.replace("_", "-"), value)]
    rendezvous = ["--standalone"]
    if machines > 1:
        rendezvous = [f"--nnodes={machines}", f"--node-rank={rank}", "--master-addr=127.0.0.1", f"--master-port={port}"]
    command = [sys.executable, "-m", "torch.distributed.run", *rendezvous, f"--nproc-per-node={processes}"]
    command += [*program, "train", str(photos), "--output", str(output), "--device", "cpu", "--threads", "1"]
    return subprocess.Popen(
        [*command, *options, *(["--resume"] if resume else [])],
        env={**os.environ, "OMP_NUM_THREADS": "1", "WEIGHTS": str(weights)},
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


def wait_for_an_epoch(process: subprocess.Popen[str], output: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while not (output / "metrics.jsonl").exists() or not metrics(output):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_processes_give_the_curve_of_one(photos: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "sync_batch_norm": "1", "learning_rate": "0.01"}
    printed = finish(start(2, photos, tmp_path / "two", settings))
    one = train(photos, output=tmp_path / "one", hyperparameters=settings, device="cpu", threads=1, quiet=True)
    assert "Warning" not in printed
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


def difference(folder: Path, when: str, part: str = "model") -> float:
    """The largest difference between the learnt weights of two processes."""
    first, second = (torch.load(folder / f"{when}-{rank}.pt", weights_only=True)[part] for rank in range(2))
    learnt = [name for name in first if "running" not in name and "num_batches" not in name]
    return max((first[name] - second[name]).abs().max().item() for name in learnt)


@pytest.mark.parametrize(("local_update_steps", "apart"), [("1", False), ("1000", True)])
def test_machines_update_locally_and_end_with_one_model(
    photos: Path, tmp_path: Path, free_port: int, local_update_steps: str, apart: bool
) -> None:
    settings = {**SETTINGS, "kv_store": "dist_async", "local_update_steps": local_update_steps, "mini_batch_size": "6"}
    options = {"machines": 2, "port": free_port, "program": KEEPING_WEIGHTS, "weights": tmp_path}
    nodes = [start(1, photos, tmp_path / "out", settings, rank=rank, **options) for rank in range(2)]
    printed = [finish(node) for node in nodes]
    assert all("Epoch[2] Validation-accuracy=" in text for text in printed), "each machine logs, as the original"
    assert (difference(tmp_path, "before") > 1e-3) is apart, "averaged after every step, or never in an epoch"
    assert difference(tmp_path, "after") == 0
    assert len(metrics(tmp_path / "out")) == 3


@pytest.mark.parametrize("more", [{"ema_decay": "0.9", "gradient_clip_norm": "0.1"}, {"sync_batch_norm": "1"}], ids=str)
def test_unreadable_images_leave_all_processes_with_the_same_weights(
    tmp_path: Path, more_photos: Path, more: dict[str, str]
) -> None:
    spoiled = write_class_folders(tmp_path / "spoiled", 6)
    for image in sorted(spoiled.rglob("*.png"))[::4]:
        image.write_bytes(b"no picture")
    # Two images a step, one a process: some processes have none.
    settings = {**SETTINGS, "mini_batch_size": "2", "bad_image_limit": "0.5", "lr_schedule": "cosine", **more}
    output = tmp_path / "out"
    process = start(2, spoiled, output, settings, program=KEEPING_WEIGHTS, weights=tmp_path)
    finish(process)
    assert difference(tmp_path, "before") == 0
    if "ema_decay" in more:
        assert difference(tmp_path, "before", "average") == 0
    listed = [json.loads(line)["key"] for line in (output / "bad_images.jsonl").read_text().splitlines()]
    assert len(set(listed)) == len(listed) == metrics(output)[-1]["bad_images"] == 5


def test_the_limit_of_bad_images_counts_those_of_all_processes(tmp_path: Path) -> None:
    spoiled = write_class_folders(tmp_path / "spoiled", 10)
    for image in sorted(spoiled.rglob("*.png"))[::5]:
        image.write_bytes(b"no picture")
    settings = {**SETTINGS, "bad_image_limit": "0.15", "validation_split": "0.4", "mini_batch_size": "6"}
    process = start(2, spoiled, tmp_path / "out", settings)
    output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode != 0
    assert "cannot be read; bad_image_limit 0.15 allows" in output


def test_a_dead_worker_ends_the_job_with_an_error(photos: Path, tmp_path: Path) -> None:
    process = start(2, photos, tmp_path / "out", {**SETTINGS, "epochs": "2000"})
    try:
        wait_for_an_epoch(process, tmp_path / "out")
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
        wait_for_an_epoch(process, tmp_path / "out")
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
