"""Places in a drawing."""

import math
import re

from imclass.drawing.axes import ChoiceAxis, NumberAxis
from imclass.drawing.frame import MOST_POINTS, Frame, path_of, thinned

FRAME = Frame(NumberAxis(0, 10), ChoiceAxis(("<a>", "b")), 200, 100, left=50, right=10, top=20, bottom=30)


def test_axes_begin_and_end_where_the_room_around_them_ends() -> None:
    assert (FRAME.across(0), FRAME.across(1)) == (50, 190)
    assert (FRAME.up(0), FRAME.up(1)) == (70, 20)


def test_the_grid_has_a_line_and_words_for_every_tick() -> None:
    text = "".join(FRAME.grid("x & y", "up"))
    assert len(re.findall('class="grid"', text)) == 6 + 2
    assert re.findall(r">([^<>]+)</text>", text) == ["0", "2", "4", "6", "8", "10", "&lt;a&gt;", "b", "x &amp; y", "up"]
    assert 'd="M78.0,20V70"' in text, "2 of 10 is a fifth of the way across"
    assert "rotate" not in "".join(FRAME.grid("x", ""))


def test_paths_leave_gaps_and_go_in_steps() -> None:
    assert path_of([(0, 1), (2, 3)]) == "M0.0,1.0L2.0,3.0"
    assert path_of([(0, 1), (1, math.nan), (2, 3), (4, 5)]) == "M0.0,1.0M2.0,3.0L4.0,5.0"
    assert path_of([(0, 1), (2, 3)], steps=True) == "M0.0,1.0H2.0V3.0"
    assert path_of([]) == ""


def test_long_lines_are_thinned_and_keep_their_ends() -> None:
    kept = thinned(5000).tolist()
    assert len(kept) == MOST_POINTS
    assert (kept[0], kept[-1]) == (0, 4999)
    assert kept == sorted(set(kept))
    assert thinned(9).tolist() == list(range(9))
