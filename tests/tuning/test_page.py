"""The page of a search: its axes, its drawings, and how a browser shows it."""

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from imclass.tuning.axes import ChoiceAxis, NumberAxis, axis_around, axis_of, axis_of_counts
from imclass.tuning.page import Account, page
from imclass.tuning.proposals import importances, propose
from imclass.tuning.ranges import CategoricalRange, ContinuousRange, tunable_ranges
from imclass.tuning.results import row, table, write_results
from imclass.tuning.search import Search
from imclass.tuning.trials import Trial
from tests.inference.serving.browser import Watched, needs_chromium, open_browser

REASON = 'it said "<no>", twice'


def labels(axis: NumberAxis | ChoiceAxis) -> list[str]:
    return [tick.label for tick in axis.ticks()]


def test_ticks_are_round_and_within_the_axis() -> None:
    assert labels(NumberAxis(0.0, 1.0)) == ["0", "0.25", "0.5", "0.75", "1"]
    assert labels(NumberAxis(0.412, 0.431)) == ["0.415", "0.42", "0.425", "0.43"]
    assert labels(NumberAxis(1e-6, 0.5, "Logarithmic")) == ["1e-06", "1e-05", "0.0001", "0.001", "0.01", "0.1"]
    assert labels(NumberAxis(1e-8, 1.0, "Logarithmic")) == ["1e-08", "1e-06", "0.0001", "0.01", "1"]
    assert labels(NumberAxis(0.005, 0.5, "Logarithmic")) == ["0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5"]
    assert labels(NumberAxis(1e-4, 0.5, "Logarithmic")) == ["0.0001", "0.001", "0.01", "0.1"]
    assert labels(NumberAxis(8, 64, "Logarithmic")) == ["10", "20", "50"]
    assert labels(NumberAxis(0.0, 0.999, "ReverseLogarithmic")) == ["0", "0.5", "0.9", "0.99", "0.999"]
    assert labels(axis_of_counts(2)) == ["1", "2"]
    assert labels(axis_of_counts(12)) == ["5", "10"]
    assert labels(ChoiceAxis(("sgd", "adam"))) == ["sgd", "adam"]
    for axis in (NumberAxis(-3.0, 7.0), NumberAxis(1e-9, 3e4, "Logarithmic"), axis_around([5.0])):
        assert all(-1e-9 <= tick.share <= 1 + 1e-9 for tick in axis.ticks())


def test_places_follow_the_scale() -> None:
    assert NumberAxis(1e-4, 1.0, "Logarithmic").share(0.01) == pytest.approx(0.5)
    reverse = NumberAxis(0.0, 0.9999, "ReverseLogarithmic")
    assert [reverse.share(value) for value in (0.0, 0.99, 0.9999)] == pytest.approx([0.0, 0.5, 1.0])
    assert ChoiceAxis(("a", "b")).share("b") == 0.75
    assert isinstance(axis_of(CategoricalRange("optimizer", ("sgd", "adam"))), ChoiceAxis)
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
