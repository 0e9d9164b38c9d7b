"""TensorBoard's event files, read back."""

import math
import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event, SessionLog

from imclass.training import train
from imclass.training.trackers.tensorboard import TensorBoardTracker
from imclass.training.trackers.tracker import Ending, Metrics
from imclass.training.trackers.tracking import Tracking
from tests.training.test_run import QUICK


def events(folder: Path) -> list[Event]:
    """All events of the files in a folder.

    A record is: length u64, checksum u32, an Event message of that length, checksum u32.
    """
    found = []
    for file in sorted(folder.glob("events.out.tfevents*")):
        data = file.read_bytes()
        place = 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            found.append(Event.FromString(data[place + 12 : place + 12 + length]))
            place += 12 + length + 4
    return found


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """All points, by tag and step."""
    found: dict[str, dict[int, float]] = {}
    for event in events(folder):
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def record(folder: Path, epochs: list[Metrics], steps: int) -> None:
    """One more batch and epoch, after those that are done."""
    with Tracking({"tensorboard": TensorBoardTracker()}, folder) as tracking:
        tracking.start({}, {}, epochs, steps)
        tracking.batch(steps + 21, {"loss": 0.5})
        tracking.epoch(len(epochs), {"epoch": len(epochs), "train_loss": 0.25})
        tracking.complete("finished", {})


def test_tensorboard_gets_every_curve(photos: Path, tmp_path: Path) -> None:
    run = train(photos, output=tmp_path, hyperparameters=QUICK, device="cpu", threads=1, quiet=True)
    found = scalars(tmp_path / "tensorboard")
    for tag, name in (("train/loss", "train_loss"), ("validation/accuracy", "validation_accuracy"),
                      ("learning_rate", "learning_rate"), ("images_per_second", "images_per_second")):  # fmt: skip
        points = found[tag]
        assert sorted(points) == [0, 1]
        for line in run.metrics:
            assert math.isclose(points[int(line["epoch"])], line[name], rel_tol=1e-6)


def test_epochs_and_batches_are_counted_apart(tmp_path: Path) -> None:
    record(tmp_path, [], 0)
    assert scalars(tmp_path / "tensorboard") == {"train/loss": {0: 0.25}}
    assert scalars(tmp_path / "tensorboard/batches") == {"batch/loss": {21: 0.5}}


def test_a_run_that_goes_on_drops_what_was_written_later(tmp_path: Path) -> None:
    """TensorBoard drops events from the step of a start on."""
    record(tmp_path, [], 0)
    record(tmp_path, [{"train_loss": 0.25}], 40)
    starts = {
        name: [event.step for event in events(tmp_path / name) if event.session_log.status == SessionLog.START]
        for name in ("tensorboard", "tensorboard/batches")
    }
    assert starts == {"tensorboard": [1], "tensorboard/batches": [40]}


def test_its_end_may_come_without_a_single_batch(tmp_path: Path) -> None:
    tracker = TensorBoardTracker()
    tracker.end(Ending("failed", {}, []))
    assert not list(tmp_path.iterdir())
