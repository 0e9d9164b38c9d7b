"""docs/architecture.md is the map of the source as it is."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.documentation.pages import DOCS, ROOT, SOURCE, blocks, section, table

PAGE = (DOCS / "architecture.md").read_text()
ROOMS = section(PAGE, "Rooms")
CONTROL_PLANE = section(PAGE, "Rooms of the control plane")
HOUSES = pytest.mark.parametrize(
    ("rooms", "container", "folder"),
    [
        (ROOMS, "imclass", SOURCE),
        (CONTROL_PLANE, "imclass.sagemaker.control_plane", SOURCE / "sagemaker/control_plane"),
    ],
    ids=["imclass", "control plane"],
)
NO_ROOMS = {"__init__", "__main__", "__pycache__"}


def layers(container: str = "imclass") -> list[str]:
    """The lines of the import-linter contract on a package, the highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    found: list[str] = next(each["layers"] for each in contracts if each.get("containers") == [container])
    return found


@HOUSES
def test_the_picture_is_the_contract(rooms: str, container: str, folder: Path) -> None:
    (picture,) = blocks(rooms)
    assert picture.text.splitlines() == layers(container)


@HOUSES
def test_the_table_has_every_room_of_the_source(rooms: str, container: str, folder: Path) -> None:
    named = [row[0].strip("`") for row in table(rooms)]
    there = {path.stem for path in folder.iterdir() if path.is_dir() or path.suffix == ".py"} - NO_ROOMS
    assert len(named) == len(set(named))
    assert set(named) == there
    assert set(named) == {room for line in layers(container) for room in line.split(" | ")}


def test_every_module_that_is_named_is_there() -> None:
    rooms = "|".join(room for line in layers() for room in line.split(" | "))
    named = set(re.findall(rf"(?<![\w/])(?:{rooms})/[\w/]+(?:\.py|/)", PAGE))
    assert len(named) > 30
    assert [name for name in sorted(named) if not (SOURCE / name).exists()] == []


@pytest.mark.parametrize("room", ["data", "hyperparameters"])
def test_rooms_that_load_no_heavy_library_have_a_contract(room: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    forbidden = [
        set(one["forbidden_modules"]) for one in contracts if f"imclass.{room}" in one.get("source_modules", [])
    ]
    assert any({"torch", "cv2"} <= modules for modules in forbidden)
