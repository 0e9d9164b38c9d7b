"""Turns the bytes of a pipe into samples.

Two kinds of RecordIO stream are known (`imclass.data.recordio` shows the bytes of a record)::

    image records          | header, labels, image | header, labels, image | ...
    augmented manifest     | image | label as JSON | image | label as JSON | ...

The second is what a platform makes of an augmented manifest whose attributes are image and label, in this order: two
records for each line. Which kind a stream is shows in its first record, unless the channel's settings say it: an
encoded image begins with the signature of JPEG or PNG, an image record with the number of its labels.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imclass.data.manifest_labels import LabelTable, RawLabel, parse_label
from imclass.data.recordio import place, unpack_image
from imclass.data.recordio_reader import BinaryStream, Record, read_records
from imclass.data.source import Sample
from imclass.errors import DataError

IMAGE_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
NAME_ATTRIBUTES = "AttributeNames must be the image attribute and the label attribute, in this order."
WRITER_ENDED = "The program that writes the pipe ended early, or what it sends is damaged."


@dataclass(frozen=True, slots=True)
class LabelRules:
    """What the labels of a stream may look like.

    Attributes:
        label_format: "multi-hot" or "class-id": what lists of numbers in a manifest mean.
        num_classes: number of classes.
        multi_label: whether an image has several labels.
    """

    label_format: str
    num_classes: int
    multi_label: bool


def read_samples(
    stream: BinaryStream, name: str, channel: str, rules: LabelRules, *, wrapped: bool | None = None
) -> Iterator[Sample]:
    """Yield the samples of a stream until it ends.

    Args:
        stream: RecordIO.
        name: names the stream in errors.
        channel: names its channel in the samples' keys, `CHANNEL:BYTEOFFSET`.
        wrapped: whether it is an augmented manifest wrapped as RecordIO; None finds it out.

    Raises:
        DataError: a broken or cut record or a bad label, with its byte offset and number (from 1).
    """
    records = _numbered_records(stream, name)
    first = next(records, None)
    if first is None:
        return
    if wrapped is None:
        wrapped = first[1].payload.startswith(IMAGE_SIGNATURES)
    samples = _manifest_samples if wrapped else _image_samples
    yield from samples(_with_first(first, records), name, channel, rules)


def _with_first(first: tuple[int, Record], others: Iterator[tuple[int, Record]]) -> Iterator[tuple[int, Record]]:
    yield first
    yield from others


def _numbered_records(stream: BinaryStream, name: str) -> Iterator[tuple[int, Record]]:
    """Number the records from 1, also the one that cannot be read."""
    records = read_records(stream, name)
    number = 0
    while True:
        number += 1
        try:
            record = next(records, None)
        except DataError as error:
            raise DataError(error.what, where=f"{error.where}, record {number}", fix=WRITER_ENDED) from error
        if record is None:
            return
        yield number, record


def _image_samples(
    records: Iterator[tuple[int, Record]], name: str, channel: str, rules: LabelRules
) -> Iterator[Sample]:
    width: int | None = None
    for number, record in records:
        where = _where(name, record, number)
        image = unpack_image(record.payload, where)
        width = width or len(image.labels)
        if len(image.labels) != width:
            raise DataError(
                f"this record has {len(image.labels)} labels, the records before it have {width}", where=where
            )
        yield Sample(f"{channel}:{record.offset}", image.image, image.labels)


def _manifest_samples(
    records: Iterator[tuple[int, Record]], name: str, channel: str, rules: LabelRules
) -> Iterator[Sample]:
    for number, image in records:
        number_of_label, label = next(records, (0, None))
        if label is None:
            raise DataError(
                "the stream ends after an image, before its label", where=_where(name, image, number), fix=WRITER_ENDED
            )
        values = _manifest_label(label.payload, _where(name, label, number_of_label), number_of_label // 2, rules)
        yield Sample(f"{channel}:{image.offset}", image.payload, values)


def _manifest_label(payload: bytes, where: str, line: int, rules: LabelRules) -> NDArray[np.float32]:
    """Return the (L,) float32 that the label record of a manifest's line means."""
    try:
        label: RawLabel = parse_label(_json_value(payload))
    except ValueError as error:
        raise DataError(str(error), where=where, fix=NAME_ATTRIBUTES) from None
    if rules.multi_label and rules.label_format == "class-id" and not isinstance(label, tuple):
        label = (label,)
    table = LabelTable(where, rules.label_format, {line: label})
    problems = table.problems()
    if problems:
        raise DataError("bad label, of the manifest's " + problems[0], where=where)
    values: NDArray[np.float32] = table.array(rules.num_classes)[0]
    return values


def _json_value(payload: bytes) -> object:
    """Return what the JSON of a label record says; text that is no JSON stands for itself."""
    text = payload.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _where(name: str, record: Record, number: int) -> str:
    return f"{place(name, record.offset)}, record {number}"
