"""docs/architecture.md is the map of the source as it is."""

import re
import tomllib

import pytest

from tests.documentation.pages import DOCS, ROOT, SOURCE, blocks, section, table

PAGE = (DOCS / "architecture.md").read_text()
ROOMS = section(PAGE, "Rooms")
NO_ROOMS = {"__init__", "__main__", "__pycache__"}


def layers() -> list[str]:
    """The lines of the import-linter contract, the highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    found: list[str] = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return found


def test_the_picture_is_the_contract() -> None:
    (picture,) = blocks(ROOMS)
    assert picture.text.splitlines() == layers()


def test_the_table_has_every_room_of_the_source() -> None:
    named = [row[0].strip("`") for row in table(ROOMS)]
    there = {path.stem for path in SOURCE.iterdir() if path.is_dir() or path.suffix == ".py"} - NO_ROOMS
    assert len(named) == len(set(named))
    assert set(named) == there
    assert set(named) == {room for line in layers() for room in line.split(" | ")}


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
