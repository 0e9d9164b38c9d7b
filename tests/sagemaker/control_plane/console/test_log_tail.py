"""The end of a log, and what follows."""

from pathlib import Path

import pytest

from imclass.sagemaker.control_plane.console.log_tail import (
    LONGEST_LINE,
    MOST_LINES,
    Lines,
    line_start,
    read_after,
    read_tail,
)
from imclass.sagemaker.control_plane.store.log_files import LogWriter


def write(file: Path, *lines: str) -> None:
    with LogWriter(file) as log:
        for line in lines:
            log.write(line.encode())


def messages(lines: Lines) -> list[str]:
    return [event.message for event in lines.events]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "a.log"


def test_a_short_log_is_shown_whole_and_followed(log: Path) -> None:
    write(log, "one", "two")
    tail = read_tail(log)
    assert messages(tail) == ["one", "two"]
    assert not tail.is_cut
    assert read_after(log, tail.after) == Lines([], tail.after, is_cut=False)
    write(log, "three")
    with log.open("ab") as stream:
        stream.write(b"17698176 half a li")
    following = read_after(log, tail.after)
    assert messages(following) == ["three"]
    assert messages(read_after(log, following.after)) == []


def test_an_empty_log(log: Path) -> None:
    write(log)
    assert read_tail(log) == Lines([], 0, is_cut=False)


def test_of_a_long_log_the_end_is_shown(log: Path) -> None:
    write(log, *(f"line {number} {'x' * 90}" for number in range(3000)))
    tail = read_tail(log)
    assert tail.is_cut
    assert messages(tail)[-1].startswith("line 2999 ")
    assert messages(tail)[0].startswith("line ")
    assert len(tail.events) <= MOST_LINES
    assert tail.after == log.stat().st_size
    assert messages(read_after(log, 0)) == messages(tail), "who is too far behind gets the end"


def test_many_short_lines_are_too_many(log: Path) -> None:
    write(log, *(str(number) for number in range(MOST_LINES + 7)))
    tail = read_tail(log)
    assert tail.is_cut
    assert messages(tail)[0] == "7"


def test_a_long_line_is_shortened(log: Path) -> None:
    write(log, "y" * (LONGEST_LINE + 1))
    assert messages(read_tail(log)) == ["y" * LONGEST_LINE + " ..."]


def test_one_line_that_is_longer_than_the_tail(log: Path) -> None:
    write(log, "first", "z" * 200_000)
    tail = read_tail(log)
    assert messages(tail) == []
    assert tail.is_cut
    write(log, "last")
    assert messages(read_after(log, tail.after))[-1] == "last"


def test_a_place_inside_a_line_is_refused(log: Path) -> None:
    write(log, "one", "two")
    size = log.stat().st_size
    for wrong in (-1, 3, size - 1, size + 1):
        with pytest.raises(ValueError, match="no line begins"):
            read_after(log, wrong)


def test_lines_begin_behind_line_ends(log: Path) -> None:
    write(log, "one", "two")
    content = log.read_bytes()
    second = content.index(b"\n") + 1
    assert [line_start(log, place) for place in (0, 1, second, second + 1)] == [0, second, second, len(content)]
