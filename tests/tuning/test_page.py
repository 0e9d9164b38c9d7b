"""The page of a search: its axes, its drawings, and how a browser shows it."""

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from imclass.drawing.axes import ChoiceAxis, NumberAxis
from imclass.tuning.axes import axis_of, place_on
from imclass.tuning.page import Account, page
from imclass.tuning.proposals import importances, propose
from imclass.tuning.ranges import CategoricalRange, ContinuousRange, tunable_ranges
from imclass.tuning.results import row, table, write_results
from imclass.tuning.search import Search
from imclass.tuning.trials import Trial
from tests.inference.serving.browser import Watched, needs_chromium, open_browser

REASON = 'it said "<no>", twice'


def test_axes_follow_the_ranges() -> None:
    optimizer = CategoricalRange("optimizer", ("sgd", "adam"))
    assert isinstance(axis_of(optimizer), ChoiceAxis)
    assert place_on(axis_of(optimizer), optimizer, "adam") == 0.75
    rate = ContinuousRange("learning_rate", 0.001, 0.1, "Logarithmic")
    assert place_on(axis_of(rate), rate, "0.01") == pytest.approx(0.5)
    alone = axis_of(ContinuousRange("learning_rate", 0.1, 0.1))
    assert isinstance(alone, NumberAxis)
    assert alone.share(0.1) == pytest.approx(0.5)


def account(count: int = 14) -> Account:
    search = Search(tunable_ranges(), count + 2)
    trials: list[Trial] = []
    for number in range(count):
        value = 0.5 + number % 5 / 10
        values = propose(search, trials, number)
        kind = ("Completed", "Stopped", "Completed", "Failed", "Completed")[number % 5]
        curve = (0.2, math.nan, value) if kind == "Completed" else (0.1,)
        trials.append(Trial(number, values, kind, curve, None if kind == "Failed" else value))  # type: ignore[arg-type]
    trials.append(Trial(count, propose(search, trials, count)))
    facts = [{"seconds": 12.5, "reason": REASON if trial.status == "Failed" else ""} for trial in trials[:-1]]
    return Account(search, trials, [*facts, {}], importances(search, trials), {"epochs": "<3>"})


def test_the_page_tells_all_trials_and_escapes_what_it_shows() -> None:
    text = page(account())
    assert text.count("<tr") == 1 + 15 + len(tunable_ranges())
    assert "it said &quot;&lt;no&gt;&quot;, twice" in text
    assert "epochs=&lt;3&gt;" in text
    assert "<no>" not in text
    assert "<script" not in text
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawings) == 2 + len(tunable_ranges())
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.attrib["aria-label"]
    assert "nan" not in "".join(drawings).replace("NaN", "nan").lower().replace("name", "")


def test_a_search_without_a_result_has_a_page_too(tmp_path: Path) -> None:
    search = Search(tunable_ranges(), 3)
    trial = Trial(0, propose(search, (), 0), "Failed")
    write_results(tmp_path, search, [trial], [{"seconds": 1.0, "reason": REASON}], {})
    assert sorted(file.name for file in tmp_path.iterdir()) == ["trials.csv", "trials.json", "tuning.html"]
    assert "<svg" not in (tmp_path / "tuning.html").read_text()


def test_rows_hold_what_json_and_csv_can() -> None:
    trial = Trial(0, {"optimizer": "sgd"}, "Completed", (math.nan, 0.5), 0.5)
    made = row(trial, {"seconds": 2.0, "reason": REASON})
    assert made["curve"] == [None, 0.5]
    assert table([made], ["optimizer", "momentum"]).splitlines() == [
        "trial,status,value,epochs,seconds,reason,optimizer,momentum",
        '1,Completed,0.5,2,2.0,"it said ""<no>"", twice",sgd,',
    ]


@needs_chromium
def test_a_browser_shows_it_without_a_complaint(tmp_path: Path) -> None:
    file = tmp_path / "tuning.html"
    file.write_text(page(account()))
    with open_browser() as browser:
        for scheme in ("light", "dark"):
            shown = browser.new_page(color_scheme=scheme, viewport={"width": 390, "height": 800})
            watched = Watched(shown)
            shown.goto(file.as_uri())
            assert shown.title() == "Tuning: validation:accuracy"
            assert shown.evaluate("document.documentElement.scrollWidth") <= 390
            assert shown.locator("svg").count() == 2 + len(tunable_ranges())
            assert shown.locator("svg").first.bounding_box()["height"] > 50
            assert watched.complaints == []
            assert [address for _, address in watched.requests] == [file.as_uri()]
