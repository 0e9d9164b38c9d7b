"""Trackers by name.

A package adds its own through an entry point of the group `imclass.trackers`. Its value is `module:attribute`, as here:
something that can be called without arguments and gives a `Tracker`.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points

from imclass.errors import UserError
from imclass.training.trackers.tracker import Tracker

GROUP = "imclass.trackers"
DEFAULT = ("tensorboard",)
TRACKERS: Mapping[str, str] = {
    "tensorboard": "imclass.training.trackers.tensorboard:TensorBoardTracker",
    "mlflow": "imclass.training.trackers.mlflow:MlflowTracker",
    "wandb": "imclass.training.trackers.weights_and_biases:WandbTracker",
}


def known_trackers() -> dict[str, EntryPoint]:
    """All trackers that can be named; those of imclass cannot be replaced."""
    plug_ins = {one.name: one for one in entry_points(group=GROUP)}
    return plug_ins | {name: EntryPoint(name, value, GROUP) for name, value in TRACKERS.items()}


def open_trackers(chosen: Sequence[str | Tracker]) -> dict[str, Tracker]:
    """The trackers of a run, ready to start, by name.

    Args:
        chosen: names, or trackers themselves, whose name is that of their class.

    Raises:
        UserError: there is no such tracker, it is named twice, its package is not installed, or its server does not
            answer.
    """
    known = known_trackers()
    unknown = [one for one in chosen if isinstance(one, str) and one not in known]
    if unknown:
        raise UserError(
            f"there is no tracker {', '.join(map(repr, unknown))}",
            where="trackers",
            fix=f"There are: {', '.join(known)}.",
        )
    names = [one if isinstance(one, str) else type(one).__name__ for one in chosen]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"named twice: {', '.join(twice)}", where="trackers", fix="Name each tracker once.")
    return {name: _open(known[one]) if isinstance(one, str) else one for name, one in zip(names, chosen, strict=True)}


def _open(entry: EntryPoint) -> Tracker:
    try:
        tracker: Tracker = entry.load()()
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"the tracker cannot be opened: {error!r}", where=entry.name) from error
    return tracker


def not_installed(name: str, package: str) -> UserError:
    """What to say when the package of a tracker is missing."""
    return UserError(
        f"the package {package} is not installed", where=f"tracker {name}", fix=f"Type: pip install 'imclass[{name}]'"
    )
