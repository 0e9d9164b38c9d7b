"""What model.json may say."""

import json
import math

import pytest
from pydantic import ValidationError

from imclass.artifact import Description, Normalisation
from imclass.version import VERSION
from tests.artifact.packing import describe


def test_json_and_back_is_the_same():
    description = describe()
    assert Description.model_validate_json(description.model_dump_json()) == description


def test_json_has_plain_names_and_values():
    content = json.loads(describe().model_dump_json())
    assert content["format_version"] == 1
    assert content["image_shape"] == [3, 16, 16]
    assert content["class_names"] == ["apple", "banana", "cherry pie"]
    assert content["normalisation"] == {"mean": [0.0] * 3, "std": [1.0] * 3}
    assert content["imclass_version"] == VERSION
    assert (content["resize"], content["resize_mode"], content["fill_value"]) == (20, "crop", 127)


def test_metrics_of_a_diverged_run_survive():
    text = describe(metrics={"loss": math.nan, "worst": math.inf}).model_dump_json()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    metrics = Description.model_validate_json(text).metrics
    assert math.isnan(metrics["loss"])
    assert metrics["worst"] == math.inf


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "vgg"}, "must be one of resnet_v2, resnet_v1"),
        ({"class_names": ("one", "two")}, "2 names for 3 classes"),
        ({"normalisation": Normalisation(mean=(0.0,), std=(1.0,))}, "must have 3 values"),
        ({"format_version": 2}, "format_version"),
        ({"num_classes": 0}, "num_classes"),
        ({"num_classes": 2**40}, "num_classes"),
        ({"image_shape": (3, 16)}, "image_shape"),
        ({"image_shape": (3, 16, -16)}, "image_shape"),
        ({"resize_mode": "zoom"}, "resize_mode"),
        ({"fill_value": 256}, "fill_value"),
        ({"epoch": -1}, "epoch"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_wrong_values_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        describe(**changes)


def test_descriptions_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        describe().epoch = 5


def test_standard_deviation_of_zero_is_refused():
    with pytest.raises(ValidationError, match="greater than 0"):
        Normalisation(mean=(0.0,), std=(0.0,))
