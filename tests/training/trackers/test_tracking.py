"""Trackers of one's own: what they are told, and what their faults do to a run."""

import logging
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from imclass.errors import UserError
from imclass.training import train
from imclass.training.loop import NonFiniteLossError
from imclass.training.trackers import tracking as tracking_module
from imclass.training.trackers.choosing import open_trackers
from imclass.training.trackers.tracker import Ending, Metrics, TrackedRun
from imclass.training.trackers.tracking import Tracking, read_references
from tests.training.test_run import QUICK

TWO_EPOCHS = [{"epoch": 0, "train_loss": 2.0}, {"epoch": 1, "train_loss": 1.0}]


class Notebook:
    """Writes down what it is told; refuses the epochs and the end that it was told to, as often."""

    def __init__(self, *refused: str) -> None:
        self.refused = list(refused)
        self.runs: list[TrackedRun] = []
        self.points: list[tuple[int, Metrics]] = []
        self.bundles = 0
        self.epochs: dict[int, Metrics] = {}
        self.ending: Ending | None = None

    def start(self, run: TrackedRun) -> str:
        self.runs.append(run)
        self._take("start")
        return run.reference or f"page {len(self.runs)}"

    def batches(self, points: Sequence[tuple[int, Metrics]]) -> None:
        self._take("batches")
        self.points.extend(points)
        self.bundles += 1

    def epoch(self, epoch: int, metrics: Metrics) -> None:
        self._take(f"epoch {epoch}")
        self.epochs[epoch] = metrics

    def end(self, ending: Ending) -> None:
        self._take("end")
        self.ending = ending

    def _take(self, what: str) -> None:
        if what in self.refused:
            self.refused.remove(what)
            raise OSError(f"no room for {what}")


def record(output: Path, *notebooks: Notebook) -> None:
    """Two epochs of a run that finishes."""
    with Tracking({str(number): each for number, each in enumerate(notebooks)}, output) as tracking:
        tracking.start({"epochs": "2"}, {}, [], 0)
        for epoch, metrics in enumerate(TWO_EPOCHS):
            tracking.batch(epoch * 30 + 21, {"loss": 0.5})
            tracking.epoch(epoch, metrics)
        tracking.complete("finished", TWO_EPOCHS[1])


def test_a_run_tells_all_of_itself(photos: Path, tmp_path: Path) -> None:
    notebook, page = Notebook(), tmp_path / "page.html"
    page.write_text("a report")
    run = train(
        photos,
        output=tmp_path / "out",
        hyperparameters={**QUICK, "mini_batch_size": 2},
        trackers=[notebook],
        track_model=True,
        track_group="trials",
        device="cpu",
        threads=1,
        quiet=True,
        at_end=lambda run: [page],
    )
    (told,) = notebook.runs
    assert (told.name, told.group, told.epochs, told.steps) == ("trials out", "trials", [], 0)
    assert told.hyperparameters["learning_rate"] == "0.05"
    assert told.facts["train_samples"] == "58"
    assert told.facts["device"].startswith("cpu")
    assert notebook.epochs[1]["validation/accuracy"] == run.metrics[1]["validation_accuracy"]
    assert [step for step, _ in notebook.points] == [21, 29 + 21]
    assert {"batch/loss", "batch/accuracy", "batch/images_per_second"} == set(notebook.points[0][1])
    ending = notebook.ending
    assert ending is not None
    assert ending.status == "finished"
    assert ending.best["best/validation_accuracy"] == run.best["validation_accuracy"]
    assert [path.name for path in ending.files] == ["run.json", "metrics.jsonl", "model.tar.gz", "page.html"]
    assert not (tmp_path / "out/tensorboard").exists(), "the default gives way to what is named"


def test_a_run_that_goes_on_is_told_where_it_was(photos: Path, tmp_path: Path) -> None:
    for epochs in (1, 2):
        notebook = Notebook()
        settings = {**QUICK, "epochs": epochs}
        train(photos, output=tmp_path, hyperparameters=settings, trackers=[notebook], resume=True, device="cpu",
              threads=1, quiet=True)  # fmt: skip
    (told,) = notebook.runs
    assert told.reference == "page 1"
    assert [set(metrics) >= {"train/loss", "validation/accuracy"} for metrics in told.epochs] == [True]
    assert told.steps == 58 // 12
    assert sorted(notebook.epochs) == [1]
    assert notebook.ending is not None
    assert "model.tar.gz" not in [path.name for path in notebook.ending.files]


def test_a_run_that_fails_is_recorded_as_failed(photos: Path, tmp_path: Path) -> None:
    notebook = Notebook()
    settings = {**QUICK, "optimizer": "rmsprop", "learning_rate": 1, "gamma": 1, "eps": 0, "epochs": 60}
    with pytest.raises(NonFiniteLossError):
        train(photos, output=tmp_path, hyperparameters=settings, trackers=[notebook], device="cpu", threads=1,
              quiet=True)  # fmt: skip
    assert notebook.ending is not None
    assert notebook.ending.status == "failed"


def test_epochs_that_were_not_taken_are_offered_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notebook = Notebook("epoch 0")
    record(tmp_path, notebook)
    assert sorted(notebook.epochs) == [0, 1]
    assert [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING] == [
        "0 does not record what it was told; the run goes on: no room for epoch 0"
    ]


def test_what_is_lost_is_told_once_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken, whole = Notebook("batches", *["epoch 0"] * 9, "end"), Notebook()
    record(tmp_path, broken, whole)
    assert broken.epochs == {}
    assert sorted(whole.epochs) == [0, 1], "the others are not disturbed"
    assert [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING] == [
        "0 does not record what it was told; the run goes on: no room for batches",
        "0 has not recorded epochs 0 to 1 and the figures of 1 log line and the end of the run and its files "
        "(5 calls failed)",
    ]


def test_one_that_never_answers_is_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_module, "DEADLINE_SECONDS", {"finished": 0.2})
    answer = threading.Event()
    notebook = Notebook()
    monkeypatch.setattr(notebook, "epoch", lambda epoch, metrics: answer.wait(30))
    record(tmp_path, notebook)
    answer.set()
    assert "0 has not recorded epoch 0 and what it had not taken in time (0 calls failed)" in caplog.text


def test_log_lines_are_handed_over_in_bundles(tmp_path: Path) -> None:
    notebook = Notebook()
    with Tracking({"notebook": notebook}, tmp_path) as tracking:
        tracking.start({}, {}, [], 0)
        for step in range(100):
            tracking.batch(step, {"loss": 1.0})
        tracking.complete("finished", {})
    assert [step for step, _ in notebook.points] == list(range(100))
    assert notebook.bundles == 1


def test_one_that_cannot_start_ends_the_run_before_it_begins(photos: Path, tmp_path: Path) -> None:
    first, second = Notebook(), Notebook("start")
    with pytest.raises(UserError) as caught, Tracking({"first": first, "second": second}, tmp_path) as tracking:
        tracking.start({}, {}, [], 0)
    assert str(caught.value) == "tracker second: the tracker cannot start: OSError('no room for start')"
    assert first.ending == Ending("failed", {}, [])


def test_what_is_wrong_with_a_choice_is_told_before_data_is_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no tracker 'mlfow'\nThere are: .*tensorboard, mlflow, wandb"):
        train(tmp_path / "missing", output=tmp_path / "out", trackers=["tensorboard", "mlfow"])
    with pytest.raises(UserError, match="named twice: tensorboard"):
        open_trackers(["tensorboard", "tensorboard"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "module"), [("mlflow", "mlflow.exceptions"), ("wandb", "wandb")])
def test_a_missing_package_is_named(name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"not installed\nType: pip install 'imclass\[{name}\]'"):
        open_trackers([name])


def test_others_plug_theirs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "paper-1.0.dist-info").mkdir()
    (tmp_path / "paper-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: paper\nVersion: 1.0\n")
    (tmp_path / "paper-1.0.dist-info/entry_points.txt").write_text(
        "[imclass.trackers]\npaper = paper_tracker:Paper\nbroken = paper_tracker:Nothing\n"
    )
    (tmp_path / "paper_tracker.py").write_text("class Paper:\n    kind = 'paper'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert open_trackers(["paper"])["paper"].kind == "paper"  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"broken: the tracker cannot be opened: AttributeError"):
        open_trackers(["broken"])


@pytest.mark.parametrize("content", ["{", "[]", '{"mlflow": 3}'])
def test_a_damaged_list_of_references_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "trackers.json").write_text(content)
    with pytest.raises(UserError, match="Delete the file"):
        read_references(tmp_path)
