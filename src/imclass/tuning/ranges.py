"""What is searched: a range for each hyperparameter, as SageMaker's ParameterRanges write it.

    {"ContinuousParameterRanges":  [{"Name": "learning_rate", "MinValue": "1e-4", "MaxValue": "0.5",
                                     "ScalingType": "Logarithmic"}],
     "IntegerParameterRanges":     [{"Name": "mini_batch_size", "MinValue": "8", "MaxValue": "64"}],
     "CategoricalParameterRanges": [{"Name": "optimizer", "Values": ["sgd", "adam"]}]}

`ScalingType` is Auto where it is missing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from imclass.data.names import nearest
from imclass.hyperparameters import FIELDS
from imclass.hyperparameters.coerce import BadValueError, coerce
from imclass.hyperparameters.fields import TUNING_OBJECTIVE

Scaling = Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]
Scale = Literal["Linear", "Logarithmic", "ReverseLogarithmic"]
SCALINGS: tuple[Scaling, ...] = ("Auto", "Linear", "Logarithmic", "ReverseLogarithmic")

MOST_RANGES = 30
LOGARITHMIC_FROM = 100.0
"""Auto takes the logarithmic scale, where nothing is known about a name, from this ratio of the bounds on."""
ZERO_OF_LOGARITHMIC = 1e-6
"""What stands for a lower bound of 0 on a logarithmic scale that Auto chose, as a share of the upper bound."""
NOT_TUNABLE = frozenset({"num_classes", "num_training_samples", "multi_label", TUNING_OBJECTIVE})
"""They describe the data, or the search itself."""


@dataclass(frozen=True)
class NumberRange:
    """Numbers from `minimum` to `maximum`, both included."""

    name: str
    minimum: float
    maximum: float
    scaling: Scaling = "Auto"

    @property
    def scale(self) -> Scale:
        """The scale on which it is searched."""
        if self.scaling != "Auto":
            return self.scaling
        usual = self._usual_scale()
        return usual if not scale_problems(self, usual, allows_zero=True) else "Linear"

    def _usual_scale(self) -> Scale:
        facts = FIELDS.get(self.name)
        if facts is not None and facts.tunable is not None:
            return facts.tunable.scaling
        is_wide = self.minimum > 0 and self.maximum / self.minimum >= LOGARITHMIC_FROM
        return "Logarithmic" if is_wide else "Linear"

    @property
    def lowest(self) -> float:
        """The smallest value that is proposed: the minimum, or what stands for 0 on a logarithmic scale."""
        if self.scale == "Logarithmic" and self.minimum == 0:
            return self.maximum * ZERO_OF_LOGARITHMIC
        return self.minimum


@dataclass(frozen=True)
class ContinuousRange(NumberRange):
    """Real numbers."""


@dataclass(frozen=True)
class IntegerRange(NumberRange):
    """Whole numbers; the bounds are whole too."""


@dataclass(frozen=True)
class CategoricalRange:
    """Values that have no order."""

    name: str
    values: tuple[str, ...]


Range = ContinuousRange | IntegerRange | CategoricalRange


def tunable_ranges() -> tuple[Range, ...]:
    """What the original's documentation recommends to search."""
    ranges: list[Range] = []
    for name, facts in FIELDS.items():
        if facts.tunable is None:
            continue
        if facts.tunable.kind == "categorical":
            ranges.append(CategoricalRange(name, facts.tunable.choices))
            continue
        assert facts.tunable.minimum is not None
        assert facts.tunable.maximum is not None
        kind = IntegerRange if facts.tunable.kind == "integer" else ContinuousRange
        ranges.append(kind(name, facts.tunable.minimum, facts.tunable.maximum))
    return tuple(ranges)


def range_problems(ranges: Sequence[Range]) -> list[str]:
    """Say what is wrong with ranges, one sentence each."""
    problems: list[str] = []
    if len(ranges) > MOST_RANGES:
        problems.append(f"{len(ranges)} hyperparameters are searched, and {MOST_RANGES} are the most")
    names = [one.name for one in ranges]
    problems += [f"{name}: has more than one range" for name in sorted({n for n in names if names.count(n) > 1})]
    for one in ranges:
        problems += [f"{one.name}: {problem}" for problem in _problems_of(one)]
    return problems


def _problems_of(one: Range) -> Iterable[str]:
    facts = FIELDS.get(one.name)
    if facts is None:
        yield f"is not the name of a hyperparameter{nearest(one.name, FIELDS)}"
    elif one.name in NOT_TUNABLE:
        yield "describes the data and cannot be searched"
    elif isinstance(one, CategoricalRange):
        yield from _value_problems(one)
    else:
        yield from _number_problems(one)


def _value_problems(one: CategoricalRange) -> Iterable[str]:
    if len(set(one.values)) < len(one.values):
        yield "a value is given twice"
    for value in one.values:
        try:
            readable = coerce(FIELDS[one.name], value) is not None
        except BadValueError:
            readable = False
        if not readable:
            yield f"{value!r} is not {FIELDS[one.name].requirement}"


def _number_problems(one: NumberRange) -> Iterable[str]:
    facts = FIELDS[one.name]
    kind = "integer" if isinstance(one, IntegerRange) else "number"
    if facts.kind not in ("integer", "number") or (kind == "number" and facts.kind == "integer"):
        wanted = "an integer" if facts.kind == "integer" else "a categorical"
        yield f"needs {wanted} range: it must be {facts.requirement}"
        return
    if facts.minimum is None:  # only certain integers will do
        yield f"needs a categorical range: it must be {facts.requirement}"
        return
    if one.minimum > one.maximum:
        yield f"the minimum {one.minimum:g} is above the maximum {one.maximum:g}"
    if one.minimum < facts.minimum or (facts.maximum is not None and one.maximum > facts.maximum):
        yield f"{one.minimum:g} to {one.maximum:g} leaves what is allowed: {facts.range_text}"
    if one.scaling != "Auto":
        yield from scale_problems(one, one.scaling, allows_zero=False)


def scale_problems(one: NumberRange, scale: Scale, *, allows_zero: bool) -> list[str]:
    """Why a range cannot be searched on a scale."""
    above_zero = one.minimum >= 0 and one.maximum > 0 if allows_zero else one.minimum > 0
    if scale == "Logarithmic" and not above_zero:
        return [f"Logarithmic needs a minimum above 0, not {one.minimum:g}"]
    if scale == "ReverseLogarithmic" and isinstance(one, IntegerRange):
        return ["ReverseLogarithmic is for continuous ranges"]
    if scale == "ReverseLogarithmic" and not 0 <= one.minimum <= one.maximum < 1:
        return [f"ReverseLogarithmic needs a range from at least 0 to below 1, not {one.minimum:g} to {one.maximum:g}"]
    return []
