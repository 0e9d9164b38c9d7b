"""What a run writes for programs to read."""

import json
from pathlib import Path

from imclass.hyperparameters import parse
from imclass.training.console import Console
from imclass.training.history import History
from imclass.training.progress import Progress
from imclass.training.trackers.tracking import Tracking


def history_in(folder: Path) -> History:
    nothing = Tracking({}, folder)
    return History(
        folder, parse({}), Console(), nothing, writes_files=True, speaks=False, batch_size=1, steps_per_epoch=1
    )


def test_a_number_that_is_not_finite_is_null(tmp_path: Path) -> None:
    history = history_in(tmp_path)
    history.start(Progress())
    history.epoch(0, {"epoch": 0, "validation_loss": float("nan"), "validation_accuracy": 0.5})
    (line,) = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert line["validation_loss"] is None
    assert line["validation_accuracy"] == 0.5
    assert line["seconds"] >= 0


def test_going_on_drops_what_an_interrupted_epoch_wrote(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 0}\n{"epoch": 1}\n{"epo')
    history = history_in(tmp_path)
    history.start(Progress(epoch=1, metrics=[{"epoch": 0}]))
    assert (tmp_path / "metrics.jsonl").read_text() == '{"epoch": 0}\n'
