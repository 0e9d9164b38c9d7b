"""Help: quick, complete, with examples; and completion."""

import os
import resource
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from imclass.cli import app
from imclass.hyperparameters import FIELDS

WIDE = {"COLUMNS": "220", "TERMINAL_WIDTH": "220"}


def test_main_help_lists_commands_and_examples() -> None:
    result = CliRunner(env=WIDE).invoke(app, ["--help"])
    assert result.exit_code == 0
    for said in (
        "train",
        "evaluate",
        "predict",
        "pack",
        "unpack",
        "inspect",
        "Measure a model",
        "imclass train photos --output run1",
    ):
        assert said in result.output
    assert "--install-completion" in result.output


def seconds_of_children() -> float:
    """Processor time of all processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_main_help_is_quick_and_light() -> None:
    # The best of three, by processor time: this machine may be busy with other tests.
    seconds = []
    for _ in range(3):
        start = seconds_of_children()
        result = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "imclass", "--help"], capture_output=True, text=True, check=True
        )
        seconds.append(seconds_of_children() - start)
    imported = {
        line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines() if line.startswith("import time")
    }
    assert "typer" in imported
    assert not {"torch", "cv2", "pydantic", "numpy", "imclass.hyperparameters"} & imported
    assert min(seconds) < 1.0


@pytest.mark.parametrize(
    "command",
    ["train", "tune", "evaluate", "report", "compare", "predict", "transform", "serve", "pack", "unpack", "inspect"],
)
def test_every_command_explains_itself_with_examples(command: str) -> None:
    result = CliRunner(env=WIDE).invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"imclass {command} " in result.output
    assert "Examples" in result.output
    assert "default: None" not in result.output


def test_train_help_has_every_hyperparameter_in_its_panel() -> None:
    output = CliRunner(env=WIDE).invoke(app, ["train", "--help"]).output
    panels = {
        name: output.index(f"─ {name} ─") for name in ("Data", "Running", "Original hyperparameters", "Extensions")
    }
    assert sorted(panels, key=lambda name: panels[name]) == list(panels)
    for facts in FIELDS.values():
        option = "--" + facts.name.replace("_", "-")
        if facts.name.startswith("_"):
            assert option not in output
            continue
        place = output.index(f"{option} ")
        assert (place > panels["Extensions"]) == (not facts.original)


def test_a_command_without_arguments_shows_its_help() -> None:
    result = CliRunner(env=WIDE).invoke(app, ["predict"])
    assert result.exit_code == 2
    assert " predict [OPTIONS] " in result.output


def complete(words: str) -> list[str]:
    """What bash would offer for the last of `words`."""
    variables = {
        **os.environ,
        "_IMCLASS_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    result = subprocess.run([sys.executable, "-m", "imclass"], capture_output=True, text=True, env=variables)
    return result.stdout.split()


def test_completion() -> None:
    assert complete("imclass tr") == ["train", "transform"]
    assert "--learning-rate" in complete("imclass train --learn")
    assert complete("imclass train --optimizer a") == ["adam"]
