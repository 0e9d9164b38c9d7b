"""Requests against the constraints of botocore's model, with all failures in the words of AWS.

botocore checks types and required members before it sends; patterns, lengths, ranges and enumerations are left to the
server. Members that the model does not have are left alone, as AWS does.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from botocore.model import Shape

from imclass.sagemaker.control_plane.api.errors import constraints_failed, malformed

LENIENT_ENUMERATIONS = ("InstanceType", "TargetDevice")
"""Ends of names of shapes whose values come and go with AWS's machines, and mean nothing here."""

UNICODE_CLASSES = {r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s", r"\p{Alnum}": "A-Za-z0-9"}
"""Of Java's expressions, what Python has for them: marks and controls that it lets through beyond them do no harm."""

PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
    "blob": (str,),
}


def parsed(values: Mapping[str, Any], shape: Shape | None) -> dict[str, Any]:
    """A request's values without nulls, and with timestamps as aware datetimes.

    Raises:
        ApiError: a value has the wrong type, or fails a constraint; all failures are told.
    """
    if shape is None:
        return {}
    result = _typed(values, shape, "")
    failures = list(_failures(result, shape, ""))
    if failures:
        raise constraints_failed(failures)
    assert isinstance(result, dict)
    return result


def _typed(value: Any, shape: Shape, where: str) -> Any:
    """The value, after a check of the types in it."""
    _check_type(value, shape, where)
    if shape.type_name == "structure":
        return {
            name: _typed(part, shape.members[name], _joined(where, name))
            for name, part in value.items()
            if name in shape.members and part is not None
        }
    if shape.type_name == "map":
        return {name: _typed(part, shape.value, _joined(where, name)) for name, part in value.items()}
    if shape.type_name == "list":
        return [_typed(part, shape.member, f"{where}.{number}.member") for number, part in enumerate(value, 1)]
    if shape.type_name == "timestamp":
        return _time(value, where)
    return value


def _check_type(value: Any, shape: Shape, where: str) -> None:
    expected = PYTHON_TYPES[shape.type_name]
    if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
        raise malformed(f"{where or 'The request'} must be of type {shape.type_name}, not {type(value).__name__}")


def _time(seconds: float, where: str) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise malformed(f"{where} is no time: {seconds}") from error


def _failures(value: Any, shape: Shape, where: str) -> list[str]:
    """What fails a constraint, outside first."""
    found = [
        f"Value {_shown(value)} at '{where}' failed to satisfy constraint: {constraint}"
        for constraint in unmet_constraints(value, shape)
    ]
    if shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value:
                place = _joined(where, name)
                found.append(f"Value null at '{place}' failed to satisfy constraint: Member must not be null")
        for name, part in value.items():
            found += _failures(part, shape.members[name], _joined(where, name))
    elif shape.type_name == "list":
        for number, part in enumerate(value, 1):
            found += _failures(part, shape.member, f"{where}.{number}.member")
    elif shape.type_name == "map":
        found += _failures_of_map(value, shape, where)
    return found


def _failures_of_map(value: Mapping[str, Any], shape: Shape, where: str) -> list[str]:
    found = []
    for name, part in value.items():
        for role, of_role, inner in (("keys", name, shape.key), ("value", part, shape.value)):
            if unmet := unmet_constraints(of_role, inner):
                found.append(
                    f"Value {_shown({name: part})} at '{where}' failed to satisfy constraint: "
                    f"Map {role} must satisfy constraint: [{', '.join(unmet)}]"
                )
    return found


def unmet_constraints(value: Any, shape: Shape) -> list[str]:
    """The constraints of a shape that a value of its type does not meet, not counting what is inside the value."""
    limits = shape.metadata
    if shape.type_name in ("string", "list", "map"):
        unmet = _outside(len(value), limits, "length")
    elif shape.type_name in ("integer", "long", "float", "double"):
        unmet = _outside(value, limits, "value")
    else:
        return []
    if shape.type_name == "string" and not unmet:  # expressions see no text that is too long
        unmet = _unmet_by_text(value, shape)
    return unmet


def _outside(size: float, limits: Mapping[str, Any], what: str) -> list[str]:
    least, most = limits.get("min", -math.inf), limits.get("max", math.inf)
    if size < least:
        return [f"Member must have {what} greater than or equal to {least}"]
    if size > most:
        return [f"Member must have {what} less than or equal to {most}"]
    return []


def _unmet_by_text(value: str, shape: Shape) -> list[str]:
    pattern, names = shape.metadata.get("pattern"), getattr(shape, "enum", None)
    if names and value not in names and not shape.name.endswith(LENIENT_ENUMERATIONS):
        return [f"Member must satisfy enum value set: [{', '.join(names)}]"]
    if pattern and not expression(pattern).fullmatch(value):
        return [f"Member must satisfy regular expression pattern: {pattern}"]
    return []


@cache
def expression(pattern: str) -> re.Pattern[str]:
    """A pattern of a model, which is a Java expression."""
    for java, python in UNICODE_CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern)


def _joined(where: str, name: str) -> str:
    """The path of a member, in the style of AWS: its first letter is small."""
    own = name[:1].lower() + name[1:]
    return f"{where}.{own}" if where else own


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "'{" + ", ".join(f"{name}={part}" for name, part in value.items()) + "}'"
    return f"'{value}'"
