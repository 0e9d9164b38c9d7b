"""A folder like /opt/ml with a small job in it, and the container's commands as real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2

from imclass.data import RecordWriter, pack_image
from imclass.sagemaker.layout import ROOT_VARIABLE, Layout
from tests.pictures import CLASSES, picture

HYPERPARAMETERS = {
    "image_shape": "3,16,16",
    "num_layers": "8",
    "num_training_samples": "72",
    "num_classes": "3",
    "mini_batch_size": "12",
    "epochs": "3",
    "learning_rate": "0.05",
    "seed": "5",
}
CHANNEL = {
    "ContentType": "application/x-recordio",
    "TrainingInputMode": "File",
    "S3DistributionType": "FullyReplicated",
    "RecordWrapperType": "None",
}
DEADLINE = 240.0
# What the installed commands do.
BRIEF = "import sys; from imclass.sagemaker import container; getattr(container, sys.argv.pop(1))()"


def write_records(path: Path, per_class: int, first: int = 0) -> Path:
    """A .rec file of pictures, `per_class` of each class in turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with RecordWriter(path) as records:
        for key in range(per_class * len(CLASSES)):
            number, kind = divmod(key, len(CLASSES))
            encoded = cv2.imencode(".png", picture(kind, first + number)[:, :, ::-1])[1].tobytes()
            records.write(key, pack_image(kind, encoded, image_id=key))
    return path


def write_config(
    root: Path,
    hyperparameters: Mapping[str, str] = HYPERPARAMETERS,
    channels: Mapping[str, Mapping[str, str]] | None = None,
    hosts: Sequence[str] = ("algo-1",),
    current_host: str = "algo-1",
    network_interface_name: str = "eth0",
) -> Layout:
    """The three files of a job."""
    config = root / "input/config"
    config.mkdir(parents=True, exist_ok=True)
    channels = {"train": CHANNEL, "validation": CHANNEL} if channels is None else channels
    resources = {
        "current_host": current_host, "hosts": list(hosts), "network_interface_name": network_interface_name
    }  # fmt: skip
    for name, content in (
        ("hyperparameters", hyperparameters),
        ("inputdataconfig", channels),
        ("resourceconfig", resources),
    ):
        (config / f"{name}.json").write_text(json.dumps(content))
    return Layout(root)


def write_job(root: Path, **config: object) -> Layout:
    """A job with 24 pictures of each class to train on and 8 to validate on, as .rec files."""
    layout = write_config(root, **config)  # type: ignore[arg-type]
    write_records(layout.channel("train") / "train.rec", 24)
    write_records(layout.channel("validation") / "validation.rec", 8, first=100)
    return layout


def start(
    command: str, layout: Layout, *before: str, program: str = BRIEF, **environment: str
) -> subprocess.Popen[str]:
    """The container's command `train` or `serve`; `before` is a command that starts it."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", ROOT_VARIABLE: str(layout.root), **environment}
    return subprocess.Popen(
        [*before, sys.executable, "-c", program, command],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def running(
    command: str, layout: Layout, *before: str, program: str = BRIEF, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """`start`, and the end of the process with the block."""
    process = start(command, layout, *before, program=program, **environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=DEADLINE)


def run(layout: Layout, **environment: str) -> tuple[int, str]:
    """Run `train` to its end; its exit status and output."""
    with running("train", layout, **environment) as process:
        output, _ = process.communicate(timeout=DEADLINE)
    return process.returncode, output


def metrics(layout: Layout) -> list[dict[str, float]]:
    """What the run has written so far, one dictionary an epoch."""
    path = layout.checkpoints / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for_epochs(process: subprocess.Popen[str], layout: Layout, number: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while len(metrics(layout)) < number:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "the run does not get on"
        time.sleep(0.02)


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Numbers of the training processes that a container has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(child) for child in children.split()]
