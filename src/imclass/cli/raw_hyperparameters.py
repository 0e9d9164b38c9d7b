"""Hyperparameters as they were given: in a JSON file, as NAME=VALUE, as options. Nothing is interpreted here."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from imclass.cli import messages
from imclass.errors import HyperparameterError
from imclass.hyperparameters.file import read_file


def gather(file: Path | None, assignments: Sequence[str], options: Mapping[str, str]) -> dict[str, object]:
    """Put hyperparameters from all places together: an option beats `--set`, and `--set` beats the file.

    A file starts from the original's defaults, so that a job's hyperparameters.json means here what it meant there;
    without one the recipe stays open.

    Raises:
        HyperparameterError: the file cannot be read, or an assignment is not NAME=VALUE.
    """
    layers: list[tuple[str, Mapping[str, object]]] = []
    if file is not None:
        layers.append((str(file), {"recipe": "sagemaker", **read_file(file)}))
    layers += [("--set", {name: value}) for name, value in map(_assignment, assignments)]
    layers.append(("options", options))

    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        for name, value in layer.items():
            _report_change(name, values, origins, origin, value)
            values[name], origins[name] = value, origin
    return values


def _report_change(
    name: str, values: Mapping[str, object], origins: Mapping[str, str], origin: str, value: object
) -> None:
    implied = name == "recipe" and values.get(name) == "sagemaker"
    if name in values and str(values[name]) != str(value) and not implied:
        messages.warning(f"{name}: {value!r} from {origin} is used, not {values[name]!r} from {origins[name]}")


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise HyperparameterError(
            f"{text!r} is not NAME=VALUE", where="--set", fix="For example: --set learning_rate=0.01"
        )
    return name.strip(), value.strip()
