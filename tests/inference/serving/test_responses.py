"""Bodies, byte for byte."""

import numpy as np
import pytest

from imclass.inference.serving.problems import RequestError
from imclass.inference.serving.responses import Form, Labels, body, negotiate
from tests.inference.serving.parts import EXAMPLE

LABELS = Labels(("cat", "dog"), multi_label=False)
ONE = EXAMPLE[np.newaxis]
TWO = np.stack([EXAMPLE, np.array([0.1, 0.9], np.float32)])
ARRAY = b"[0.6257858276367188, 0.37421420216560364]"
SECOND = b"[0.10000000149011612, 0.8999999761581421]"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, Form.ARRAY),
        ("", Form.ARRAY),
        ("*/*", Form.ARRAY),
        ("application/*", Form.ARRAY),
        ("application/json", Form.ARRAY),
        ("Application/JSON; charset=utf-8", Form.ARRAY),
        ("application/jsonlines", Form.LINES),
        ("application/json;verbose", Form.VERBOSE),
        ("application/json; verbose=true", Form.VERBOSE),
        ("text/html, application/jsonlines;q=0.5, application/json;q=0.4", Form.LINES),
        ("text/html, */*;q=0.1", Form.ARRAY),
    ],
)
def test_negotiation(accept: str | None, form: Form) -> None:
    assert negotiate(accept, batch_transform=False) is form


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, Form.OBJECT),
        ("*/*", Form.OBJECT),
        ("application/json", Form.ARRAY),
        ("application/jsonlines", Form.LINES),
        ("application/json;verbose", Form.VERBOSE),
    ],
)
def test_negotiation_in_batch_transform(accept: str | None, form: Form) -> None:
    assert negotiate(accept, batch_transform=True) is form


@pytest.mark.parametrize("accept", ["text/csv", "application/json;q=0", "nonsense", "image/png, text/html"])
def test_nothing_acceptable(accept: str) -> None:
    with pytest.raises(RequestError, match="cannot be written as") as caught:
        negotiate(accept, batch_transform=False)
    assert caught.value.status == 406


@pytest.mark.parametrize(
    ("form", "one", "several"),
    [
        (Form.ARRAY, ARRAY, b"[" + ARRAY + b", " + SECOND + b"]"),
        (
            Form.OBJECT,
            b'{"prediction": ' + ARRAY + b"}",
            b'[{"prediction": ' + ARRAY + b'}, {"prediction": ' + SECOND + b"}]",
        ),
        (
            Form.LINES,
            b'{"prediction": ' + ARRAY + b"}\n",
            b'{"prediction": ' + ARRAY + b'}\n{"prediction": ' + SECOND + b"}\n",
        ),
        (
            Form.VERBOSE,
            b'{"probabilities": ' + ARRAY + b', "labels": ["cat", "dog"], "predicted_label": "cat"}',
            b'[{"probabilities": '
            + ARRAY
            + b', "labels": ["cat", "dog"], "predicted_label": "cat"}, {"probabilities": '
            + SECOND
            + b', "labels": ["cat", "dog"], "predicted_label": "dog"}]',
        ),
    ],
)
def test_bodies(form: Form, one: bytes, several: bytes) -> None:
    assert body(ONE, form, LABELS, is_list=False) == one
    assert body(TWO, form, LABELS, is_list=True) == several


def test_multi_label() -> None:
    labels = Labels(("cat", "dog"), multi_label=True)
    assert body(ONE, Form.ARRAY, labels, is_list=False) == ARRAY
    said = b'"labels": ["cat", "dog"], "predicted_labels": ["cat"]}'
    assert body(ONE, Form.VERBOSE, labels, is_list=False) == b'{"probabilities": ' + ARRAY + b", " + said
    nothing = body(np.array([[0.5, 0.1]], np.float32), Form.VERBOSE, labels, is_list=False)
    assert nothing.endswith(b'"predicted_labels": []}')


def test_lists_of_one_stay_lists() -> None:
    assert body(ONE, Form.ARRAY, LABELS, is_list=True) == b"[" + ARRAY + b"]"


def test_what_is_no_number_is_a_fault() -> None:
    with pytest.raises(ValueError, match="JSON"):
        body(np.array([[np.nan, 1]], np.float32), Form.ARRAY, LABELS, is_list=False)


def test_content_types() -> None:
    assert {form: form.content_type for form in Form} == {
        Form.ARRAY: "application/json",
        Form.OBJECT: "application/json",
        Form.LINES: "application/jsonlines",
        Form.VERBOSE: "application/json",
    }
