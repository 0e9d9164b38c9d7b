"""The texts that the source can say: its string literals, with a placeholder where a value is put in."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PLACEHOLDER = "\0"
_VALUE_PUT_IN_LATER = re.compile(r"%[-\d.]*[sdfgr]|\{\w+\}")  # of logging and of str.format


def texts(path: Path) -> Iterator[str]:
    """The literals of a module, except docstrings."""
    tree = ast.parse(path.read_text())
    parts_of_others = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in docstrings or id(node) in parts_of_others:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(_text(part) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield _VALUE_PUT_IN_LATER.sub(PLACEHOLDER, node.value)


def _text(part: ast.expr) -> str:
    return part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else PLACEHOLDER


def says(text: str, message: str) -> bool:
    """Whether a text of the source is the message, whose `...` stand for values that the source puts in.

    The message may leave out the beginning and the end of the text, as words; in between every word counts.
    """
    parts = message.split("...")
    if not all(part in text for part in parts):  # much faster than the pattern, for almost all texts
        return False
    pattern = re.escape(PLACEHOLDER).join(map(re.escape, parts))
    return re.search(rf"(?<!\w){pattern}(?!\w)", text) is not None


def user_error_kinds(paths: list[Path]) -> dict[str, Path]:
    """All classes below `UserError`, by name, and the modules that define them."""
    bases: dict[str, set[str]] = {}
    places: dict[str, Path] = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = {base.id for base in node.bases if isinstance(base, ast.Name)}
                places[node.name] = path
    known = {"UserError"}
    while more := {name for name, above in bases.items() if above & known} - known:
        known |= more
    return {name: places[name] for name in known - {"UserError"}}


def raisers(path: Path, kinds: set[str]) -> bool:
    """Whether a module makes errors of these kinds."""
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return any(isinstance(function, ast.Name) and function.id in kinds for function in calls)
