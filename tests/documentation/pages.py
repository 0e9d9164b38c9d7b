"""Reading the pages of docs/: their blocks, links, headings and tables."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCE = ROOT / "src" / "imclass"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`+([^`]+)`+")


@dataclass(frozen=True)
class Block:
    """A fenced block: the language that its fence names ("" without one), and its lines."""

    language: str
    text: str


def blocks(text: str) -> list[Block]:
    return [Block(found["language"], found["text"]) for found in _FENCE.finditer(text)]


def without_blocks(text: str) -> str:
    return _FENCE.sub("", text)


def links(text: str) -> list[str]:
    """Targets of all links outside of code."""
    return _LINK.findall(_CODE.sub("", without_blocks(text)))


def code_spans(text: str) -> list[str]:
    """What stands between backticks outside of blocks."""
    return _CODE.findall(without_blocks(text))


def anchors(text: str) -> set[str]:
    """Names of the headings as GitHub makes them: small letters, hyphens for spaces, no punctuation."""
    headings = _HEADING.findall(without_blocks(text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(text: str, heading: str) -> str:
    """What stands between a heading of the second level and the next."""
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no section {heading!r}"
    return found[1]


def table(text: str) -> list[list[str]]:
    """The rows of all tables in a text, without their heads, as stripped cells. A bar in a cell is written `\\|`."""
    rows: list[list[str]] = []
    lines = without_blocks(text).splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("|") and not following.startswith("|--") and not set(line) <= set("|- "):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            rows.append([cell.strip().replace("\\|", "|") for cell in cells])
    return rows
