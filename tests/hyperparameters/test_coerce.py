from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imclass.hyperparameters.coerce import BadValueError, coerce
from imclass.hyperparameters.fields import FIELDS


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", "37", 37),
        ("epochs", " 37 ", 37),
        ("epochs", "37.0", 37),
        ("epochs", "37.", 37),
        ("epochs", "3.7e1", 37),
        ("epochs", '"37"', 37),
        ("epochs", 37, 37),
        ("epochs", 37.0, 37),
        ("epochs", np.int64(37), 37),
        ("epochs", np.float32(37), 37),
        ("epochs", Fraction(37), 37),
        ("seed", "9223372036854775807", 2**63 - 1),
        ("seed", "0e999999", 0),
        ("learning_rate", "0.24266119474442166", 0.24266119474442166),
        ("learning_rate", "9.999999974752427e-07", 9.999999974752427e-07),
        ("learning_rate", "1E-3", 0.001),
        ("learning_rate", ".5", 0.5),
        ("learning_rate", "+0.5", 0.5),
        ("learning_rate", 1, 1.0),
        ("learning_rate", np.float64(0.5), 0.5),
        ("multi_label", True, True),
        ("multi_label", 0, False),
        ("multi_label", 1.0, True),
        ("multi_label", "1.0", True),
        ("optimizer", '"sgd"', "sgd"),
        ("optimizer", "SGD", "sgd"),
        ("optimizer", " nag ", "nag"),
        ("augmentation_type", "None", "none"),
        ("augmentation_type", "none", "none"),
        ("augmentation_type", "", "none"),
        ("kv_store", '""', "none"),
        ("kv_store", "null", "none"),
        ("class_weights", "none", "none"),
        ("lr_scheduler_step", "10,20", (10, 20)),
        ("lr_scheduler_step", "10, 20", (10, 20)),
        ("lr_scheduler_step", '"10, 20"', (10, 20)),
        ("lr_scheduler_step", "[10, 20]", (10, 20)),
        ("lr_scheduler_step", [10, "20"], (10, 20)),
        ("lr_scheduler_step", 10, (10,)),
        ("lr_scheduler_step", "10", (10,)),
        ("lr_scheduler_step", "", ()),
        ("lr_scheduler_step", "None", ()),
        ("lr_scheduler_step", "[]", ()),
        ("image_shape", "3,224,224", (3, 224, 224)),
        ("image_shape", "3, 224, 224", (3, 224, 224)),
        ("image_shape", "3x224x224", (3, 224, 224)),
        ("image_shape", "3 X 224 X 224", (3, 224, 224)),
        ("image_shape", "(3,224,224)", (3, 224, 224)),
        ("image_shape", "[3, 224, 224]", (3, 224, 224)),
        ("image_shape", [3, 224, 224], (3, 224, 224)),
        ("image_shape", (3, 224, 224), (3, 224, 224)),
        ("_tuning_objective_metric", "validation:accuracy", "validation:accuracy"),
    ],
)
def test_accepted(name: str, value: object, expected: object) -> None:
    result = coerce(FIELDS[name], value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize("spelling", ["1", "true", "True", "TRUE", "yes", "Yes", "on", "On", '"1"', '"True"'])
def test_true(spelling: str) -> None:
    assert coerce(FIELDS["early_stopping"], spelling) is True


@pytest.mark.parametrize("spelling", ["0", "false", "False", "FALSE", "no", "No", "off", "OFF", '"0"'])
def test_false(spelling: str) -> None:
    assert coerce(FIELDS["early_stopping"], spelling) is False


@pytest.mark.parametrize("name", FIELDS)
def test_none_means_not_given(name: str) -> None:
    assert coerce(FIELDS[name], None) is None


@pytest.mark.parametrize("name", ["num_classes", "resize", "top_k", "checkpoint_frequency"])
@pytest.mark.parametrize("text", ["", "none", "None", "null"])
def test_optional_values_may_be_unset_in_words(name: str, text: str) -> None:
    assert coerce(FIELDS[name], text) is None


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("epochs", "ten", ""),
        ("epochs", "", ""),
        ("epochs", "3.5", ""),
        ("epochs", 3.5, ""),
        ("epochs", True, ""),
        ("epochs", "1_000", ""),
        ("epochs", "0x10", ""),
        ("epochs", "\u0663", ""),
        ("epochs", "1e-999999999", ""),
        ("epochs", [3], ""),
        ("epochs", float("nan"), "not a finite number"),
        ("seed", "9223372036854775808", "larger than 64 bits"),
        ("seed", 10**30, "larger than 64 bits"),
        ("seed", "1e999999999", "larger than 64 bits"),
        ("seed", "1e99999999999999999999", ""),
        ("learning_rate", "nan", "not a finite number"),
        ("learning_rate", "-Infinity", "not a finite number"),
        ("learning_rate", "1e999", "not a finite number"),
        ("learning_rate", float("inf"), "not a finite number"),
        ("learning_rate", 10**400, "too large"),
        ("learning_rate", "fast", ""),
        ("learning_rate", True, ""),
        ("learning_rate", Decimal("0.1"), ""),
        ("learning_rate", '"0.1', ""),
        ("multi_label", "maybe", ""),
        ("multi_label", "2", ""),
        ("multi_label", 2, ""),
        ("multi_label", [], ""),
        ("optimizer", "sdg", "did you mean sgd?"),
        ("optimizer", "lamb", ""),
        ("optimizer", 3, ""),
        ("optimizer", "none", ""),
        ("lr_scheduler_step", "10;20", ""),
        ("lr_scheduler_step", "10,,20", ""),
        ("lr_scheduler_step", "10 20", ""),
        ("lr_scheduler_step", {"10": 1}, ""),
        ("image_shape", "224,224", "2 numbers instead of three"),
        ("image_shape", "224", "1 number instead of three"),
        ("image_shape", "", "0 numbers instead of three"),
        ("image_shape", "3,224,224,1", "4 numbers instead of three"),
        ("image_shape", "3,224,wide", ""),
        ("_tuning_objective_metric", 3, ""),
    ],
)
def test_refused(name: str, value: object, reason: str) -> None:
    with pytest.raises(BadValueError) as caught:
        coerce(FIELDS[name], value)
    assert str(caught.value) == reason


@settings(deadline=None, derandomize=True)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_survives_its_repr(number: float) -> None:
    assert coerce(FIELDS["gradient_clip_norm"], repr(number)) == number


@settings(deadline=None, derandomize=True)
@given(st.sampled_from(sorted(FIELDS)), st.text() | st.integers() | st.floats() | st.lists(st.integers()))
def test_anything_else_is_refused_with_this_error_only(name: str, value: object) -> None:
    try:
        result = coerce(FIELDS[name], value)
    except BadValueError:
        return
    assert result is None or isinstance(result, (bool, int, float, str, tuple))
