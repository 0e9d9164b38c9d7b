"""Drawings of a search, as SVG for a page: colours come from its style, and every point says its values on hovering."""

import math
from collections.abc import Sequence
from html import escape

from imclass.drawing.axes import Axis, axis_around, axis_of_counts
from imclass.drawing.frame import Frame, path_of
from imclass.tuning.axes import axis_of, place_on
from imclass.tuning.objective import Objective
from imclass.tuning.ranges import Range
from imclass.tuning.trials import Trial
from imclass.tuning.words import shown

WIDE, NARROW = 500, 340
HEIGHT = 260
RIGHT = 24  # so that the last label is not cut off


class Plot:
    """A frame with two axes, and what is drawn in it."""

    def __init__(self, title: str, x: Axis, y: Axis, x_name: str, y_name: str, width: int = WIDE) -> None:
        self._frame = Frame(x, y, width, HEIGHT, right=RIGHT)
        self._parts = [
            f'<svg viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{escape(title)}">',
            *self._frame.grid(x_name, y_name),
        ]

    def point(self, x_share: float, y_share: float, kind: str, words: str) -> None:
        """A dot; shares are places on the axes."""
        x, y = self._frame.across(x_share), self._frame.up(y_share)
        self._parts.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"><title>{escape(words)}</title></circle>'
        )

    def line(self, shares: Sequence[tuple[float, float]], kind: str, words: str) -> None:
        """Straight lines from place to place."""
        path = path_of([(self._frame.across(x), self._frame.up(y)) for x, y in shares])
        self._parts.append(f'<path class="line {kind}" d="{path}"><title>{escape(words)}</title></path>')

    def __str__(self) -> str:
        return "".join([*self._parts, "</svg>"])


def history(trials: Sequence[Trial], objective: Objective) -> str:
    """The value of each trial, and the best so far."""
    measured = [trial for trial in trials if trial.value is not None]
    x = axis_of_counts(len(trials))
    y = axis_around([trial.value for trial in measured if trial.value is not None])
    plot = Plot("Value of each trial", x, y, "trial", objective.metric)
    steps: list[tuple[float, float]] = []
    best: float | None = None
    for trial in measured:
        assert trial.value is not None
        place = x.share(trial.number + 1)
        if best is not None:
            steps.append((place, y.share(best)))
        if objective.is_better(trial.value, best):
            best = trial.value
            steps.append((place, y.share(best)))
    plot.line(steps, "leader", "the best so far")
    for trial in measured:
        assert trial.value is not None
        plot.point(x.share(trial.number + 1), y.share(trial.value), _kind(trial), _words(trial))
    return str(plot)


def curves(trials: Sequence[Trial], best: Trial, objective: Objective) -> str:
    """The objective of all trials after each epoch; the best trial's is drawn last."""
    drawn = [trial for trial in trials if any(math.isfinite(value) for value in trial.curve)]
    drawn.sort(key=lambda trial: trial.number == best.number)
    x = axis_of_counts(max(len(trial.curve) for trial in drawn))
    y = axis_around([value for trial in drawn for value in trial.curve if math.isfinite(value)])
    plot = Plot("Course of each trial", x, y, "epoch", objective.metric)
    for trial in drawn:
        kind = "curve leader" if trial.number == best.number else f"curve {trial.status.lower()}"
        finite = [(epoch, value) for epoch, value in enumerate(trial.curve, 1) if math.isfinite(value)]
        plot.line([(x.share(epoch), y.share(value)) for epoch, value in finite], kind, _words(trial))
        if len(finite) == 1:
            plot.point(x.share(finite[0][0]), y.share(finite[0][1]), _kind(trial), _words(trial))
    return str(plot)


def slice_of(one: Range, trials: Sequence[Trial], best: Trial, objective: Objective) -> str:
    """The values of trials over those of one hyperparameter."""
    measured = [trial for trial in trials if trial.value is not None]
    measured.sort(key=lambda trial: trial.number == best.number)
    x, y = axis_of(one), axis_around([trial.value for trial in measured if trial.value is not None])
    plot = Plot(f"{objective.metric} by {one.name}", x, y, one.name, objective.metric, NARROW)
    for trial in measured:
        assert trial.value is not None
        kind = "best" if trial.number == best.number else _kind(trial)
        plot.point(place_on(x, one, trial.values[one.name]), y.share(trial.value), kind, _words(trial))
    return str(plot)


def _kind(trial: Trial) -> str:
    return trial.status.lower()


def _words(trial: Trial) -> str:
    value = "" if trial.value is None else f": {trial.value:.4f}"
    return f"trial {trial.number + 1}{value} ({trial.status.lower()}, {len(trial.curve)} epochs)\n{shown(trial.values)}"
