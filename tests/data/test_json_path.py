"""Paths into JSON values: what they select, in which form, and where in them a mistake is."""

import pytest

from imclass.data.json_path import JsonPath
from imclass.errors import DataError

LINE = {
    "id": 5,
    "source-ref": "a/1.jpg",
    "SageMakerOutput": {"prediction": [0.125, 0.25, 0.5, 0.0625], "predicted_label": "dog"},
}


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ("$", LINE),
        ("$.id", 5),
        ("$['id']", 5),
        ('$["source-ref"]', "a/1.jpg"),
        ("$.source-ref", "a/1.jpg"),
        ("$.SageMakerOutput.prediction[1]", 0.25),
        ("$.SageMakerOutput.prediction[-1]", 0.0625),
        ("$['id','SageMakerOutput']", {"id": 5, "SageMakerOutput": LINE["SageMakerOutput"]}),
        ("$.SageMakerOutput['predicted_label','prediction']", dict(reversed(LINE["SageMakerOutput"].items()))),
        ("$.SageMakerOutput.['predicted_label']", "dog"),
        ("$.SageMakerOutput.prediction[0,-1]", [0.125, 0.0625]),
        ("$.SageMakerOutput.prediction[1:3]", [0.25, 0.5]),
        ("$.SageMakerOutput.prediction[0,2:]", [0.125, 0.5, 0.0625]),
        ("$.SageMakerOutput.prediction[:9]", [0.125, 0.25, 0.5, 0.0625]),
        ("$.SageMakerOutput.prediction[*]", [0.125, 0.25, 0.5, 0.0625]),
        ("$.SageMakerOutput.*", [[0.125, 0.25, 0.5, 0.0625], "dog"]),
        ("$.*.prediction", None),
    ],
)
def test_what_is_selected(expression: str, selected: object) -> None:
    path = JsonPath(expression)
    if selected is None:
        with pytest.raises(LookupError, match=r"column 5: there is no member 'prediction' in '5'"):
            path.select(LINE)
    else:
        assert path.select(LINE) == selected
    assert path.selects_everything == (expression == "$")


@pytest.mark.parametrize(
    ("expression", "value", "selected"),
    [
        ("$[0,5:]", [0, 1, 2, 3, 4, 5, 6], [0, 5, 6]),
        ("$[1:]", [0], []),
        ("$.*", {}, []),
        ("$[*].a", [{"a": 1}, {"a": 2}], [1, 2]),
        ("$[*]['a','b']", [{"a": 1, "b": 2}, {"a": 3, "b": 4}], [1, 2, 3, 4]),
        ("$['a','b'].c", {"a": {"c": 1}, "b": {"c": 2}}, [1, 2]),
    ],
)
def test_several_are_an_array(expression: str, value: object, selected: object) -> None:
    assert JsonPath(expression).select(value) == selected


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        (
            "$.prediction",
            "column 3: there is no member 'prediction' in an object with 'id', 'source-ref', 'SageMakerOut",
        ),
        ("$['id','none']", "column 9: there is no member 'none'"),
        ("$.SageMakerOutput.prediction[4]", "column 30: there is no element 4 in an array of 4"),
        ("$.SageMakerOutput.prediction[-5]", "there is no element -5"),
        ("$[0]", "column 3: there is no element 0 in an object"),
        ("$.id[1:]", "column 6: nothing can be selected in '5'"),
        ("$.id.*", "column 6: nothing can be selected in '5'"),
    ],
)
def test_what_is_named_must_be_there(expression: str, said: str) -> None:
    with pytest.raises(LookupError) as caught:
        JsonPath(expression).select(LINE)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "column"),
    [
        ("", 1),
        ("id", 1),
        (".id", 1),
        ("$id", 2),
        ("$.", 3),
        ("$..id", 2),
        ("$.a[?@.b > 1]", 5),
        ("$.a[?(@.b)]", 5),
        ("$['a'", 6),
        ("$.a[0:9:2]", 5),
        ("$.a[1.5]", 5),
        ("$.~", 3),
        ("$.a | $.b", 1),
        ("$." + "a" * 62, 64),
    ],
)
def test_what_is_no_path_of_sagemaker(expression: str, column: int) -> None:
    with pytest.raises(DataError) as caught:
        JsonPath(expression)
    assert caught.value.what.startswith(f"column {column}: "), caught.value.what
    assert caught.value.where == f"path {expression}"
    assert "Paths are made of $" in caught.value.fix
