"""Where values lie on an axis, and which of them are written at it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Scale = Literal["Linear", "Logarithmic", "ReverseLogarithmic"]
Words = Callable[[float], str]


def short_number(value: float) -> str:
    """A number in few characters."""
    return f"{value:.6g}"


@dataclass(frozen=True)
class Tick:
    """A mark at an axis.

    Attributes:
        share: its place, from 0 to 1.
        label: what is written there.
    """

    share: float
    label: str


@dataclass(frozen=True)
class NumberAxis:
    """From `low` to `high`, which differ; on the scale `Logarithmic` both are positive.

    Attributes:
        scale: ReverseLogarithmic spreads values below 1 by their distance from it.
        counts: only whole numbers are marked, on a linear scale.
        words: of a value.
        most_ticks: about so many at most.
    """

    low: float
    high: float
    scale: Scale = "Linear"
    counts: bool = False
    words: Words = short_number
    most_ticks: int = 6

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
        labels = [self.words(value) for value in values]
        if len(set(labels)) < len(labels):  # rounded to the same
            labels = [short_number(value) for value in values]
        return [Tick(self.share(value), label) for value, label in zip(values, labels, strict=True)]

    def _linear(self) -> list[float]:
        return round_numbers(self.low, self.high, self.most_ticks, whole=self.counts)

    def _powers(self) -> list[float]:
        """Powers of ten, with 2 and 5 times as much between them, or with some of them left out."""
        decades = math.ceil(math.log10(self.high)) - math.floor(math.log10(self.low))
        finest = self._multiples((1, 2, 5), 1)
        if len(finest) < 2:  # a range too narrow for them
            return self._linear()
        coarser = (self._multiples((1,), stride) for stride in range(1, decades + 2))
        return next(values for values in (finest, *coarser) if len(values) <= self.most_ticks + 1)

    def _multiples(self, factors: Sequence[int], stride: int) -> list[float]:
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        powers = (10.0**exponent for exponent in exponents if exponent % stride == 0)
        values = (factor * power for power in powers for factor in factors)
        return [value for value in values if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)]

    def _nines(self) -> list[float]:
        nines = [0.0, 0.5, *(1 - 10.0**-digits for digits in range(1, 7))]
        return [value for value in nines if self.low <= value <= self.high]


@dataclass(frozen=True)
class ChoiceAxis:
    """One place for each of some values, which have no numbers."""

    values: tuple[str, ...]

    def share(self, value: str) -> float:
        """The place of a value, from 0 to 1."""
        return self.share_of_place(self.values.index(value))

    def share_of_place(self, place: float) -> float:
        """The place of the first value (0), of the second (1) and so on."""
        return (place + 0.5) / len(self.values)

    def ticks(self) -> list[Tick]:
        """All values."""
        return [Tick(self.share(value), value) for value in self.values]


Axis = NumberAxis | ChoiceAxis


def axis_around(values: Sequence[float], words: Words = short_number, *, scale: Scale = "Linear") -> NumberAxis:
    """An axis with room for some finite values, of which there is at least one.

    Args:
        values: positive where the scale is logarithmic; that scale has no other room than the linear one.
    """
    moved = [math.log10(value) for value in values] if scale == "Logarithmic" else list(values)
    low, high = min(moved), max(moved)
    alone = 0.5 if scale == "Logarithmic" else abs(low) * 0.05 or 0.5
    margin = (high - low) * 0.05 or alone
    low, high = low - margin, high + margin
    if scale == "Logarithmic":
        low, high = 10.0**low, 10.0**high
    return NumberAxis(low, high, scale, words=words)


def axis_of_counts(most: int, words: Words = short_number) -> NumberAxis:
    """An axis for the numbers from 1 to `most`, with some room."""
    margin = 0.5 + most * 0.02
    return NumberAxis(1 - margin, most + margin, counts=True, words=words, most_ticks=8)


def round_numbers(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Round numbers in an interval, 1, 2 or 5 times a power of ten apart; only whole ones if they have to be."""
    rough = max((high - low) / most, 1.0 if whole else 0.0)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low)
