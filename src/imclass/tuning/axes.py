"""The axes of what is searched."""

from imclass.drawing.axes import Axis, ChoiceAxis, NumberAxis, axis_around
from imclass.tuning.ranges import CategoricalRange, NumberRange, Range


def axis_of(one: Range) -> Axis:
    """The axis of a range, on its scale."""
    if isinstance(one, CategoricalRange):
        return ChoiceAxis(one.values)
    if one.lowest == one.maximum:
        return axis_around([one.lowest])
    return NumberAxis(one.lowest, one.maximum, one.scale)


def place_on(axis: Axis, one: Range, text: str) -> float:
    """The place of a value that was proposed."""
    if isinstance(axis, ChoiceAxis):
        return axis.share(text)
    assert isinstance(one, NumberRange)
    return axis.share(float(text))
