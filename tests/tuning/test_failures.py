"""Searches whose trials fail, and words that cannot be understood."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imclass.cli import app
from imclass.cli.exit_status import USER_ERROR
from tests.pictures import write_class_folders
from tests.tuning.test_tune import SMALL, ranges_file, run, table

pytestmark = pytest.mark.timeout(900)


def test_a_failed_trial_does_not_end_the_search(tmp_path: Path) -> None:
    photos = write_class_folders(tmp_path / "photos", 12)
    grid = {"CategoricalParameterRanges": [{"Name": "mini_batch_size", "Values": ["4000", "9"]}]}
    output = tmp_path / "study"
    others = [word for word in SMALL if word not in ("--mini-batch-size", "12")]
    words = (photos, "--ranges", ranges_file(tmp_path, grid), "--strategy", "Grid", "--epochs", 1, *others)
    ended = run(*words, "--output", output)
    assert ended.returncode == 0, ended.stderr
    failed, good = table(output)
    assert (failed["status"], failed["value"], good["status"]) == ("Failed", "", "Completed")
    assert "mini_batch_size=4000 is more than num_training_samples" in failed["reason"]
    assert "Trial 1 has failed: bad hyperparameter: - mini_batch_size=4000" in ended.stderr


def test_a_search_whose_trials_all_fail_says_why(tmp_path: Path) -> None:
    photos = write_class_folders(tmp_path / "photos", 4)
    for file in (photos / "dots").iterdir():
        file.write_bytes(b"no image")
    words = (photos, "--ranges", ranges_file(tmp_path), "--trials", 20, *SMALL[:2], "--mini-batch-size", 4)
    ended = run(*words, "--epochs", 1, "--output", tmp_path / "study")
    assert ended.returncode == USER_ERROR
    assert "5 trials have failed and none has succeeded; the last one:" in ended.stderr
    assert "neither JPEG nor PNG" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [row["status"] for row in table(tmp_path / "study")] == ["Failed"] * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--strategy", "Hyperband"], "Hyperband needs the number of epochs"),
        (["--strategy", "Grid"], "the strategy Grid takes categorical ranges only"),
        (["--learning-rate", "7"], "learning_rate='7': must be a number, 0 to 1"),
        (["--parallel", "1024"], "1024 trials at once need 1024 cores"),
        (["--device", "cuda:1"], "CUDA_VISIBLE_DEVICES chooses among the GPUs"),
        (["--ranges", "nowhere.json"], "nowhere.json: the file cannot be read"),
        (["--validation", "nowhere"], "nowhere"),
        (["--model", "nowhere.tar.gz"], "nowhere.tar.gz: the model cannot be read"),
        (["--channel", "train=nowhere"], "give either SOURCE or --channel, not both"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_written(
    tmp_path: Path, options: list[str], message: str
) -> None:
    write_class_folders(tmp_path / "photos", 4)
    result = CliRunner(env={"COLUMNS": "220", "TERMINAL_WIDTH": "220"}).invoke(
        app, ["tune", str(tmp_path / "photos"), "--output", str(tmp_path / "study"), *options]
    )
    assert result.exit_code == USER_ERROR
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "study").exists()


def test_a_value_that_is_searched_too(tmp_path: Path) -> None:
    file, photos = ranges_file(tmp_path), write_class_folders(tmp_path / "photos", 4)
    result = CliRunner().invoke(
        app, ["tune", str(photos), "--ranges", str(file), "--learning-rate", "0.1", "--output", str(tmp_path / "study")]
    )
    assert result.exit_code == USER_ERROR
    assert "given a value, and searched as well: learning_rate" in result.output


def test_a_study_that_is_damaged(tmp_path: Path) -> None:
    output, photos = tmp_path / "study", write_class_folders(tmp_path / "photos", 4)
    output.mkdir()
    (output / "study.sqlite").write_bytes(b"no database" * 1000)
    ended = subprocess.run(
        [sys.executable, "-m", "imclass", "tune", str(photos), "--output", str(output), "--resume"],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == USER_ERROR, ended.stderr
    assert "study.sqlite: the study cannot be read" in ended.stderr
    assert ended.stdout == ""
