"""The page of a report in Chromium, opened as a file: no errors, and everything on it works."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from imclass import artifact
from imclass.reports.making import make_report
from imclass.reports.subject import Computing, Metrics, Subject
from imclass.training.answers import Answers
from tests.conftest import SaveModel

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CLASSES = 40

# Uses the page as a person would, and writes into the title what is there to be seen then.
USE_THE_PAGE = """
const press = (element, key) =>
  element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const seen = [];
const heads = document.querySelectorAll("#class-table th button");
heads[2].click(); heads[2].click();
const field = document.querySelector("input[type=search]");
field.value = "CLASS 1";
field.dispatchEvent(new Event("input"));
const rows = [...document.querySelector("#class-table").tBodies[0].rows].filter(row => !row.hidden);
seen.push(rows.length, rows[0].cells[1].textContent);
const chart = document.getElementById("chart-loss");
press(chart, "End");
seen.push(document.getElementById("tip").textContent.replaceAll("\\n", " "));
press(chart, "Escape");
seen.push(document.getElementById("tip").hidden);
const matrix = document.getElementById("matrix"), cell = document.getElementById("cell");
press(matrix, "ArrowRight");
seen.push(cell.textContent);
press(matrix, "+");
press(matrix, "ArrowDown");
seen.push(/ taken for /.test(cell.textContent));
const pixels = matrix.getContext("2d").getImageData(0, 0, matrix.width, matrix.height).data;
seen.push(new Set(pixels).size > 20);
seen.push(document.documentElement.scrollWidth <= innerWidth);
document.title = seen.join("|");
"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_works_and_says_nothing_on_the_console(save_model: SaveModel, tmp_path: Path, width: int) -> None:
    make_report(subject_of_many_classes(save_model), tmp_path)
    page = tmp_path / "report.html"
    # Within the policy no other script may run, so the test's own is made a part of the page's, and the policy goes.
    text = page.read_text()
    head, policy, rest = text.partition("http-equiv")
    assert policy
    page.write_text(head + "data-was" + rest.replace("</script>\n</body>", USE_THE_PAGE + "</script>\n</body>"))
    shown = browse(page, tmp_path / "profile", width)
    first = "class 17|epoch 2 training: 1 validation: 1.5|true|class 1: 10 right, 100.0% of its 10|"
    found = shown.partition("<title>")[2].partition("</title>")[0]
    assert found.startswith(f"11|{first}"), found
    assert found.endswith("|true|true|true"), found  # the last: no part of the page is wider than the window


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_the_policy_lets_the_style_and_the_script_of_the_page_in(save_model: SaveModel, tmp_path: Path) -> None:
    make_report(subject_of_many_classes(save_model), tmp_path)
    shown = browse(tmp_path / "report.html", tmp_path / "profile", 1280)
    assert '<button type="button">precision</button>' in shown, "the script has run"
    assert 'width="' in shown.partition('<canvas id="matrix"')[2].partition(">")[0], "the matrix has been drawn"


def subject_of_many_classes(save_model: SaveModel) -> Subject:
    """A subject with more images of class 17 than of any other, each tenth of which is taken for the next class."""
    names = tuple(f"class {number}" for number in range(CLASSES))
    description, network = artifact.load(save_model(num_classes=CLASSES, class_names=names, epoch=2))
    labels = np.concatenate([np.arange(400) % CLASSES, np.full(30, 17)])
    logits = np.random.default_rng(0).normal(0, 1, (430, CLASSES)).astype(np.float32)
    answers = np.where(np.arange(430) % 10 == 0, (labels + 1) % CLASSES, labels)
    logits[np.arange(430), answers] += 6
    history: list[Metrics] = [
        {"epoch": epoch, "train_loss": 2.0 - epoch, "validation_loss": 2.5 - epoch, "learning_rate": 0.1}
        for epoch in (0.0, 1.0)
    ]
    return Subject(
        name="model",
        description=description,
        network=network,
        computing=Computing(torch.device("cpu"), 1),
        answers=Answers(np.arange(430), logits, labels[:, np.newaxis].astype(np.float32)),
        validation=None,
        history=history,
    )


def browse(page: Path, profile: Path, width: int) -> str:
    """The document as the browser holds it after its scripts have run; nothing may have been said on its console."""
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --disable-dev-shm-usage --enable-logging=stderr --dump-dom "
        f"--window-size={width},900 --virtual-time-budget=2000"
    )
    command = [str(CHROMIUM), *flags.split(), f"--user-data-dir={profile}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    return done.stdout
