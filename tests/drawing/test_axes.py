"""Where values lie on axes, and which are written at them."""

import pytest

from imclass.drawing.axes import Axis, ChoiceAxis, NumberAxis, axis_around, axis_of_counts, round_numbers


def labels(axis: Axis) -> list[str]:
    return [tick.label for tick in axis.ticks()]


def test_ticks_are_round_and_within_the_axis() -> None:
    assert labels(NumberAxis(0.0, 1.0)) == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert labels(NumberAxis(0.412, 0.431)) == ["0.415", "0.42", "0.425", "0.43"]
    assert labels(NumberAxis(1e-6, 0.5, "Logarithmic")) == ["1e-06", "1e-05", "0.0001", "0.001", "0.01", "0.1"]
    assert labels(NumberAxis(1e-8, 1.0, "Logarithmic")) == ["1e-08", "1e-06", "0.0001", "0.01", "1"]
    assert labels(NumberAxis(0.005, 0.5, "Logarithmic")) == ["0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5"]
    assert labels(NumberAxis(1e-4, 0.5, "Logarithmic")) == ["0.0001", "0.001", "0.01", "0.1"]
    assert labels(NumberAxis(8, 64, "Logarithmic")) == ["10", "20", "50"]
    assert labels(NumberAxis(1.02, 1.99, "Logarithmic")) == ["1.2", "1.4", "1.6", "1.8"]
    assert labels(NumberAxis(0.0, 0.999, "ReverseLogarithmic")) == ["0", "0.5", "0.9", "0.99", "0.999"]
    assert labels(axis_of_counts(2)) == ["1", "2"]
    assert labels(axis_of_counts(12)) == ["2", "4", "6", "8", "10", "12"]
    assert labels(ChoiceAxis(("sgd", "adam"))) == ["sgd", "adam"]
    for axis in (NumberAxis(-3.0, 7.0), NumberAxis(1e-9, 3e4, "Logarithmic"), axis_around([5.0])):
        assert all(-1e-9 <= tick.share <= 1 + 1e-9 for tick in axis.ticks())


def test_labels_that_would_be_rounded_to_the_same_are_not_rounded() -> None:
    def words(value: float) -> str:
        return f"{value:.3g}"

    assert labels(NumberAxis(1.216, 1.243, words=words, most_ticks=5)) == ["1.22", "1.23", "1.24"]
    assert labels(NumberAxis(1.216, 1.243, words=words)) == ["1.22", "1.225", "1.23", "1.235", "1.24"]


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (1, 4, [1, 1.5, 2, 2.5, 3, 3.5, 4]),
        (0.0003, 0.0011, [0.0004, 0.0006, 0.0008, 0.001]),
        (-3, 20, [0, 5, 10, 15, 20]),
    ],
)
def test_round_numbers(low: float, high: float, wanted: list[float]) -> None:
    assert round_numbers(low, high, 6) == pytest.approx(wanted)


def test_ticks_of_counts_are_whole() -> None:
    assert round_numbers(1, 3, 8, whole=True) == [1, 2, 3]


def test_places_follow_the_scale() -> None:
    assert NumberAxis(1e-4, 1.0, "Logarithmic").share(0.01) == pytest.approx(0.5)
    reverse = NumberAxis(0.0, 0.9999, "ReverseLogarithmic")
    assert [reverse.share(value) for value in (0.0, 0.99, 0.9999)] == pytest.approx([0.0, 0.5, 1.0])
    assert ChoiceAxis(("a", "b")).share("b") == 0.75


def test_values_have_room_around_them() -> None:
    assert (axis_around([1.0, 3.0]).low, axis_around([1.0, 3.0]).high) == pytest.approx((0.9, 3.1))
    assert axis_around([5.0]).share(5.0) == pytest.approx(0.5)
    assert axis_around([0.0]).share(0.0) == pytest.approx(0.5)
    logarithmic = axis_around([0.001, 0.1], scale="Logarithmic")
    assert logarithmic.low < 0.001 < 0.1 < logarithmic.high
    assert logarithmic.share(0.01) == pytest.approx(0.5)
    assert axis_around([0.01], scale="Logarithmic").share(0.01) == pytest.approx(0.5)
