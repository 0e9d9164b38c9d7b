"""The page of `imclass inspect --html`."""

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from imclass.cli import app, inspection_page
from imclass.cli.inspection_page import IMAGES_OF_A_GROUP
from imclass.images import dimensions
from tests.pictures import write_class_folders


class Page(HTMLParser):
    """Collects text and pictures, and checks that elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.said: list[str] = []
        self.pictures: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(dict(attrs)["src"] or "")
        elif tag not in ("meta", "link", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["inspect", *map(str, arguments)])


def test_the_page_shows_what_was_found(tmp_path: Path) -> None:
    train = write_class_folders(tmp_path / "train", per_class=10)
    val = write_class_folders(tmp_path / "val", per_class=2, first=100)
    (train / "dots").rename(train / "<script>&")
    (val / "dots").rename(val / "<script>&")
    copied = (train / "bars" / "000.png").read_bytes()
    (train / "rings" / "copy.png").write_bytes(copied)
    (val / "bars" / "seen.png").write_bytes(copied)
    (val / "bars" / "bad.png").write_bytes(b"no image")
    result = invoke(train, val, "--html", tmp_path / "page.html", "--json", tmp_path / "report.json", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    text = (tmp_path / "page.html").read_text()
    page = Page(text)
    assert page.open == []
    said = " ".join(page.said)
    for wanted in ("<script>&", "Same bytes", "labels differ", "Images in both", "bad.png", "Suggested", "3,16,16"):
        assert wanted in said
    assert "&lt;script&gt;&amp;" in text
    assert text.count("<script") == 1
    found = json.loads((tmp_path / "report.json").read_text())
    shown = [10, 10, 10, 3, 2, 2, 2 * len(found["shared"])]  # examples of the classes of both, pairs
    for source in found["sources"]:
        shown += [
            min(len(group["keys"]), IMAGES_OF_A_GROUP)
            for group in source["exact_duplicates"] + source["near_duplicates"]
        ]
    assert len(page.pictures) == sum(shown)
    for picture in page.pictures:
        kind, data = picture.split(",", 1)
        assert kind == "data:image/jpeg;base64"
        assert dimensions(base64.b64decode(data)) == (16, 16)
    assert not re.search(r'(src|href)="(?!data:|#)', text)


def test_a_page_of_many_classes_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection_page, "CLASS_THUMBNAILS", 9)
    write_class_folders(tmp_path / "train", per_class=12)
    assert invoke(tmp_path / "train", "--html", tmp_path / "page.html", "--quiet").exit_code == 0
    text = (tmp_path / "page.html").read_text()
    assert len(re.findall(r'<div class="strip">(?:<img[^>]*>){3}</div>', text)) == 3


def test_weights_are_shown_where_they_are_suggested(tmp_path: Path) -> None:
    train = write_class_folders(tmp_path / "train", per_class=8)
    for number in range(2, 8):
        (train / "dots" / f"{number:03d}.png").unlink()
    result = invoke(train, "--html", tmp_path / "page.html")
    weights = [line.split("\t")[1:] for line in result.output.splitlines() if line.startswith("weight\t")]
    assert [number for number, _ in weights] == ["0", "1", "2"]
    dots = max(float(weight) for _, weight in weights)
    assert dots == pytest.approx(18 / 3 / 2)
    assert f">{dots:.3f}</td>" in (tmp_path / "page.html").read_text()


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Sorts by the number of images, the most first, and shows only names with "s 1"; then the page says what is left.
USE_THE_PAGE = """<script>
const head = document.querySelector("#s0-table th:nth-child(3) button");
head.click();
head.click();
const field = document.querySelector("input[type=search]");
field.value = "S 1";
field.dispatchEvent(new Event("input"));
const rows = [...document.querySelector("#s0-table").tBodies[0].rows].filter(row => !row.hidden);
const pictures = [...document.images].every(image => image.src.startsWith("data:"));
document.title = rows.map(row => row.cells[1].textContent + "=" + row.cells[2].dataset.value).join(" ") + pictures;
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_a_browser_shows_sorts_and_filters_the_page_without_errors(tmp_path: Path) -> None:
    first = write_class_folders(tmp_path / "first", per_class=1)
    picture = next(first.rglob("*.png")).read_bytes()
    for number in range(16):
        folder = tmp_path / "train" / f"class {number}"
        folder.mkdir(parents=True)
        for copy in range(1 + number % 5):
            (folder / f"{copy}.png").write_bytes(picture)
    page = tmp_path / "page.html"
    assert invoke(tmp_path / "train", "--html", page, "--quiet").exit_code == 0
    page.write_text(page.read_text().replace("</body>", USE_THE_PAGE + "</body>"))
    shown = browse(page, tmp_path / "profile")
    assert "<title>class 14=5 class 13=4 class 12=3 class 1=2 class 11=2 class 10=1 class 15=1true</title>" in shown


def browse(page: Path, profile: Path) -> str:
    """The document as a browser holds it after its scripts have run; nothing may have been said on its console."""
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --disable-dev-shm-usage --enable-logging=stderr --dump-dom"
    )
    command = [str(CHROMIUM), *flags.split(), f"--user-data-dir={profile}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    assert "CONSOLE" not in done.stderr
    return done.stdout
