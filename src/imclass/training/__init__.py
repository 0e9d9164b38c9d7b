"""Training and evaluation.

`start.train` goes from what a person typed to a `job.Job`; `run.run` tells the run from top to bottom;
`step.train_step` is the step; `evaluation.evaluate` judges a model.

`Run` and `train` are found when they are first asked for: other modules of this room need no PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imclass.training.job import Run
    from imclass.training.start import train

__all__ = ["Run", "train"]

_HOMES = {"Run": "imclass.training.job", "train": "imclass.training.start"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
