"""Ranges: scales, problems, and the JSON that they are read from."""

import json
from pathlib import Path
from typing import Any

import pytest

from imclass.errors import HyperparameterError
from imclass.hyperparameters import FIELDS
from imclass.tuning.parameter_ranges import BadRangesError, parse_ranges, read_ranges, to_parameter_ranges
from imclass.tuning.ranges import (
    CategoricalRange,
    ContinuousRange,
    IntegerRange,
    NumberRange,
    range_problems,
    tunable_ranges,
)


def continuous(**entry: Any) -> dict[str, Any]:
    return {"ContinuousParameterRanges": [{"Name": "learning_rate", "MinValue": "0.1", "MaxValue": "0.2", **entry}]}


def test_the_original_s_ranges() -> None:
    ranges = {one.name: one for one in tunable_ranges()}
    assert ranges.keys() == {name for name, facts in FIELDS.items() if facts.tunable is not None}
    assert ranges["mini_batch_size"] == IntegerRange("mini_batch_size", 8, 512)
    assert ranges["momentum"] == ContinuousRange("momentum", 0.0, 0.999)
    assert ranges["optimizer"] == CategoricalRange("optimizer", ("sgd", "adam", "rmsprop", "nag"))
    assert range_problems(tunable_ranges()) == []


@pytest.mark.parametrize(
    ("one", "scale", "lowest"),
    [
        (ContinuousRange("learning_rate", 1e-4, 0.1), "Logarithmic", 1e-4),
        (ContinuousRange("weight_decay", 0.0, 0.5), "Logarithmic", 0.5e-6),
        (ContinuousRange("momentum", 0.0, 0.999), "ReverseLogarithmic", 0.0),
        (ContinuousRange("momentum", 0.5, 1.0), "Linear", 0.5),
        (ContinuousRange("label_smoothing", 0.0, 0.3), "Linear", 0.0),
        (ContinuousRange("warmup_epochs", 0.1, 10.0), "Logarithmic", 0.1),
        (IntegerRange("mini_batch_size", 8, 64), "Logarithmic", 8),
        (IntegerRange("epochs", 5, 20), "Linear", 5),
        (ContinuousRange("learning_rate", 1e-4, 0.1, "Linear"), "Linear", 1e-4),
        (ContinuousRange("learning_rate", 0.0, 0.0), "Linear", 0.0),
    ],
)
def test_the_scale_that_is_searched(one: NumberRange, scale: str, lowest: float) -> None:
    assert one.scale == scale
    assert one.lowest == pytest.approx(lowest)


def test_all_forms_are_read_and_written() -> None:
    values = {
        "ContinuousParameterRanges": [{"Name": "learning_rate", "MinValue": "1e-06", "MaxValue": 0.5}],
        "IntegerParameterRanges": [
            {"Name": "mini_batch_size", "MinValue": "8", "MaxValue": 64.0, "ScalingType": "Linear"}
        ],
        "CategoricalParameterRanges": [{"Name": "num_layers", "Values": ["18", 34]}],
    }
    ranges = parse_ranges(values)
    assert ranges == (
        ContinuousRange("learning_rate", 1e-6, 0.5),
        IntegerRange("mini_batch_size", 8, 64, "Linear"),
        CategoricalRange("num_layers", ("18", "34")),
    )
    assert parse_ranges(to_parameter_ranges(ranges)) == ranges


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([], "there must be an object such as"),
        ({}, "there is not one range"),
        ({"Ranges": []}, "Ranges: unknown; there are ContinuousParameterRanges, "),
        ({"ContinuousParameterRanges": {}}, "must be a list of objects"),
        (
            {"ContinuousParameterRanges": [{"Name": "learning_rate"}]},
            "entry 1, learning_rate: MaxValue and MinValue must be given",
        ),
        (continuous(Step="1"), "Step is unknown"),
        (continuous(MinValue="nan"), "'nan' is not a number"),
        (continuous(MaxValue="inf"), "'inf' is not a number"),
        (continuous(MinValue="0.3"), "learning_rate: the minimum 0.3 is above the maximum 0.2"),
        (continuous(MaxValue="1.5"), "learning_rate: 0.1 to 1.5 leaves what is allowed: 0 to 1"),
        (
            continuous(Name="lerning_rate"),
            "lerning_rate: is not the name of a hyperparameter, did you mean 'learning_rate'?",
        ),
        (continuous(Name="num_classes"), "num_classes: describes the data"),
        (continuous(Name="mini_batch_size"), "mini_batch_size: needs an integer range"),
        (continuous(Name="optimizer"), "optimizer: needs a categorical range: it must be one of sgd, adam"),
        (continuous(ScalingType="Log"), "ScalingType 'Log' is not one of Auto, Linear"),
        (continuous(MinValue="0", ScalingType="Logarithmic"), "Logarithmic needs a minimum above 0, not 0"),
        (continuous(MaxValue="1", ScalingType="ReverseLogarithmic"), "from at least 0 to below 1, not 0.1 to 1"),
        (
            {"IntegerParameterRanges": [{"Name": "mini_batch_size", "MinValue": "8.5", "MaxValue": "64"}]},
            "'8.5' is not a whole number",
        ),
        (
            {"IntegerParameterRanges": [{"Name": "num_layers", "MinValue": "18", "MaxValue": "50"}]},
            "num_layers: needs a categorical range",
        ),
        (
            {
                "IntegerParameterRanges": [
                    {"Name": "epochs", "MinValue": "1", "MaxValue": "9", "ScalingType": "ReverseLogarithmic"}
                ]
            },
            "ReverseLogarithmic is for continuous ranges",
        ),
        ({"CategoricalParameterRanges": [{"Name": "optimizer", "Values": []}]}, "of which there is at least one"),
        ({"CategoricalParameterRanges": [{"Name": "optimizer", "Values": ["sdg"]}]}, "'sdg' is not one of sgd"),
        ({"CategoricalParameterRanges": [{"Name": "optimizer", "Values": ["sgd", "sgd"]}]}, "a value is given twice"),
        (
            {
                **continuous(),
                "CategoricalParameterRanges": [{"Name": "learning_rate", "Values": ["0.1", "0.2"]}],
            },
            "learning_rate: has more than one range",
        ),
    ],
)
def test_what_is_wrong_with_ranges(values: Any, problem: str) -> None:
    with pytest.raises(BadRangesError) as caught:
        parse_ranges(values)
    assert problem in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(BadRangesError) as caught:
        parse_ranges({**continuous(MinValue="x"), "IntegerParameterRanges": [{"Name": "epochs"}], "Other": []})
    assert len(caught.value.problems) == 3


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "ranges.json"
    file.write_text(json.dumps(continuous()))
    assert read_ranges(file) == (ContinuousRange("learning_rate", 0.1, 0.2),)
    for content, message in (("{", "is not JSON"), ("[" * 100_000, "is not JSON"), (" " * (2 << 20), "more than")):
        file.write_text(content)
        with pytest.raises(HyperparameterError, match=message):
            read_ranges(file)
    with pytest.raises(HyperparameterError, match="cannot be read"):
        read_ranges(tmp_path / "nowhere.json")
