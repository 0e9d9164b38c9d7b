"""What a search leaves beside its best model, for programs and for people.

::

    trials.csv    one line a trial: number, status, value, epochs, seconds, reason, the values that were searched
    trials.json   the same, with the objective after each epoch, and the ranges
    best.json     all hyperparameters of the best trial, for `imclass train --hyperparameters`
    tuning.html   a page about all of it

Each file is replaced as a whole whenever a trial has ended.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imclass.hyperparameters.fields import text_of
from imclass.pending_file import PendingFile
from imclass.tuning.page import Account, page
from imclass.tuning.parameter_ranges import to_parameter_ranges
from imclass.tuning.proposals import importances
from imclass.tuning.search import Search
from imclass.tuning.trials import Trial, best_trial


def write_results(
    output: Path,
    search: Search,
    trials: Sequence[Trial],
    facts: Sequence[Mapping[str, Any]],
    fixed: Mapping[str, object],
) -> None:
    """Write all files.

    Args:
        facts: of each trial: `seconds` and `reason`, if it has ended.
        fixed: hyperparameters that are the same in all trials.
    """
    rows = [row(trial, fact) for trial, fact in zip(trials, facts, strict=True)]
    best = best_trial(trials, search.objective)
    shares = importances(search, trials)
    _write(output / "trials.csv", table(rows, [one.name for one in search.ranges]))
    content = {
        "objective": {"metric": search.objective.metric, "direction": search.objective.direction},
        "strategy": search.strategy,
        "seed": search.seed,
        "ranges": to_parameter_ranges(search.ranges),
        "best": None if best is None else best.number + 1,
        "importances": shares,
        "trials": rows,
    }
    _write(output / "trials.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    if best is not None:
        values = {name: text_of(value) for name, value in fixed.items()} | dict(best.values)
        _write(output / "best.json", json.dumps(values, indent=1) + "\n")
    _write(output / "tuning.html", page(Account(search, trials, facts, shares, fixed)))


def row(trial: Trial, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A trial in JSON's types; numbers begin with 1, as the folders of the trials do."""
    return {
        "trial": trial.number + 1,
        "status": trial.status,
        "value": trial.value,
        "epochs": len(trial.curve),
        "seconds": facts.get("seconds"),
        "reason": facts.get("reason", ""),
        "values": dict(trial.values),
        "curve": [value if math.isfinite(value) else None for value in trial.curve],
    }


def table(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """The rows as CSV (RFC 4180); what there is not is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    columns = ("trial", "status", "value", "epochs", "seconds", "reason")
    writer.writerow([*columns, *names])
    for each in rows:
        writer.writerow([*(each[column] for column in columns), *(each["values"].get(name) for name in names)])
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    with PendingFile(path, to_disk=False) as file:
        file.write(text.encode())
