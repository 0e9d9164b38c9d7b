"""Writes results as bytes.

    out     the body that the server would answer with in batch transform; with a line end behind it where asked for
    jsonl   {"key": "dir/a.jpg", "prediction": [p0, p1, ...]}, a line each
    csv     key,predicted_label,probability_cat,probability_dog, ...; several labels are separated by semicolons

A result that is joined with its input is, instead, `{..., "SageMakerOutput": RESULT}` where the input is a JSON object,
and `{"SageMakerInput": INPUT, "SageMakerOutput": RESULT}` where it is none, as in SageMaker's batch transform.
An output filter comes last: it keeps a part of what would have been written.
"""

import csv
import io
import json
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from imclass.data.image_files import printable
from imclass.data.joining import joined
from imclass.data.json_path import JsonPath
from imclass.data.unlabelled import Unlabelled
from imclass.errors import UserError
from imclass.inference.serving.responses import MULTI_LABEL_THRESHOLD, Form, Labels, body
from imclass.inference.transform.request import AssembleWith, Format, JoinSource, Request


class RowWriter(Protocol):
    """Results of images as bytes that can be put one behind the other.

    Attributes:
        header: what stands before the first result.
    """

    header: bytes

    def rows(self, indices: Sequence[int], probabilities: NDArray[np.float32]) -> list[bytes]:
        """The bytes of each result.

        Args:
            indices: (n) numbers of images.
            probabilities: (n, num_classes) float32, 0 to 1.
        """
        ...


class BodyRows:
    """Results in the form of the server's answers, for `out` and `jsonl`."""

    header = b""

    def __init__(self, request: Request, images: Unlabelled, labels: Labels) -> None:
        self._form = request.form
        self._labels = labels
        self._images = images
        self._filter = JsonPath(request.output_filter)
        self._joined = request.join_source is JoinSource.INPUT
        self._keyed = request.format is Format.JSONL
        self._in_lines = self._keyed or request.assemble_with is AssembleWith.LINE

    def rows(self, indices: Sequence[int], probabilities: NDArray[np.float32]) -> list[bytes]:
        """As `RowWriter.rows`."""
        return [self._row(index, probabilities[place : place + 1]) for place, index in enumerate(indices)]

    def _row(self, index: int, probabilities: NDArray[np.float32]) -> bytes:
        result = body(probabilities, self._form, self._labels, is_list=False)
        if self._joined:
            result = joined(self._images.record(index), result)
        elif self._keyed:
            result = keyed(printable(self._images.keys[index]), result, self._form)
        if not self._filter.selects_everything:
            result = self._filtered(index, result)
        return result.rstrip(b"\n") + b"\n" if self._in_lines else result

    def _filtered(self, index: int, result: bytes) -> bytes:
        """What the output filter keeps of a result; a line end behind the result is kept.

        Raises:
            UserError: something that the filter names is not there.
        """
        content = result.rstrip(b"\n")
        try:
            selected = self._filter.select(json.loads(content))
        except LookupError as error:
            raise UserError(
                f"the output filter {self._filter.expression} does not fit the result: {error}",
                where=printable(self._images.keys[index]),
                fix="Without the filter, the results show what can be selected.",
            ) from error
        return json.dumps(selected).encode() + result[len(content) :]


def keyed(key: str, result: bytes, form: Form) -> bytes:
    """The key and the result in one JSON object."""
    start = b'{"key": ' + json.dumps(key).encode() + b", "
    content = result.rstrip(b"\n")
    if form is Form.ARRAY:
        return start + b'"prediction": ' + content + b"}"
    return start + content.removeprefix(b"{")


class CsvRows:
    """Results as lines of a CSV file."""

    def __init__(self, images: Unlabelled, labels: Labels) -> None:
        self._images = images
        self._labels = labels
        predicted = "predicted_labels" if labels.multi_label else "predicted_label"
        self.header = _csv_line(["key", predicted, *(f"probability_{name}" for name in labels.names)])

    def rows(self, indices: Sequence[int], probabilities: NDArray[np.float32]) -> list[bytes]:
        """As `RowWriter.rows`."""
        values = probabilities.astype(np.float64).tolist()
        predicted = predicted_labels(probabilities, self._labels)
        return [
            _csv_line([printable(self._images.keys[index]), ";".join(names), *row])
            for index, names, row in zip(indices, predicted, values, strict=True)
        ]


def predicted_labels(probabilities: NDArray[np.float32], labels: Labels) -> list[list[str]]:
    """For each image the name of its likeliest class; of a multi-label model, of all classes above the threshold."""
    if labels.multi_label:
        return [
            [labels.names[number] for number in np.flatnonzero(row > MULTI_LABEL_THRESHOLD)] for row in probabilities
        ]
    return [[labels.names[number]] for number in probabilities.argmax(axis=1)]


def _csv_line(fields: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue().encode()
