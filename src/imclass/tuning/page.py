"""A search as one HTML page that needs no other file and no script."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from imclass.tuning.page_style import STYLE
from imclass.tuning.plots import curves, history, slice_of
from imclass.tuning.search import Search
from imclass.tuning.trials import Trial, best_trial
from imclass.tuning.words import short

_CONTENT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Account:
    """What the page tells.

    Attributes:
        facts: of each trial: `seconds` and `reason`, if it has ended.
        importances: shares by name, the largest first; may be empty.
        fixed: hyperparameters that are the same in all trials.
    """

    search: Search
    trials: Sequence[Trial]
    facts: Sequence[Mapping[str, Any]]
    importances: Mapping[str, float]
    fixed: Mapping[str, object]


def page(account: Account) -> str:
    """Make the page."""
    best = best_trial(account.trials, account.search.objective)
    body = [*_cards(account, best)]
    if best is not None:
        body += [*_best(account, best), *_drawings(account, best)]
    body += _table(account, best)
    title = f"Tuning: {escape(account.search.objective.metric)}"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<link rel="icon" href="data:,"><title>{title}</title><style>{STYLE}</style></head><body>',
            f"<h1>{title}</h1>",
            *body,
            "</body></html>\n",
        ]
    )


def _cards(account: Account, best: Trial | None) -> Iterator[str]:
    search, trials = account.search, account.trials
    statuses = [trial.status for trial in trials]
    seconds = sum(fact.get("seconds") or 0.0 for fact in account.facts)
    yield '<div class="cards">'
    if best is not None:
        yield _card("best value", f"{best.value:.4f}") + _card("of trial", best.number + 1)
    yield _card(f"of {search.trials} trials completed", statuses.count("Completed"))
    yield _card("stopped early", statuses.count("Stopped")) + _card("failed", statuses.count("Failed"))
    yield _card("strategy", search.strategy) + _card("seconds of training", f"{seconds:,.0f}")
    yield "</div>"


def _card(name: str, value: object) -> str:
    return f'<div class="card"><b>{escape(str(value))}</b>{escape(name)}</div>'


def _best(account: Account, best: Trial) -> Iterator[str]:
    yield "<h2>The best trial</h2>"
    yield '<p class="quiet">Train with these again: imclass train SOURCE --hyperparameters best.json</p>'
    yield '<div class="cards">'
    yield from (_card(name, short(text)) for name, text in best.values.items())
    yield "</div>"
    if account.fixed:
        words = ", ".join(f"{name}={value}" for name, value in account.fixed.items())
        yield f'<p class="quiet">The same in all trials: {escape(words)}</p>'


def _drawings(account: Account, best: Trial) -> Iterator[str]:
    search, trials = account.search, account.trials
    yield f'<h2>Trials</h2><div class="plots wide"><figure>{history(trials, search.objective)}<figcaption>'
    yield "Value of each trial; the line is the best so far.</figcaption></figure>"
    yield f"<figure>{curves(trials, best, search.objective)}<figcaption>"
    yield "After each epoch; the best trial stands out, trials that were stopped early are dashed."
    yield "</figcaption></figure></div>"
    if account.importances:
        yield from _importances(account.importances)
    yield '<h2>One hyperparameter at a time</h2><div class="plots">'
    for one in sorted(search.ranges, key=lambda one: -account.importances.get(one.name, 0.0)):
        yield f"<figure>{slice_of(one, trials, best, search.objective)}</figure>"
    yield "</div>"


def _importances(shares: Mapping[str, float]) -> Iterator[str]:
    yield "<h2>Importance</h2>"
    yield (
        '<p class="quiet">How much of what sets the best trials apart each hyperparameter tells (PED-ANOVA). '
        'With few trials this is a hint.</p><div class="scroll"><table><tbody>'
    )
    largest = max(shares.values()) or 1.0
    for name, share in shares.items():
        yield (
            f'<tr><th scope="row">{escape(name)}</th><td class="number">{share:.0%}</td><td><div class="bars">'
            f'<div class="bar" style="width:{100 * share / largest:.1f}%"></div></div></td></tr>'
        )
    yield "</tbody></table></div>"


def _table(account: Account, best: Trial | None) -> Iterator[str]:
    names = [one.name for one in account.search.ranges]
    heads = ("trial", "status", "value", "epochs", "seconds", *names)
    yield '<h2>All trials</h2><div class="scroll"><table><thead><tr>'
    yield "".join(f'<th scope="col">{escape(head)}</th>' for head in heads) + "</tr></thead><tbody>"
    score = account.search.objective.score
    ranked = sorted(
        zip(account.trials, account.facts, strict=True),
        key=lambda pair: (pair[0].value is None, 0.0 if pair[0].value is None else -score(pair[0].value)),
    )
    for trial, facts in ranked:
        kind = ' class="chosen"' if best is not None and trial.number == best.number else ""
        yield f"<tr{kind}>" + "".join(_cells(trial, facts, names)) + "</tr>"
    yield "</tbody></table></div>"


def _cells(trial: Trial, facts: Mapping[str, Any], names: Sequence[str]) -> Iterable[str]:
    reason = escape(str(facts.get("reason", "")), quote=True)
    value = "" if trial.value is None else f"{trial.value:.4f}"
    seconds = facts.get("seconds")
    yield f'<td class="number">{trial.number + 1}</td><td title="{reason}">{trial.status}</td>'
    yield f'<td class="number">{value}</td><td class="number">{len(trial.curve)}</td>'
    yield f'<td class="number">{"" if seconds is None else f"{seconds:.0f}"}</td>'
    for name in names:
        yield f'<td class="number">{escape(short(trial.values[name]))}</td>'
