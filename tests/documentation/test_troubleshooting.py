"""docs/troubleshooting.md quotes messages that imclass says, of every room and kind."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.documentation.pages import DOCS, SOURCE, section, table
from tests.documentation.source_texts import raisers, says, texts, user_error_kinds

PAGE = (DOCS / "troubleshooting.md").read_text()
KINDS_SECTION = "How to read an error"
SECTIONS = [name for name in re.findall(r"^## (.+)$", PAGE, re.MULTILINE) if name != KINDS_SECTION]
MESSAGES = [row[0].strip("`") for name in SECTIONS for row in table(section(PAGE, name))]
MODULES = sorted(SOURCE.rglob("*.py"))
FEWEST_LETTERS = 7


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@cache
def texts_of_rooms() -> list[tuple[str, str]]:
    """All texts of the source, each with its room."""
    return [(room(path), text) for path in MODULES for text in texts(path)]


@cache
def rooms_that_say(message: str) -> set[str]:
    return {room for room, text in texts_of_rooms() if says(text, message)}


@pytest.mark.parametrize("message", MESSAGES)
def test_the_source_says_the_message(message: str) -> None:
    assert len(re.findall(r"\w", message)) >= FEWEST_LETTERS or message == "must be ..."
    assert rooms_that_say(message)


def test_no_message_is_there_twice() -> None:
    assert sorted(MESSAGES) == sorted(set(MESSAGES))


def test_every_kind_of_error_is_explained() -> None:
    named = set(re.findall(r"`(\w+Error)`", section(PAGE, KINDS_SECTION)))
    kinds = user_error_kinds(MODULES)
    assert len(kinds) > 5
    assert set(kinds) - named == set()
    assert named <= set(kinds) | {"UserError"}


def test_every_room_that_refuses_something_is_there() -> None:
    kinds = {"UserError", *user_error_kinds(MODULES)}
    refusing = {room(path) for path in MODULES if raisers(path, kinds)} - {"errors"}
    quoted = set.union(*map(rooms_that_say, MESSAGES))
    assert refusing - quoted == set()


def test_a_message_must_be_whole_words_of_one_text() -> None:
    text = "there is no \0 in it, so this is not a model"
    assert says(text, "there is no ... in it")
    assert says(text, "this is not a model")
    assert not says(text, "there is no model")
    assert not says(text, "is not a mod")
    assert not says(text, "there is ... in it")
