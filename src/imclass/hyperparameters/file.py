"""Reads a file of hyperparameters, as SageMaker writes `hyperparameters.json`. Nothing is interpreted here."""

import json
from pathlib import Path

from imclass.errors import HyperparameterError, listing

_FORM = 'Write a flat object of strings, for example {"num_classes": "2", "learning_rate": "0.01"}.'


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
