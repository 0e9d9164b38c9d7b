"""What the page of a tuning job takes from its description."""

import pytest

from imclass.sagemaker.control_plane.console.tuning_pages import Range, range_of


@pytest.mark.parametrize(
    ("name", "bounds", "scaling", "is_logarithmic"),
    [
        ("learning_rate", ("1e-6", "0.5"), None, True),
        ("learning_rate", ("1e-6", "0.5"), "Auto", True),
        ("learning_rate", ("1e-6", "0.5"), "Linear", False),
        ("momentum", ("0.0", "0.999"), "Auto", False),
        ("label_smoothing", ("0.01", "0.1"), "Logarithmic", True),
        ("beta_1", ("0.5", "0.999"), "ReverseLogarithmic", False),
    ],
)
def test_charts_have_the_scale_that_is_searched_on(
    name: str, bounds: tuple[str, str], scaling: str | None, is_logarithmic: bool
) -> None:
    member = {"Name": name, "MinValue": bounds[0], "MaxValue": bounds[1]}
    found = range_of(member if scaling is None else {**member, "ScalingType": scaling})
    assert found == Range(name, is_logarithmic=is_logarithmic, choices=None)


def test_choices_have_no_scale() -> None:
    assert range_of({"Name": "optimizer", "Values": ["sgd", "adam"]}) == Range("optimizer", False, ["sgd", "adam"])
