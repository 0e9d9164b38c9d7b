"""Exit statuses and messages of the real program."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imclass.version import VERSION

PROGRAM = [sys.executable, "-m", "imclass"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "COLUMNS": "100", **environment}
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, env=variables, timeout=60)


def test_version() -> None:
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"imclass {VERSION}\n")


def test_user_error_is_one_message_and_status_2(tmp_path: Path) -> None:
    missing = tmp_path / "none.tar.gz"
    result = run("predict", str(missing), "cat.jpg")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("imclass: error: ")
    assert str(missing) in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "Did you mean 'train'?"),
        (["train", "photos"], "--output"),
        (["predict", "model.tar.gz", "a.png", "--top-k", "0"], "--top-k"),
        (["train", "photos", "--output", "x", "--learning-rat", "1"], "--learning-rate"),
    ],
)
def test_usage_errors_are_status_2(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def program(body: str) -> list[str]:
    """A program that runs `imclass predict` with `body` in the place of the model loader."""
    return [
        sys.executable,
        "-c",
        "import sys, time\n"
        "import imclass.inference.predictor as predictor\n"
        f"def load(*arguments, **options):\n    {body}\n"
        "predictor.load = load\n"
        "sys.argv = ['imclass', 'predict', 'model.tar.gz', 'a.png']\n"
        "from imclass.cli import main\n"
        "main()\n",
    ]


def test_internal_error_is_status_1_with_a_traceback() -> None:
    result = subprocess.run(program("return 1 / 0"), capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert "ZeroDivisionError" in result.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(number: signal.Signals, status: int) -> None:
    command = program("print('ready', flush=True); time.sleep(60)")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == status
    assert "Traceback" not in errors


def test_a_reader_that_leaves_early_is_no_crash() -> None:
    with subprocess.Popen([*PROGRAM, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()
    assert "Traceback" not in errors


def test_processes_of_torchrun_say_who_they_are(tmp_path: Path) -> None:
    result = run("train", "photos", "--output", str(tmp_path / "run"), "--set", "nonsense", RANK="3")
    assert result.returncode == 2
    assert result.stderr.startswith("imclass: error (process 3): --set: 'nonsense' is not NAME=VALUE")
