"""`imclass inspect`."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from imclass.cli import app
from imclass.cli.inspection_text import Inspection, plain_lines, print_tables
from imclass.images.inspection import ClassCount, Duplicates, SharedImage, SourceReport, Unreadable
from tests.pictures import write_class_folders


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["inspect", *map(str, arguments)])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """`train` and `val`: a copy within train, a copy in val, and a damaged image."""
    root = tmp_path / "photos"
    write_class_folders(root / "train", per_class=4)
    write_class_folders(root / "val", per_class=2, first=100)
    (root / "train" / "bars" / "000.png").write_bytes((root / "train" / "dots" / "000.png").read_bytes())
    (root / "val" / "rings" / "100.png").write_bytes((root / "train" / "rings" / "002.png").read_bytes())
    (root / "val" / "rings" / "101.png").write_bytes(b"no image")
    return root


def fields(output: str, kind: str) -> list[list[str]]:
    return [line.split("\t")[1:] for line in output.splitlines() if line.split("\t")[0] == kind]


def test_plain_lines(photos: Path) -> None:
    train = photos / "train"
    result = invoke(train)
    assert (result.exit_code, result.stderr) == (0, "")
    name = str(train)
    figures = {figure: int(value) for _, figure, value in fields(result.stdout, "figure")}
    assert (figures["images"], figures["classes"], figures["exact_duplicates"], figures["width_median"]) == (
        12,
        3,
        1,
        16,
    )
    assert fields(result.stdout, "class") == [
        [name, "0", "bars", "4"],
        [name, "1", "dots", "4"],
        [name, "2", "rings", "4"],
    ]
    assert fields(result.stdout, "exact") == [[name, "differ", "bars/000.png", "dots/000.png"]]
    assert fields(result.stdout, "size") == [[name, "16", "16", "12"]]
    assert ["image_shape", "3,16,16"] in fields(result.stdout, "suggested")


@pytest.mark.parametrize("as_one", [True, False])
def test_two_data_sets(as_one: bool, photos: Path) -> None:
    result = invoke(photos) if as_one else invoke(photos / "train", photos / "val")
    assert result.exit_code == 0
    shared = fields(result.stdout, "shared")
    assert ["exact", "same", "rings/002.png", "rings/100.png"] in shared
    ((where, key, reason),) = fields(result.stdout, "unreadable")
    assert (where, key) == (str(photos / "val"), "rings/101.png")
    assert "neither JPEG nor PNG" in reason


def test_json(photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    result = invoke(photos / "train", photos / "val", "--json", path, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    found = json.loads(path.read_text())
    assert [source["images"] for source in found["sources"]] == [12, 6]
    assert found["sources"][0]["classes"][1] == {"index": 1, "name": "dots", "images": 4}
    assert found["sources"][0]["exact_duplicates"] == [
        {"keys": ["bars/000.png", "dots/000.png"], "labels_differ": True}
    ]
    assert {"first": "rings/002.png", "second": "rings/100.png", "exact": True, "labels_differ": False} in found[
        "shared"
    ]
    assert found["suggestion"]["image_shape"] == [3, 16, 16]
    assert json.loads(invoke(photos / "train", photos / "val", "--json", "-").stdout) == found


def test_labels_out_of_range(photos: Path) -> None:
    result = invoke(photos / "train", "--num-classes", 2)
    assert len(fields(result.stdout, "label")) == 4
    assert fields(result.stdout, "label")[0][1:] == ["rings/000.png", "2", "is not below 2, the number of classes"]


def test_a_second_image_root_needs_a_second_source(photos: Path) -> None:
    result = invoke(photos / "train", "--second-image-root", photos)
    assert result.exit_code == 2
    assert "is for SOURCE2" in result.stderr


def empty_report(**changes: object) -> SourceReport:
    values: dict[str, object] = {
        "name": "x", "images": 0, "label_columns": 1, "classes": (), "label_problems": (), "unreadable": (),
        "widths": None, "heights": None, "sizes": (), "different_sizes": 0, "formats": {}, "channels": {},
        "exact_duplicates": (), "near_duplicates": (),
    }  # fmt: skip
    return SourceReport.model_validate({**values, **changes})


def test_tables_for_a_person() -> None:
    source = empty_report(
        name="photos",
        classes=(ClassCount(index=0, name="[bold]cat", images=1234),),
        unreadable=tuple(Unreadable(key=f"{n}.jpg", reason="is empty", truncated=False) for n in range(25)),
        near_duplicates=(Duplicates(keys=("a.jpg", "b.jpg"), labels_differ=True),),
        channels={1: 2},
    )
    shared = SharedImage(first="a.jpg", second="v.jpg", exact=False, labels_differ=False)
    inspection = Inspection((source,), (shared,), (ClassCount(index=3, name=None, images=2),), None)
    console = Console(width=100, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    print_tables(inspection, console)
    text = console.export_text()
    console.file.close()
    for said in ("[bold]cat", "1,234", "19.jpg", "... and 5 more", "Alike", "differ", "Images in both", "1 channel"):
        assert said in text
    assert "20.jpg" not in text
    assert "Same bytes" not in text


def test_a_program_gets_all_lines() -> None:
    source = empty_report(unreadable=tuple(Unreadable(key=f"{n}", reason="x", truncated=n == 3) for n in range(25)))
    lines = list(plain_lines(Inspection((source,), (), (ClassCount(index=3, name=None, images=2),), None)))
    assert sum(line.startswith("unreadable\tx\t") for line in lines) == 24
    assert "truncated\tx\t3\tx" in lines
    assert lines[-1] == "untrained\t3\t\t2"
