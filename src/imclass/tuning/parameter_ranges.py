"""ParameterRanges, read from the JSON of SageMaker's requests and of files like it."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from imclass.errors import HyperparameterError, listing
from imclass.tuning.ranges import (
    SCALINGS,
    CategoricalRange,
    ContinuousRange,
    IntegerRange,
    NumberRange,
    Range,
    range_problems,
)

Kind = TypeVar("Kind", bound=NumberRange)

LARGEST_FILE = 1 << 20  # bytes
EXAMPLE = '{"ContinuousParameterRanges": [{"Name": "learning_rate", "MinValue": "1e-4", "MaxValue": "0.1"}]}'


class BadRangesError(HyperparameterError):
    """Everything that is wrong with the ranges of a search.

    Attributes:
        problems: one sentence each.
    """

    def __init__(self, problems: tuple[str, ...], where: str | None = None) -> None:
        self.problems = problems
        super().__init__(f"these ranges cannot be searched:\n{listing(problems)}", where=where)


def read_ranges(file: Path) -> tuple[Range, ...]:
    """Read a file with ParameterRanges in JSON.

    Raises:
        HyperparameterError: it cannot be read, or something is wrong with the ranges; everything is told.
    """
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise HyperparameterError(f"the file has more than {LARGEST_FILE} bytes", where=str(file))
        values = json.loads(file.read_bytes())
    except OSError as error:
        raise HyperparameterError(f"the file cannot be read: {error.strerror}", where=str(file)) from error
    except (ValueError, RecursionError) as error:
        raise HyperparameterError(f"the file is not JSON: {error}", where=str(file)) from error
    return parse_ranges(values, where=str(file))


def parse_ranges(values: Any, where: str | None = None) -> tuple[Range, ...]:
    """Read ParameterRanges.

    Args:
        values: decoded JSON; numbers may be text, as SageMaker sends them, or numbers.
        where: named in errors.

    Raises:
        BadRangesError: something is wrong; everything is told.
    """
    if not isinstance(values, dict):
        raise BadRangesError((f"there must be an object such as {EXAMPLE}",), where)
    problems = [f"{name}: unknown; there are {', '.join(_READERS)}" for name in values if name not in _READERS]
    ranges: list[Range] = []
    for member, read in _READERS.items():
        for number, entry in enumerate(_entries(values, member, problems), 1):
            try:
                ranges.append(read(entry))
            except ValueError as error:
                name = f", {entry['Name']}" if "Name" in entry else ""
                problems.append(f"{member}, entry {number}{name}: {error}")
    problems += range_problems(ranges)
    if not ranges and not problems:
        problems.append("there is not one range")
    if problems:
        raise BadRangesError(tuple(problems), where)
    return tuple(ranges)


def to_parameter_ranges(ranges: tuple[Range, ...]) -> dict[str, list[dict[str, Any]]]:
    """Write ranges as `parse_ranges` reads them."""
    written: dict[str, list[dict[str, Any]]] = {member: [] for member in _READERS}
    for one in ranges:
        if isinstance(one, CategoricalRange):
            written["CategoricalParameterRanges"].append({"Name": one.name, "Values": list(one.values)})
            continue
        member = "IntegerParameterRanges" if isinstance(one, IntegerRange) else "ContinuousParameterRanges"
        bounds = {"MinValue": f"{one.minimum:.17g}", "MaxValue": f"{one.maximum:.17g}"}
        written[member].append({"Name": one.name, **bounds, "ScalingType": one.scaling})
    return written


def _entries(values: Mapping[str, Any], member: str, problems: list[str]) -> Iterator[Mapping[str, Any]]:
    entries = values.get(member, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        problems.append(f"{member}: must be a list of objects")
        return
    yield from entries


def _continuous(entry: Mapping[str, Any]) -> ContinuousRange:
    return _number_range(ContinuousRange, entry, _finite)


def _integer(entry: Mapping[str, Any]) -> IntegerRange:
    return _number_range(IntegerRange, entry, _whole)


def _number_range(kind: type[Kind], entry: Mapping[str, Any], read: Callable[[str], float]) -> Kind:
    _check_members(entry, {"Name", "MinValue", "MaxValue"}, {"ScalingType"})
    scaling = entry.get("ScalingType", "Auto")
    if scaling not in SCALINGS:
        raise ValueError(f"ScalingType {scaling!r} is not one of {', '.join(SCALINGS)}")
    return kind(str(entry["Name"]), read(str(entry["MinValue"])), read(str(entry["MaxValue"])), scaling)


def _categorical(entry: Mapping[str, Any]) -> CategoricalRange:
    _check_members(entry, {"Name", "Values"}, set())
    values = entry["Values"]
    if not isinstance(values, list) or not values or not all(isinstance(value, str | int | float) for value in values):
        raise ValueError("Values must be a list of texts, of which there is at least one")
    return CategoricalRange(str(entry["Name"]), tuple(str(value) for value in values))


def _check_members(entry: Mapping[str, Any], needed: set[str], allowed: set[str]) -> None:
    missing, unknown = sorted(needed - entry.keys()), sorted(entry.keys() - needed - allowed)
    if missing:
        raise ValueError(f"{' and '.join(missing)} must be given")
    if unknown:
        raise ValueError(f"{', '.join(unknown)} is unknown; there are {', '.join(sorted(needed | allowed))}")


def _finite(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not a number")
    return number


def _whole(text: str) -> float:
    number = _finite(text)
    if not number.is_integer():
        raise ValueError(f"{text!r} is not a whole number")
    return number


_READERS: dict[str, Callable[[Mapping[str, Any]], Range]] = {
    "ContinuousParameterRanges": _continuous,
    "IntegerParameterRanges": _integer,
    "CategoricalParameterRanges": _categorical,
}
