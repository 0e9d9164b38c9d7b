"""A search and its trials in an SQLite file, in Optuna's own tables, so that its tools can open them.

A trial is written when it begins and when it ends, each time in one transaction: whenever the process ends, a trial is
in the file as running or as it ended.
"""

import json
import math
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from imclass.errors import UserError
from imclass.tuning.parameter_ranges import to_parameter_ranges
from imclass.tuning.proposals import distribution
from imclass.tuning.ranges import CategoricalRange, IntegerRange, Range
from imclass.tuning.search import Search
from imclass.tuning.trials import Trial, TrialStatus

NAME = "imclass"
MAY_CHANGE = frozenset({"trials", "parallel", "early_stopping", "device", "threads"})
"""What may be another when a search goes on."""

_STATES: dict[TrialStatus, TrialState] = {
    "Running": TrialState.RUNNING,
    "Completed": TrialState.COMPLETE,
    "Stopped": TrialState.PRUNED,
    "Failed": TrialState.FAIL,
}
_STATUSES = {state: status for status, state in _STATES.items()}


class StudyFile:
    """The trials of a search.

    Args:
        path: of the file; it is made when missing.
        search: what is searched.
        fixed: everything else that the trials depend on, in JSON's types.

    Raises:
        UserError: the file is damaged, or holds another search.
    """

    def __init__(self, path: Path, search: Search, fixed: Mapping[str, Any]) -> None:
        self._search = search
        if path.exists():
            _check_intact(path)
        self._study = optuna.create_study(
            storage=f"sqlite:///{path}",
            study_name=NAME,
            direction=search.objective.optuna_direction,
            load_if_exists=True,
        )
        asked = json.loads(json.dumps({"search": _written(search), "fixed": dict(fixed)}))
        _check_same(self._study.user_attrs, asked, path)
        for name, value in asked.items():
            self._study.set_user_attr(name, value)

    @property
    def trials(self) -> list[Trial]:
        """All trials, by number."""
        return [self._trial(frozen) for frozen in self._study.get_trials(deepcopy=False)]

    def begin(self, values: Mapping[str, str]) -> Trial:
        """Write down a new trial, which runs from now on."""
        params = {one.name: _value(one, values[one.name]) for one in self._search.ranges}
        distributions = {one.name: _recorded(one) for one in self._search.ranges}
        number = len(self._study.get_trials(deepcopy=False))
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=params,
                distributions=distributions,
                user_attrs={"values": dict(values)},
            )
        )
        return Trial(number, dict(values))

    def end(self, trial: Trial, facts: Mapping[str, Any]) -> None:
        """Write down how a trial ended.

        Args:
            trial: with its last status.
            facts: what else is worth knowing, in JSON's types.
        """
        frozen = self._study.get_trials(deepcopy=False)[trial.number]
        writer = optuna.trial.Trial(self._study, frozen._trial_id)
        writer.set_user_attr("curve", [value if math.isfinite(value) else None for value in trial.curve])
        writer.set_user_attr("value", trial.value)
        writer.set_user_attr("facts", dict(facts))
        for epoch, value in enumerate(trial.curve, 1):
            writer.report(value, epoch)
        told = trial.value if trial.status == "Completed" else None
        self._study.tell(trial.number, told, state=_STATES[trial.status])

    def facts(self, number: int) -> dict[str, Any]:
        """What `end` was told about a trial; empty while it runs."""
        found: dict[str, Any] = self._study.get_trials(deepcopy=False)[number].user_attrs.get("facts", {})
        return found

    def _trial(self, frozen: FrozenTrial) -> Trial:
        attributes = frozen.user_attrs
        curve = tuple(math.nan if value is None else float(value) for value in attributes.get("curve", ()))
        ended = frozen.state.is_finished()
        value = attributes.get("value") if ended else None
        return Trial(frozen.number, attributes["values"], _STATUSES[frozen.state], curve if ended else (), value)


def _written(search: Search) -> dict[str, Any]:
    return asdict(search) | {"ranges": to_parameter_ranges(search.ranges)}


def _check_intact(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as database:
            found = database.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise UserError(f"the study cannot be read: {found}", where=str(path), fix="Begin another one.")


def _check_same(held: Mapping[str, Any], asked: Mapping[str, Any], path: Path) -> None:
    if not held:
        return
    different = [
        name
        for part in ("search", "fixed")
        for name in sorted(held[part].keys() | asked[part].keys())
        if name not in MAY_CHANGE and held[part].get(name) != asked[part].get(name)
    ]
    if different:
        raise UserError(
            f"the study was begun with other settings: {', '.join(different)}",
            where=str(path),
            fix="Go on with the same command, or begin another study in another folder.",
        )


def _value(one: Range, text: str) -> str | int | float:
    if isinstance(one, CategoricalRange):
        return text
    return int(text) if isinstance(one, IntegerRange) else float(text)


def _recorded(one: Range) -> BaseDistribution:
    """Of the values themselves; Optuna knows no reverse logarithmic scale."""
    if not isinstance(one, CategoricalRange) and one.scale == "ReverseLogarithmic":
        return FloatDistribution(one.minimum, one.maximum)
    return distribution(one)
