"""`imclass tune --tracker`: what the trials are told."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import imclass.tuning.tune
from imclass.cli import app
from imclass.cli.exit_status import USER_ERROR
from imclass.errors import UserError
from tests.pictures import write_class_folders


def test_trials_are_recorded_as_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}

    def stand_in(search: object, options: dict[str, Any], *others: object, resume: bool) -> None:
        told.update(options)
        raise UserError("enough is known")

    monkeypatch.setattr(imclass.tuning.tune, "tune", stand_in)
    arguments = ["tune", str(write_class_folders(tmp_path / "photos", 4)), "--output", str(tmp_path / "study1")]
    ended = CliRunner().invoke(app, [*arguments, "--tracker", "tensorboard"])
    assert "enough is known" in ended.stderr, ended.output
    assert (told.pop("trackers"), told.pop("track_group")) == (["tensorboard"], "study1")
    without = dict(told)
    told.clear()
    CliRunner().invoke(app, arguments)
    assert told == without, "studies of earlier versions, which were told nothing of trackers, can be resumed"


def test_a_wrong_tracker_ends_the_search_before_it_begins(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["tune", "photos", "--output", str(tmp_path / "study"), "--tracker", "mlfow"])
    assert ended.exit_code == USER_ERROR
    assert "there is no tracker 'mlfow'" in ended.stderr
    assert not (tmp_path / "study").exists()
