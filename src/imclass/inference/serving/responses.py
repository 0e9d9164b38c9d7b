"""Writes probabilities in the form that a request accepts.

    Accept                                  body for one image
    none, */*, application/json             [p0, p1, ...]
    application/jsonlines                   {"prediction": [p0, p1, ...]} and a line end
    application/json;verbose                {"probabilities": [...], "labels": [...], "predicted_label": "..."}

A request for several images gets a JSON list of these, or a line for each. In batch transform (SAGEMAKER_BATCH=true) a
request without Accept, or with */*, gets {"prediction": [...]} without a line end. Numbers are float32 values widened
to double, as Python writes them; order is that of the class numbers.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

import numpy as np
from numpy.typing import NDArray

from imclass.inference.serving.media_types import MediaType, parse_list
from imclass.inference.serving.problems import RequestError

JSON = "application/json"
JSON_LINES = "application/jsonlines"

MULTI_LABEL_THRESHOLD = 0.5


class Form(Enum):
    """Forms of an answer, with their content types."""

    ARRAY = "array"
    OBJECT = "object"
    LINES = "lines"
    VERBOSE = "verbose"

    @property
    def content_type(self) -> str:
        """Of the response."""
        return JSON_LINES if self is Form.LINES else JSON


@dataclass(frozen=True)
class Labels:
    """What a model's outputs are called.

    Attributes:
        names: in the order of the probabilities.
        multi_label: whether an image may have several.
    """

    names: tuple[str, ...]
    multi_label: bool


def negotiate(accept: str | None, *, batch_transform: bool) -> Form:
    """The form that an Accept header asks for; of several the one that it prefers.

    Args:
        accept: the header, None without one.
        batch_transform: whether SageMaker's batch transform sends the requests.

    Raises:
        RequestError: 406, no form fits.
    """
    default = Form.OBJECT if batch_transform else Form.ARRAY
    if accept is None or not accept.strip():
        return default
    for media_range in parse_list(accept):
        form = _form_of(media_range, default)
        if form is not None:
            return form
    raise RequestError(
        HTTPStatus.NOT_ACCEPTABLE,
        f"answers cannot be written as {accept.strip()}: accept application/json, application/json;verbose or "
        "application/jsonlines",
    )


def _form_of(media_range: MediaType, default: Form) -> Form | None:
    if media_range.name in ("*/*", "application/*"):
        return default
    if media_range.name == JSON:
        return Form.VERBOSE if "verbose" in media_range.parameters else Form.ARRAY
    return Form.LINES if media_range.name == JSON_LINES else None


def body(probabilities: NDArray[np.float32], form: Form, labels: Labels, *, is_list: bool) -> bytes:
    """The body of a response.

    Args:
        probabilities: (N, num_classes) float32, 0 to 1.
        is_list: whether the request was for a list of images; N is 1 otherwise.
    """
    rows = probabilities.astype(np.float64).tolist()
    if form is Form.LINES:
        return "".join(f"{_json({'prediction': row})}\n" for row in rows).encode()
    entries = [_ENTRIES[form](row, labels) for row in rows]
    return _json(entries if is_list else entries[0]).encode()


def _verbose(row: Sequence[float], labels: Labels) -> dict[str, object]:
    entry: dict[str, object] = {"probabilities": row, "labels": labels.names}
    if labels.multi_label:
        found = [name for name, value in zip(labels.names, row, strict=True) if value > MULTI_LABEL_THRESHOLD]
        return entry | {"predicted_labels": found}
    return entry | {"predicted_label": labels.names[max(range(len(row)), key=row.__getitem__)]}


_ENTRIES: dict[Form, Callable[[Sequence[float], Labels], object]] = {
    Form.ARRAY: lambda row, labels: row,
    Form.OBJECT: lambda row, labels: {"prediction": row},
    Form.VERBOSE: _verbose,
}


def _json(content: object) -> str:
    return json.dumps(content, allow_nan=False)
