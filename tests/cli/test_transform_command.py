"""`imclass transform` as a user types it."""

import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from imclass.cli import app, messages
from imclass.cli import transform as transform_command
from imclass.data.unlabelled import SplitType
from imclass.inference.transform import AssembleWith, Format, JoinSource
from tests.remote_servers import Bucket


@pytest.fixture
def model(save_model: Callable[..., Path]) -> Path:
    return save_model()


@pytest.fixture
def photos(tmp_path: Path, write_png: Callable[..., Path], pixels_of: Callable[..., np.ndarray]) -> Path:
    for seed, name in enumerate(("a.png", "more/b.png", "more/c.png")):
        write_png(tmp_path / "photos" / name, pixels_of(seed))
    return tmp_path / "photos"


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["transform", *map(str, arguments)])


def test_lines_say_what_was_done(model: Path, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "results"
    result = invoke(model, photos, output)
    assert (result.exit_code, result.stderr) == (0, "")
    figures = dict(line.split("\t")[1:] for line in result.stdout.splitlines()[:-1])
    assert float(figures.pop("images_per_second")) > 0
    assert figures == {"images": "3", "predicted": "3", "failed": "0"}
    assert result.stdout.splitlines()[-1] == f"output\t{output}\tcomplete"
    assert len(json.loads((output / "more/b.png.out").read_text())["prediction"]) == 3


def test_a_second_run_has_nothing_to_do(model: Path, photos: Path, tmp_path: Path) -> None:
    invoke(model, photos, tmp_path / "results")
    result = invoke(model, photos, tmp_path / "results")
    assert result.exit_code == 0
    assert "3 of 3 images have results already" in result.stderr
    assert "figure\tpredicted\t0" in result.stdout


def test_the_exit_status_says_that_images_failed(model: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "a.png").write_bytes(b"no image")
    result = invoke(model, photos, tmp_path / "results", "--format", "jsonl", "--quiet")
    assert result.exit_code == 2
    assert "no result for 1 of 3 images\n  - a.png: neither JPEG nor PNG" in result.stderr
    assert result.stdout == ""
    lines = (tmp_path / "results" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["more/b.png", "more/c.png"]
    assert json.loads((tmp_path / "results" / "failed.jsonl").read_text())["key"] == "a.png"
    assert invoke(model, photos, tmp_path / "results", "--format", "jsonl").exit_code == 2


def test_a_shard_says_what_others_have_to_do(model: Path, photos: Path, tmp_path: Path) -> None:
    result = invoke(model, photos, tmp_path / "results", "--num-shards", 2, "--shard-index", 1)
    assert result.exit_code == 0
    assert "1 parts of the work are still to be done by other shards" in result.stderr
    assert result.stdout.splitlines()[-1].endswith("\twaiting")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--num-shards", "2"], "belong together"),
        (["--shard-index", "0"], "belong together"),
        (["--num-shards", "2", "--shard-index", "2"], "there is no shard 2 of 2"),
        (["--ray", "auto", "--num-shards", "2"], "--ray shares out the work itself"),
        (["--precision", "auto"], "--precision auto could choose differently"),
        (["--backend", "auto"], "--backend auto could choose differently"),
        (["--backend", "mxnet"], "there is no backend 'mxnet'"),
        (["--format", "csv", "--accept", "application/json"], "accept chooses the content type of out and jsonl"),
        (["--split-type", "RecordIO"], "no .rec files in this folder"),
        (["--output-filter", "prediction"], "output_filter prediction, column 1: a path begins with $"),
        (["--output-filter", "$..a"], "output_filter $..a, column 2: only children can be selected"),
        (["--output-filter", "$.a"], "the output filter $.a does not fit the result: column 3: there is no member 'a'"),
        (["--output-filter", "$.a", "--format", "csv"], "output_filter is for out and jsonl; csv has columns"),
        (["--input-filter", "$.a"], "an input filter selects in the lines of a manifest; this is none"),
        (["--image-attribute", "source-ref"], "the name of an image attribute belongs to a manifest"),
    ],
)
def test_mistakes_are_explained(model: Path, photos: Path, tmp_path: Path, options: list[str], said: str) -> None:
    result = invoke(model, photos, tmp_path / "results", *options)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert not list(tmp_path.rglob("*.out"))


def test_lines_of_progress_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(transform_command, "LINE_SECONDS", 0.0)
    with transform_command.Progress(quiet=False) as progress:
        progress.begin(100, 20)
        progress.advance(40)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "imclass: 20 of 100 images have results already"
    assert second.startswith("imclass: 60 of 100 images, ")
    assert second.endswith(" s left")


def test_only_the_first_process_of_torchrun_shows_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert not messages.is_main_process()
    monkeypatch.setattr(transform_command, "LINE_SECONDS", 0.0)
    with transform_command.Progress(quiet=False) as progress:
        progress.begin(10, 5)
        progress.advance(5)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (transform_command.FormatName, Format),
        (transform_command.SplitTypeName, SplitType),
        (transform_command.AssembleWithName, AssembleWith),
        (transform_command.JoinSourceName, JoinSource),
    ],
)
def test_words_on_the_command_line_are_those_of_the_room(typed: type[StrEnum], meant: type[StrEnum]) -> None:
    assert [word.value for word in typed] == [word.value for word in meant]


def test_model_and_images_from_a_bucket(bucket: Bucket, model: Path, photos: Path, tmp_path: Path) -> None:
    bucket.put("models/model.tar.gz", model.read_bytes())
    bucket.put_folder("in/photos", photos)
    result = invoke(bucket.address("models/model.tar.gz"), bucket.address("in/photos/"), tmp_path / "remote")
    assert result.exit_code == 0, result.stderr
    invoke(model, photos, tmp_path / "local")
    for name in ("a.png.out", "more/b.png.out", "more/c.png.out"):
        assert (tmp_path / "remote" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()
    assert "3 of 3 images have results already" in (
        invoke(bucket.address("models/model.tar.gz"), bucket.address("in/photos/"), tmp_path / "remote").stderr
    )
    assert bucket.address("in/photos") in (tmp_path / ".remote.transform" / "job.json").read_text()


def test_a_manifest_with_images_in_a_bucket(bucket: Bucket, model: Path, photos: Path, tmp_path: Path) -> None:
    bucket.put_folder("in", photos)
    manifest = tmp_path / "x.manifest"
    lines = [{"source-ref": bucket.address("in/more/c.png")}, {"source-ref": bucket.address("in/gone.png")}]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = invoke(model, manifest, tmp_path / "results", "--join-source", "Input", "--format", "jsonl")
    assert result.exit_code == 2
    assert "no result for 1 of 2 images\n  - in/gone.png: cannot be read: No such file" in result.stderr
    joined = json.loads((tmp_path / "results" / "predictions.jsonl").read_text())
    assert joined["source-ref"] == bucket.address("in/more/c.png")
    files = invoke(model, manifest, tmp_path / "files")
    assert files.exit_code == 2
    assert json.loads((tmp_path / "files" / "in/more/c.png.out").read_text()) == joined["SageMakerOutput"]
