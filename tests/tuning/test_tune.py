"""`imclass tune` as a process: trials that really train, and what is left when it is killed."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from imclass import artifact
from imclass.cli.exit_status import INTERRUPTED, TERMINATED, USER_ERROR
from tests.pictures import write_class_folders

pytestmark = pytest.mark.timeout(900)

DEADLINE = 240.0
SMALL = ("--num-layers", "8", "--mini-batch-size", "12", "--seed", "5", "--threads", "1", "--device", "cpu")
RANGES = {"ContinuousParameterRanges": [{"Name": "learning_rate", "MinValue": "0.001", "MaxValue": "0.1"}]}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_class_folders(tmp_path_factory.mktemp("photos"), 24)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "imclass", "tune", *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=DEADLINE * 2)


def ranges_file(folder: Path, values: Any = RANGES) -> Path:
    file = folder / "ranges.json"
    file.write_text(json.dumps(values))
    return file


def table(output: Path) -> list[dict[str, str]]:
    with (output / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def wait_for(is_reached: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not is_reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the search does not get on"
        time.sleep(0.02)


def trial_processes(output: Path) -> list[int]:
    """Processes of this machine that train in a folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if b"imclass.tuning.trial_process" in words and any(str(output).encode() in word for word in words):
            found.append(int(folder.name))
    return found


@pytest.fixture(scope="module")
def searched(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a search that has ended, and what it printed."""
    folder = tmp_path_factory.mktemp("searched")
    output = folder / "study"
    ended = run(photos, "--ranges", ranges_file(folder), "--trials", 3, "--epochs", 2, *SMALL, "--output", output)
    assert ended.returncode == 0, ended.stderr
    return output, ended.stdout


def test_the_best_model_is_that_of_the_best_trial(searched: tuple[Path, str]) -> None:
    output, printed = searched
    rows = table(output)
    assert [row["trial"] for row in rows] == ["1", "2", "3"]
    assert {row["status"] for row in rows} <= {"Completed", "Stopped"}
    best = max(rows, key=lambda row: float(row["value"]))
    assert f"{float(best['value']):.4f} validation:accuracy, trial {best['trial']} of 3" in printed
    model = output / "model.tar.gz"
    assert model.read_bytes() == (output / f"trials/000{best['trial']}/model.tar.gz").read_bytes()
    description, _ = artifact.load(model)
    assert description.metrics["validation_accuracy"] == pytest.approx(float(best["value"]))


def test_tables_and_the_study_agree(searched: tuple[Path, str]) -> None:
    output, _ = searched
    rows, told = table(output), json.loads((output / "trials.json").read_text())
    study = optuna.load_study(storage=f"sqlite:///{output / 'study.sqlite'}", study_name="imclass")
    for row, entry, frozen in zip(rows, told["trials"], study.trials, strict=True):
        assert float(row["learning_rate"]) == float(entry["values"]["learning_rate"]) == frozen.params["learning_rate"]
        assert float(row["value"]) == entry["value"] == frozen.user_attrs["value"]
        assert list(frozen.intermediate_values.values()) == entry["curve"]
        assert int(row["epochs"]) == len(entry["curve"]) <= 2
        assert float(row["seconds"]) > 0
    assert told["objective"] == {"metric": "validation:accuracy", "direction": "Maximize"}
    best = json.loads((output / "best.json").read_text())
    assert best["learning_rate"] == told["trials"][told["best"] - 1]["values"]["learning_rate"]
    assert (best["recipe"], best["num_layers"], best["epochs"]) == ("modern", "8", "2")


def test_nothing_is_left_that_nobody_needs(searched: tuple[Path, str]) -> None:
    output, _ = searched
    assert not list(output.rglob("*.tmp"))
    assert not list(output.rglob("checkpoints"))
    assert trial_processes(output) == []


def test_channels_are_searched_on_as_they_are_trained_on(
    searched: tuple[Path, str], photos: Path, tmp_path: Path
) -> None:
    first, _ = searched
    before, _ = artifact.load(first / "model.tar.gz")
    files = sorted(photos.rglob("*.png"))
    classes = before.class_names
    assert classes is not None
    rows = [f"{row}\t{classes.index(file.parent.name)}\t{file.relative_to(photos)}\n" for row, file in enumerate(files)]
    (tmp_path / "all.lst").write_text("".join(rows))
    places = {"train": photos, "train_lst": tmp_path / "all.lst", "validation": photos, "model": first / "model.tar.gz"}
    channels = [word for name, place in places.items() for word in ("--channel", f"{name}={place}")]
    output, shape = tmp_path / "study", ",".join(map(str, before.image_shape))
    words = ("--ranges", ranges_file(tmp_path), "--trials", 1, "--epochs", 1, "--image-shape", shape, *SMALL)
    ended = run(*channels, *words, "--resize-mode", before.resize_mode, "--output", output)
    assert ended.returncode == 0, ended.stderr
    assert [row["status"] for row in table(output)] == ["Completed"]
    assert json.loads((output / "best.json").read_text())["recipe"] == "sagemaker"
    assert f"Going on from {first / 'model.tar.gz'}" in (output / "trials/0001/log.txt").read_text()
    after, _ = artifact.load(output / "model.tar.gz")
    assert after.class_names == classes


def test_a_folder_with_results_is_refused(searched: tuple[Path, str], photos: Path, tmp_path: Path) -> None:
    output, _ = searched
    again = (photos, "--ranges", ranges_file(tmp_path), "--epochs", 2, *SMALL, "--output", output)
    ended = run(*again, "--trials", 3)
    assert ended.returncode == USER_ERROR
    assert "the folder holds results already (study.sqlite, model.tar.gz)" in ended.stderr
    ended = run(*again, "--trials", 3, "--resume", "--objective", "validation:loss")
    assert ended.returncode == USER_ERROR
    assert "the study was begun with other settings: objective" in ended.stderr
    before, model = (output / "trials.csv").read_text(), (output / "model.tar.gz").read_bytes()
    (output / "trials.csv").unlink()
    (output / "model.tar.gz").unlink()
    ended = run(*again, "--trials", 3, "--resume")
    assert ended.returncode == 0, ended.stderr
    assert (output / "trials.csv").read_text() == before
    assert (output / "model.tar.gz").read_bytes() == model


def test_a_search_goes_on_after_a_kill(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "study"
    words = (photos, "--ranges", ranges_file(tmp_path), "--trials", 2, "--stop-early", "Off", "--epochs", 4, *SMALL)
    words = (*words, "--output", output)
    with subprocess.Popen(command(*words), stderr=subprocess.PIPE) as process:
        wait_for((output / "trials/0001/checkpoints/last.pt").exists, process)
        process.kill()
    deadline = time.monotonic() + DEADLINE
    while trial_processes(output):
        assert time.monotonic() < deadline, "a trial goes on without its search"
        time.sleep(0.02)
    ended = run(*words, "--resume")
    assert ended.returncode == 0, ended.stderr
    assert "Going on with 1 interrupted trial" in ended.stderr
    assert [row["epochs"] for row in table(output)] == ["4", "4"]
    assert "Resuming after epoch" in (output / "trials/0001/log.txt").read_text()
    assert "Resuming after epoch" not in (output / "trials/0002/log.txt").read_text()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, TERMINATED), (signal.SIGINT, INTERRUPTED)])
def test_signals_end_the_trials_too(photos: Path, tmp_path: Path, number: signal.Signals, status: int) -> None:
    output = tmp_path / "study"
    words = (photos, "--ranges", ranges_file(tmp_path), "--trials", 2, "--epochs", 5000, *SMALL, "--output", output)
    with subprocess.Popen(command(*words), stderr=subprocess.PIPE) as process:
        wait_for(lambda: (output / "trials/0001/metrics.jsonl").exists(), process)
        process.send_signal(number)
        process.wait(DEADLINE)
    assert process.returncode == status
    assert trial_processes(output) == []
    assert (output / "trials/0001/checkpoints/last.pt").exists()


def test_trials_at_once_have_cores_of_their_own(photos: Path, tmp_path: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))
    output = tmp_path / "study"
    words = (photos, "--ranges", ranges_file(tmp_path), "--trials", 2, "--epochs", 5000, *SMALL, "--output", output)
    if len(cores) < 2:
        ended = run(*words, "--parallel", 2)
        assert "2 trials at once need 2 cores" in ended.stderr
        return
    with subprocess.Popen(command(*words, "--parallel", 2), stderr=subprocess.PIPE) as process:
        wait_for(lambda: len(list(output.glob("trials/*/metrics.jsonl"))) == 2, process)
        used = [os.sched_getaffinity(pid) for pid in trial_processes(output)]
        process.terminate()
        process.wait(DEADLINE)
    assert len(used) == 2
    assert used[0].isdisjoint(used[1])
    assert used[0] | used[1] == set(cores)


def test_a_poor_trial_is_stopped_early(photos: Path, tmp_path: Path) -> None:
    grid = {"CategoricalParameterRanges": [{"Name": "learning_rate", "Values": ["0.05", "1e-09"]}]}
    output = tmp_path / "study"
    words = (photos, "--ranges", ranges_file(tmp_path, grid), "--strategy", "Grid", "--stop-early", "Auto")
    ended = run(*words, "--epochs", 30, "--recipe", "sagemaker", "--image-shape", "3,16,16", *SMALL, "--output", output)
    assert ended.returncode == 0, ended.stderr
    good, poor = table(output)
    assert (good["status"], good["epochs"]) == ("Completed", "30")
    assert poor["status"] == "Stopped"
    assert int(poor["epochs"]) < 30
    assert (output / "trials/0002/model.tar.gz").exists()
