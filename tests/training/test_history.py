"""What a run writes for programs to read."""

import json
import math
import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event

from imclass.hyperparameters import parse
from imclass.training import train
from imclass.training.console import Console
from imclass.training.history import History
from imclass.training.progress import Progress
from tests.training.test_run import QUICK


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """All points of the event files in a folder, by tag and step.

    A record is: length u64, checksum u32, an Event message of that length, checksum u32.
    """
    found: dict[str, dict[int, float]] = {}
    for file in sorted(folder.glob("events.out.tfevents*")):
        data = file.read_bytes()
        place = 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            event = Event.FromString(data[place + 12 : place + 12 + length])
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
            place += 12 + length + 4
    return found


def test_tensorboard_gets_every_curve(photos: Path, tmp_path: Path) -> None:
    run = train(photos, output=tmp_path, hyperparameters=QUICK, device="cpu", threads=1, quiet=True)
    found = scalars(tmp_path / "tensorboard")
    for tag, name in (("train/loss", "train_loss"), ("validation/accuracy", "validation_accuracy"),
                      ("learning_rate", "learning_rate"), ("images_per_second", "images_per_second")):  # fmt: skip
        points = found[tag]
        assert sorted(points) == [0, 1]
        for line in run.metrics:
            assert math.isclose(points[int(line["epoch"])], line[name], rel_tol=1e-6)


def test_a_number_that_is_not_finite_is_null(tmp_path: Path) -> None:
    history = History(tmp_path, parse({}), Console(), writes_files=True, speaks=False, batch_size=1, steps_per_epoch=1)
    with history:
        history.start(Progress())
        history.epoch(0, {"epoch": 0, "validation_loss": float("nan"), "validation_accuracy": 0.5})
    (line,) = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert line["validation_loss"] is None
    assert line["validation_accuracy"] == 0.5
    assert line["seconds"] >= 0


def test_going_on_drops_what_an_interrupted_epoch_wrote(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 0}\n{"epoch": 1}\n{"epo')
    history = History(tmp_path, parse({}), Console(), writes_files=True, speaks=False, batch_size=1, steps_per_epoch=1)
    with history:
        history.start(Progress(epoch=1, metrics=[{"epoch": 0}]))
    assert (tmp_path / "metrics.jsonl").read_text() == '{"epoch": 0}\n'
