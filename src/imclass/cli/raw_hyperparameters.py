"""Hyperparameters as they were given: in a JSON file, as NAME=VALUE, as options. Nothing is interpreted here."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from imclass.cli import messages
from imclass.errors import HyperparameterError, listing

_FORM = 'Write a flat object of strings, for example {"num_classes": "2", "learning_rate": "0.01"}.'


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


def read_file(path: Path) -> dict[str, object]:
    """Read a flat JSON object of strings; numbers, booleans, null and lists of them are taken too.

    Raises:
        HyperparameterError: no such file, not UTF-8, not JSON, not an object, names given twice, nested objects.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise HyperparameterError(
            f"the hyperparameter file cannot be read: {error.strerror}", where=str(path)
        ) from error
    except UnicodeDecodeError as error:
        raise HyperparameterError(
            "the hyperparameter file is not UTF-8 text", where=f"{path}, byte {error.start}", fix=_FORM
        ) from error
    problems: list[str] = []
    try:
        values = json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, problems))
    except json.JSONDecodeError as error:
        where = f"{path}, line {error.lineno}, column {error.colno}"
        raise HyperparameterError(f"this is not JSON: {error.msg}", where=where, fix=_FORM) from error
    except RecursionError as error:
        raise HyperparameterError("the JSON is nested too deeply", where=str(path), fix=_FORM) from error
    if not isinstance(values, dict):
        raise HyperparameterError(
            f"the hyperparameter file holds a {_kind(values)}, not an object", where=str(path), fix=_FORM
        )
    problems += [f"{name}: the value is a {_kind(value)}" for name, value in values.items() if not _is_flat(value)]
    if problems:
        what = "the hyperparameter file is not a flat object:\n" + listing(problems)
        raise HyperparameterError(what, where=str(path), fix=_FORM)
    return values


def _object(pairs: list[tuple[str, object]], problems: list[str]) -> dict[str, object]:
    values = dict(pairs)
    counts = {name: sum(name == other for other, _ in pairs) for name in values}
    problems += [f"{name}: given {count} times" for name, count in counts.items() if count > 1]
    return values


def _is_flat(value: object) -> bool:
    members = value if isinstance(value, list) else [value]
    return not any(isinstance(member, dict | list) for member in members)


def _kind(value: object) -> str:
    kinds = {dict: "nested object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise HyperparameterError(
            f"{text!r} is not NAME=VALUE", where="--set", fix="For example: --set learning_rate=0.01"
        )
    return name.strip(), value.strip()
