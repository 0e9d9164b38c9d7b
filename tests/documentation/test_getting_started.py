"""The page for the first ten minutes does what it says, command by command."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.documentation.pages import DOCS, ROOT, blocks, section

PAGE = (DOCS / "getting-started.md").read_text()
INSTALLATION = [block.text for block in blocks(section(PAGE, "Install"))]
COMMANDS = [block for block in blocks(PAGE) if block.language in ("sh", "python") and block.text not in INSTALLATION]


def script(port: int) -> str:
    """All commands of the page in their order, on a free port; an answer is marked with the number of its block."""
    parts = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for number, block in enumerate(COMMANDS):
        text = block.text.replace("8080", str(port))
        parts.append(f"echo; echo '=== {number}'")
        parts.append(text if block.language == "sh" else f"python - <<'END'\n{text}END")
    return "\n".join(parts)


def outputs_of(printed: str) -> dict[str, str]:
    """What each block printed, by its first line."""
    pieces = re.split(r"^=== \d+$\n", printed, flags=re.MULTILINE)[1:]
    return {block.text.splitlines()[0]: piece for block, piece in zip(COMMANDS, pieces, strict=True)}


def test_the_installation_asks_for_an_extra_that_there_is() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"pip install '\.\[(\w+)\]'", "".join(INSTALLATION))
    assert named == ["demo"]
    assert set(named) <= set(extras)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_every_command_works(tmp_path: Path, free_port: int) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    completed = subprocess.run(
        ["bash", "-c", script(free_port)],
        cwd=tmp_path,
        env={**os.environ, "PATH": programs, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    outputs = outputs_of(completed.stdout)

    listed = next(block.text for block in blocks(section(PAGE, "Get pictures")) if block.language == "text")
    assert all((tmp_path / name).is_file() for name in listed.splitlines())

    trained = next(text for command, text in outputs.items() if command.startswith("imclass train"))
    best = re.search(r"^best +([\d.]+)% validation accuracy, after epoch \d of 6$", trained, re.MULTILINE)
    assert best is not None
    assert float(best[1]) > 95
    measured = next(text for command, text in outputs.items() if command.startswith("imclass evaluate"))
    accuracy = re.search(r"^figure\taccuracy\t([\d.]+)$", measured, re.MULTILINE)
    assert accuracy is not None
    assert float(accuracy[1]) > 0.95
    found = re.search(r"^(\d+)% of 46 threes were found$", completed.stdout, re.MULTILINE)
    assert found is not None
    assert int(found[1]) > 80

    answers = next(text for command, text in outputs.items() if command.startswith("image="))
    probabilities, verbose = answers.strip().replace("}[", "}\n[").replace("]{", "]\n{").splitlines()
    assert len(json.loads(probabilities)) == 10
    assert json.loads(verbose)["predicted_label"] == "3"
    assert "<html" in (tmp_path / "digits" / "inspection.html").read_text()
    with (tmp_path / "results" / "predictions.csv").open(newline="") as lines:
        assert len(list(csv.reader(lines))) == 451
