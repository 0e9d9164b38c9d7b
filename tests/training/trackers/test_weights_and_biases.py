"""Weights & Biases without a network: what it writes for `wandb sync` is read back."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb.proto.wandb_internal_pb2 import Record

from imclass.errors import UserError
from imclass.training import train
from imclass.training.trackers.choosing import open_trackers
from imclass.training.trackers.tracking import Tracking, read_references
from tests.training.test_run import QUICK

BLOCK = 32768


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("WANDB_API_KEY", "WANDB_DIR", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    yield
    wandb.teardown()


def records(file: Path) -> list[Record]:
    """What a run has written: a header of 7 bytes, then blocks of 32 KiB of the log format of LevelDB.

    A piece is: checksum u32, length u16, kind u8 (1 whole, 2 first, 3 middle, 4 last), bytes of a Record message. No
    header of a piece crosses the end of a block.
    """
    data = file.read_bytes()
    assert data[:4] == b":W&B"
    found, part, place = [], b"", 7
    while place + 7 <= len(data):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        part += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            found.append(Record.FromString(part))
            part = b""
    return found


def recorded(folder: Path) -> dict[Path, list[Record]]:
    """The records of each run in a folder, by the run's own folder.

    W&B's process writes most of them after `finish` has returned; `teardown` waits until that process has ended.
    """
    wandb.teardown()
    return {file.parent: records(file) for file in folder.glob("wandb/offline-run-*/*.wandb")}


def history(found: list[Record]) -> list[dict[str, Any]]:
    lines = [{(item.key or item.nested_key[0]): json.loads(item.value_json) for item in record.history.item}
             for record in found if record.WhichOneof("record_type") == "history"]  # fmt: skip
    return [{name: value for name, value in line.items() if not name.startswith("_")} for line in lines]


def test_an_offline_run_has_all_of_it(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(photos, output=tmp_path / "run1", hyperparameters={**QUICK, "mini_batch_size": 2}, trackers=["wandb"],
                track_group="trials", device="cpu", threads=1)  # fmt: skip
    ((folder, found),) = recorded(run.output).items()
    (begun,) = [record.run for record in found if record.WhichOneof("record_type") == "run"]
    assert (begun.project, begun.display_name, begun.run_group) == ("imclass", "trials run1", "trials")
    assert read_references(run.output) == {"wandb": begun.run_id}
    config = {item.key: json.loads(item.value_json) for item in begun.config.update}
    assert config["learning_rate"] == "0.05"
    assert config["imclass/train_samples"] == "58"
    lines = history(found)
    epochs = [line for line in lines if "epoch" in line]
    assert [(line["epoch"], line["validation/accuracy"]) for line in epochs] == [
        (metrics["epoch"], metrics["validation_accuracy"]) for metrics in run.metrics
    ]
    assert [line["step"] for line in lines if "batch/loss" in line] == [21, 29 + 21]
    axes = {record.metric.name: record.metric.step_metric for record in found if record.metric.step_metric}
    assert axes["validation/accuracy"] == "epoch"
    assert axes["batch/loss"] == "step"
    assert [record.exit.exit_code for record in found if record.WhichOneof("record_type") == "exit"] == [0]
    assert (folder / "files/metrics.jsonl").read_text() == (run.output / "metrics.jsonl").read_text()
    assert f"wandb: {folder / 'files'}" in capsys.readouterr().out


def test_a_run_that_goes_on_keeps_its_number(tmp_path: Path) -> None:
    numbers = set()
    for resumes in (False, True):
        with Tracking(open_trackers(["wandb"]), tmp_path, resumes=resumes) as tracking:
            tracking.start({}, {}, [], 0)
        numbers.add(read_references(tmp_path)["wandb"])
    assert len(numbers) == 1
    found = [record for run in recorded(tmp_path).values() for record in run]
    assert {record.run.run_id for record in found if record.WhichOneof("record_type") == "run"} == numbers
    kinds = [record.WhichOneof("record_type") for record in found]
    assert "preempting" in kinds, "nothing said how it ended, so it was interrupted"


def test_nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(UserError) as caught, Tracking(open_trackers(["wandb"]), tmp_path) as tracking:
        tracking.start({}, {}, [], 0)
    assert str(caught.value).startswith("tracker wandb: Weights & Biases cannot be used: No API key configured.")
    assert "WANDB_MODE=offline" in str(caught.value)
