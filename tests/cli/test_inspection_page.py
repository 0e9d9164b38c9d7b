"""The page of `imclass inspect --html`."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from imclass.cli import app
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
        elif tag != "meta":
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
    assert "<script" not in text
    found = json.loads((tmp_path / "report.json").read_text())
    shown = [8, 8, 8, 3, 2, 2, 2 * len(found["shared"])]  # examples of the classes of both, pairs
    for source in found["sources"]:
        shown += [len(group["keys"]) for group in source["exact_duplicates"] + source["near_duplicates"]]
    assert len(page.pictures) == sum(shown)
    for picture in page.pictures:
        kind, data = picture.split(",", 1)
        assert kind == "data:image/jpeg;base64"
        assert dimensions(base64.b64decode(data)) == (96, 96)
    assert not re.search(r'(src|href)="(?!data:)', text)
