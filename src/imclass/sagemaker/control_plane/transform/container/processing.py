"""SageMaker's DataProcessing: what of a record is sent, and what is made of its answer.

In JSON, a record is filtered before it is sent, and the whole of it is joined with its answer. Other bodies, such as
images, are sent as they are; joined is what is known of them beside: the key of the object, and of a record of a `.rec`
file its id and label.
"""

import json

from imclass.data.joining import joined
from imclass.data.json_path import JsonPath
from imclass.sagemaker.control_plane.transform.container.order import TransformOrder
from imclass.sagemaker.control_plane.transform.container.records import Record

JSON_TYPES = ("application/json", "application/jsonlines")


class FilterError(Exception):
    """A record or an answer that does not fit a filter."""


def is_json(content_type: str | None) -> bool:
    """Whether bodies of a type are JSON."""
    return (content_type or "").partition(";")[0].strip().lower() in JSON_TYPES


class Processing:
    """The steps of a job.

    Args:
        order: names the filters, which are valid.
    """

    def __init__(self, order: TransformOrder) -> None:
        self._is_json = is_json(order.content_type)
        self._input_filter = JsonPath(order.input_filter)
        self._output_filter = JsonPath(order.output_filter)
        self._joins = order.join_source == "Input"
        self._ends_lines = order.assemble_with == "Line"

    def body(self, record: Record) -> bytes:
        """What is sent.

        Raises:
            FilterError: the record is not JSON, or the filter names what is not in it.
        """
        if self._input_filter.selects_everything:
            return record.body
        return _selected(self._input_filter, _parsed(record.body, "the record"), "InputFilter")

    def result(self, record: Record, answer: bytes) -> bytes:
        """What is written.

        Raises:
            FilterError: something is not JSON, or the filter names what is not in it.
        """
        result = answer
        if self._joins:
            _parsed(answer, "the answer")
            result = joined(_parsed(record.body, "the record") if self._is_json else record.said, answer)
        if not self._output_filter.selects_everything:
            end = result[len(result.rstrip(b"\n")) :]
            result = _selected(self._output_filter, _parsed(result, "the answer"), "OutputFilter") + end
        return result.rstrip(b"\n") + b"\n" if self._ends_lines else result


def _parsed(text: bytes, what: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FilterError(f"{what} is not JSON: {error}") from error
    return value


def _selected(path: JsonPath, value: object, name: str) -> bytes:
    try:
        return json.dumps(path.select(value)).encode()
    except LookupError as error:
        raise FilterError(f"the {name} {path.expression} does not fit: {error}") from error
