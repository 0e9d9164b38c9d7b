"""imclass trains, evaluates and uses image classifiers.

    import imclass

    run = imclass.train("photos", output="run1")
    model = imclass.load("run1/model.tar.gz")
    probabilities = model.predict(["cat.jpg", "dog.jpg"])

`train` and `load` are found when they are first asked for, so that `import imclass` takes no time and commands that
need no tensors never load PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from imclass.errors import UserError

if TYPE_CHECKING:
    from imclass.inference.predictor import load
    from imclass.training import train

    __version__: str

__all__ = ["UserError", "__version__", "load", "train"]

_HOMES = {
    "__version__": ("imclass.version", "VERSION"),
    "load": ("imclass.inference.predictor", "load"),
    "train": ("imclass.training", "train"),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value: object = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
