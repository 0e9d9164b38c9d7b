"""docs/commands.md names the options that there are."""

import re
from pathlib import Path

import pytest

from imclass.cli.lazy_group import load
from imclass.hyperparameters import FIELDS

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
COMMANDS = (
    "train",
    "tune",
    "evaluate",
    "report",
    "compare",
    "predict",
    "transform",
    "serve",
    "convert",
    "pack",
    "unpack",
    "inspect",
    "control-plane",
)
OF_THE_PROGRAM = {"--help", "--version", "--install-completion"}
OF_TORCHRUN = {"--nproc-per-node", "--nnodes", "--rdzv-backend", "--rdzv-endpoint"}
HYPERPARAMETER_OPTIONS = {"--" + name.replace("_", "-") for name in FIELDS}


def section(command: str) -> str:
    """The part of the page about one command."""
    found = re.search(rf"^## {command}$(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def options(command: str) -> set[str]:
    return {
        option
        for parameter in load(command).params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--")
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_in_its_section(command: str) -> None:
    own = options(command) - HYPERPARAMETER_OPTIONS
    assert own
    assert [option for option in sorted(own) if option not in section(command)] == []


def test_the_page_names_no_option_that_does_not_exist() -> None:
    known = set.union(*(options(command) for command in COMMANDS)) | OF_THE_PROGRAM | OF_TORCHRUN
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", PAGE.read_text()))
    assert named - known == set()
