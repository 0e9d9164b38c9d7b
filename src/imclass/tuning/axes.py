"""Where values lie on an axis, and which of them are written at it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from imclass.tuning.ranges import CategoricalRange, NumberRange, Range, Scale

TICKS = 4
"""Into so many parts or a few less a linear axis is divided."""
MOST_TICKS = 7
"""Of a logarithmic axis."""


@dataclass(frozen=True)
class Tick:
    """A mark at an axis.

    Attributes:
        share: its place, from 0 to 1.
    """

    share: float
    label: str


@dataclass(frozen=True)
class NumberAxis:
    """From `low` to `high`, which differ.

    Attributes:
        counts: only whole numbers are marked, on a linear scale.
    """

    low: float
    high: float
    scale: Scale = "Linear"
    counts: bool = False

    def share(self, value: float) -> float:
        """The place of a value, from 0 to 1."""
        if self.scale == "Logarithmic":
            return _share(math.log(max(value, self.low)), math.log(self.low), math.log(self.high))
        if self.scale == "ReverseLogarithmic":
            return 1 - _share(math.log(1 - value), math.log(1 - self.high), math.log(1 - self.low))
        return _share(value, self.low, self.high)

    def ticks(self) -> list[Tick]:
        """Round values within the axis."""
        values = {"Linear": self._linear, "Logarithmic": self._powers, "ReverseLogarithmic": self._nines}[self.scale]()
        return [Tick(self.share(value), f"{value:.6g}") for value in values]

    def _linear(self) -> list[float]:
        rough = (self.high - self.low) / TICKS
        unit = 10.0 ** math.floor(math.log10(rough))
        step = min(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= rough * (1 - 1e-9))
        step = max(step, 1.0) if self.counts else step
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]

    def _powers(self) -> list[float]:
        """Powers of ten, with 2 and 5 times as much between them, or with some of them left out."""
        decades = math.ceil(math.log10(self.high)) - math.floor(math.log10(self.low))
        finest = self._multiples((1, 2, 5), 1)
        coarser = (self._multiples((1,), stride) for stride in range(1, decades + 2))
        return next(values for values in (finest, *coarser) if len(values) <= MOST_TICKS)

    def _multiples(self, factors: Sequence[int], stride: int) -> list[float]:
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        powers = (10.0**exponent for exponent in exponents if exponent % stride == 0)
        values = (factor * power for power in powers for factor in factors)
        return [value for value in values if self.low <= value <= self.high]

    def _nines(self) -> list[float]:
        nines = [0.0, 0.5, *(1 - 10.0**-digits for digits in range(1, 7))]
        return [value for value in nines if self.low <= value <= self.high]


@dataclass(frozen=True)
class ChoiceAxis:
    """One place for each of some values."""

    values: tuple[str, ...]

    def share(self, value: str) -> float:
        return (self.values.index(value) + 0.5) / len(self.values)

    def ticks(self) -> list[Tick]:
        return [Tick(self.share(value), value) for value in self.values]


def axis_of(one: Range) -> NumberAxis | ChoiceAxis:
    """The axis of a range, on its scale."""
    if isinstance(one, CategoricalRange):
        return ChoiceAxis(one.values)
    if one.lowest == one.maximum:
        return axis_around([one.lowest])
    return NumberAxis(one.lowest, one.maximum, one.scale)


def axis_around(values: Sequence[float]) -> NumberAxis:
    """An axis with room for some finite values, of which there is at least one."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or abs(low) * 0.05 or 0.5
    return NumberAxis(low - margin, high + margin)


def axis_of_counts(most: int) -> NumberAxis:
    """An axis for the numbers from 1 to `most`."""
    margin = 0.5 + most * 0.02
    return NumberAxis(1 - margin, most + margin, counts=True)


def place_on(axis: NumberAxis | ChoiceAxis, one: Range, text: str) -> float:
    """The place of a value that was proposed."""
    if isinstance(axis, ChoiceAxis):
        return axis.share(text)
    assert isinstance(one, NumberRange)
    return axis.share(float(text))


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low)
