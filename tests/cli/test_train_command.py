"""`imclass train`: what reaches `imclass.training.train`, and the closing words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import imclass.reports
import imclass.training
from imclass.cli import app
from imclass.errors import UserError
from imclass.hyperparameters import FIELDS, parse
from imclass.training import Run
from imclass.training.process_group import is_first

BEST = {"epoch": 1, "validation_accuracy": 0.9725}


class Recorder:
    """Stands for the training function: keeps its arguments and answers with a finished run."""

    def __init__(self, *, interrupted: bool = False, best: dict[str, float] = BEST) -> None:
        self.interrupted = interrupted
        self.best = best
        self.source: Path | None = None
        self.options: dict[str, Any] = {}
        self.reported: dict[str, Any] | None = None
        self.report_error: UserError | None = None
        self.kept: list[Path] = []

    def __call__(self, source: Path | None, **options: Any) -> Run:
        self.source, self.options = source, options
        output, at_end = options["output"], options["at_end"]
        run = Run(output, output / "model.tar.gz", [{}, self.best, {}], self.best, parse({}), self.interrupted)
        if at_end is not None and self.best and not self.interrupted and is_first():
            self.kept = at_end(run)
        return run

    def report(self, output: Path, **options: Any) -> Path:
        """Stands for what makes the report."""
        self.reported = options
        if self.report_error is not None:
            raise self.report_error
        return output / "report.html"


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(imclass.training, "train", recorder)
    monkeypatch.setattr(imclass.reports, "report_run", recorder.report)
    return recorder


def invoke(*arguments: str, environment: dict[str, str] | None = None) -> Any:
    return CliRunner(env=environment or {}).invoke(app, ["train", *arguments])


def test_the_shortest_command(recorder: Recorder) -> None:
    result = invoke("photos", "--output", "run1")
    assert result.exit_code == 0
    assert recorder.source == Path("photos")
    recorder.options.pop("at_end")
    assert recorder.options == {
        "output": Path("run1"),
        "validation": None,
        "validation_split": None,
        "channels": None,
        "content_types": None,
        "input_data_config": None,
        "pipe_deadline": 300.0,
        "model": None,
        "pretrained": None,
        "image_root": None,
        "validation_image_root": None,
        "attribute_names": None,
        "label_format": "multi-hot",
        "class_names": None,
        "stream": False,
        "hyperparameters": {},
        "resume": False,
        "trackers": ("tensorboard",),
        "track_model": False,
        "threads": 0,
        "device": "auto",
        "quiet": False,
        "log_file": None,
    }


def test_every_option_arrives(recorder: Recorder) -> None:
    options = {
        "validation": "val",
        "validation-split": "0.25",
        "model": "old.tar.gz",
        "pretrained": "weights.safetensors",
        "image-root": "images",
        "validation-image-root": "more",
        "attribute-names": "source-ref,class",
        "label-format": "class-id",
        "threads": "3",
        "device": "cpu",
        "log-file": "log.txt",
    }
    texts = [text for name, value in options.items() for text in (f"--{name}", value)]
    result = invoke("photos", "--output", "run1", "--resume", "--quiet", *texts)
    assert (result.exit_code, result.output) == (0, "")
    given = recorder.options
    assert given["validation"] == Path("val")
    assert given["validation_split"] == 0.25
    assert given["model"] == Path("old.tar.gz")
    assert given["pretrained"] == Path("weights.safetensors")
    assert given["image_root"] == Path("images")
    assert given["validation_image_root"] == Path("more")
    assert given["attribute_names"] == ("source-ref", "class")
    assert given["label_format"] == "class-id"
    assert (given["threads"], given["device"], given["log_file"]) == (3, "cpu", Path("log.txt"))
    assert given["resume"] is True
    assert given["quiet"] is True


def test_every_hyperparameter_is_an_option_and_stays_text(recorder: Recorder) -> None:
    names = [name for name in FIELDS if not name.startswith("_")]
    texts = [text for name in names for text in ("--" + name.replace("_", "-"), f"value of {name}")]
    result = invoke("photos", "--output", "run1", *texts)
    assert result.exit_code == 0
    assert recorder.options["hyperparameters"] == {name: f"value of {name}" for name in names}


def test_file_set_and_option_together(recorder: Recorder, tmp_path: Path) -> None:
    file = tmp_path / "hp.json"
    file.write_text('{"epochs": "1", "momentum": "0.8"}')
    result = invoke(
        "photos",
        "--output",
        "x",
        "--hyperparameters",
        str(file),
        "--set",
        "seed=4",
        "--set",
        "epochs=2",
        "--epochs",
        "3",
    )
    assert result.exit_code == 0
    assert recorder.options["hyperparameters"] == {
        "recipe": "sagemaker",
        "epochs": "3",
        "momentum": "0.8",
        "seed": "4",
    }
    assert "epochs: '3' from options is used" in result.stderr


def test_channels(recorder: Recorder) -> None:
    result = invoke(
        "--channel", "train=a", "--channel", "validation=b", "--content-type", "train=image/png", "--output", "x"
    )
    assert result.exit_code == 0
    assert recorder.source is None
    assert recorder.options["channels"] == {"train": Path("a"), "validation": Path("b")}
    assert recorder.options["content_types"] == {"train": "image/png"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["photos", "--channel", "train=a"], "either SOURCE or --channel, not both"),
        ([], "give SOURCE"),
        (["photos", "--content-type", "train=x"], "belongs to --channel"),
        (["--channel", "train"], "not NAME=VALUE"),
        (["photos", "--validation-split", "1.5"], "--validation-split"),
        (["photos", "--label-format", "one-hot"], "--label-format"),
        (["photos", "--attribute-names", "a"], "not two names"),
    ],
)
def test_usage_errors(recorder: Recorder, arguments: list[str], said: str) -> None:
    result = invoke(*arguments, "--output", "x", environment={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert said in result.stderr
    assert recorder.options == {}


def test_closing_words(recorder: Recorder) -> None:
    result = invoke("photos", "--output", "my run")
    assert result.stdout.splitlines()[1:] == [
        "model     my run/model.tar.gz",
        "report    my run/report.html",
        "best      97.25% validation accuracy, after epoch 2 of 3",
        "next      imclass predict 'my run/model.tar.gz' IMAGE...",
        "          imclass evaluate 'my run/model.tar.gz' SOURCE",
    ]


def test_only_the_first_process_closes(recorder: Recorder) -> None:
    assert invoke("photos", "--output", "x", environment={"RANK": "1"}).stdout == ""
    assert recorder.reported is None


def test_the_report_computes_where_the_run_did(recorder: Recorder) -> None:
    invoke("photos", "--output", "x", "--device", "cpu", "--threads", "3", "--quiet")
    assert recorder.reported == {"device": "cpu", "threads": 3, "quiet": True}


def test_trackers_are_named_one_by_one_and_get_the_report(recorder: Recorder) -> None:
    result = invoke("photos", "--output", "x", "--tracker", "mlflow", "--tracker", "wandb", "--track-model")
    assert result.exit_code == 0
    assert recorder.options["trackers"] == ["mlflow", "wandb"]
    assert recorder.options["track_model"] is True
    assert recorder.kept == [Path("x/report.html")]


def test_no_report_is_made_when_none_is_wanted(recorder: Recorder) -> None:
    said = invoke("photos", "--output", "x", "--no-report").stdout
    assert "report" not in said
    assert recorder.reported is None


def test_a_report_that_cannot_be_made_does_not_spoil_the_run(recorder: Recorder) -> None:
    recorder.report_error = UserError("the disk is full", where="x/report")
    result = invoke("photos", "--output", "x")
    assert result.exit_code == 0
    assert "its report could not be made: x/report: the disk is full" in result.stderr
    assert "model     x/model.tar.gz" in result.stdout


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imclass.training, "train", Recorder(interrupted=True))
    result = invoke("photos", "--output", "run1")
    assert result.exit_code == 143
    assert result.stdout == ""
    assert "--resume goes on" in result.stderr


def test_no_epoch_was_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imclass.training, "train", Recorder(best={}))
    assert "best      not one epoch was completed" in invoke("photos", "--output", "run1").stdout


def test_all_bad_hyperparameters_are_reported_together(
    tmp_path: Path, write_png: Callable[..., Path], pixels_of: Callable[..., Any]
) -> None:
    for name in ("cat", "dog"):
        for seed in range(4):
            write_png(tmp_path / "photos" / name / f"{seed}.png", pixels_of(seed))
    result = invoke(
        str(tmp_path / "photos"), "--output", str(tmp_path / "run"),
        "--learning-rate", "2", "--optimizer", "sdg", "--set", "mini_batch_siz=3",
    )  # fmt: skip
    assert result.exit_code == 2
    for said in ("learning_rate", "sgd", "mini_batch_size"):
        assert said in result.stderr


def test_pipe_mode(recorder: Recorder) -> None:
    channels = ("--channel", "train=pipes/train", "--channel", "validation=val.rec")
    result = invoke(*channels, "--input-mode", "train=Pipe", "--pipe-deadline", "5", "--output", "run1")
    assert result.exit_code == 0, result.output
    assert recorder.options["input_data_config"] == {"train": {"TrainingInputMode": "Pipe"}}
    assert recorder.options["pipe_deadline"] == 5
    for option in ("--input-mode", "--input-data-config"):
        assert invoke("photos", option, "Pipe", "--output", "run1").exit_code == 2
