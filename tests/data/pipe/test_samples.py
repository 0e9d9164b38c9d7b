"""Streams of image records, and of manifests wrapped as RecordIO."""

import io
from pathlib import Path

import numpy as np
import pytest

from imclass.data import RecordWriter, pack_image
from imclass.data.pipe.samples import LabelRules, read_samples
from imclass.data.source import Sample
from imclass.errors import DataError
from tests.data.golden_files import RECORDIO, expected

JPEG = b"\xff\xd8\xff image "
SINGLE = LabelRules("multi-hot", 10, multi_label=False)


def rec(folder: Path, *payloads: bytes) -> bytes:
    """The bytes of a RecordIO stream with these records."""
    with RecordWriter(folder / "x.rec") as writer:
        for number, payload in enumerate(payloads):
            writer.write(number, payload)
    return (folder / "x.rec").read_bytes()


def read(content: bytes, rules: LabelRules = SINGLE, wrapped: bool | None = None) -> list[Sample]:
    return list(read_samples(io.BytesIO(content), "p/train_0", "train", rules, wrapped=wrapped))


@pytest.mark.parametrize("name", ["scalar", "magic"])
def test_files_of_mxnet_read_as_a_stream(name: str) -> None:
    records = expected(RECORDIO / f"{name}.rec")
    content = (RECORDIO / f"{name}.rec").read_bytes()
    if name == "magic":  # its widths differ, so it is read record by record
        samples = [
            sample for record in records for sample in read(content[record["offset"] :][: record["stored_bytes"]])
        ]
    else:
        samples = read(content)
        assert [sample.key for sample in samples] == [f"train:{record['offset']}" for record in records]
    assert [len(sample.image) for sample in samples] == [record["image_bytes"] for record in records]
    assert [sample.label.tolist() for sample in samples] == [record["label"] for record in records]


def test_several_files_one_after_the_other(tmp_path: Path) -> None:
    one = rec(tmp_path, pack_image(1, b"a", 0))
    samples = read(one + one)
    assert [sample.key for sample in samples] == ["train:0", f"train:{len(one)}"]


@pytest.mark.parametrize(
    ("rules", "label", "row"),
    [
        (SINGLE, b"3", [3]),
        (SINGLE, b'"3"', [3]),
        (LabelRules("multi-hot", 3, multi_label=True), b"[1, 0, 1]", [1, 0, 1]),
        (LabelRules("multi-hot", 3, multi_label=True), b'"[1, 0, 1]"', [1, 0, 1]),
        (LabelRules("class-id", 3, multi_label=True), b"[0, 2]", [1, 0, 1]),
        (LabelRules("class-id", 3, multi_label=True), b'"[2]"', [0, 0, 1]),
        (LabelRules("class-id", 3, multi_label=True), b"1", [0, 1, 0]),
    ],
)
def test_a_wrapped_manifest(tmp_path: Path, rules: LabelRules, label: bytes, row: list[float]) -> None:
    content = rec(tmp_path, JPEG + b"1", label, JPEG + b"2", label)
    for wrapped in (None, True):
        samples = read(content, rules, wrapped)
        assert [sample.image for sample in samples] == [JPEG + b"1", JPEG + b"2"]
        assert all(sample.label.dtype == np.float32 and sample.label.tolist() == row for sample in samples)


def test_what_is_wrong_with_records_is_said_with_offset_and_number(tmp_path: Path) -> None:
    good = rec(tmp_path, *(pack_image(1, b"image", 0) for _ in range(3)))
    one = len(good) // 3
    cases = {
        good[: 2 * one + 20]: rf"p/train_0, byte {2 * one}, record 3: the file ends inside",
        good[: one + 4]: rf"p/train_0, byte {one}, record 2: 4 bytes at the end",
        good[:one] + bytes(8) + good[one:]: rf"p/train_0, byte {one}, record 2: no record begins",
        good + rec(tmp_path, b"short"): rf"p/train_0, byte {3 * one}, record 4: a record of 5 bytes is too short",
        good + rec(tmp_path, pack_image([0, 1], b"", 0)): r"record 4: this record has 2 labels, the records before",
    }
    for content, message in cases.items():
        with pytest.raises(DataError, match=message):
            read(content)


def test_what_is_wrong_with_a_manifest(tmp_path: Path) -> None:
    cases = {
        (JPEG, b"1", JPEG): r"record 3: the stream ends after an image, before its label",
        (JPEG, b"dog"): r"byte 20, record 2: the label 'dog' is not a number(.|\n)*AttributeNames",
        (JPEG, b"1", JPEG, b"-1"): r"record 4: bad label, of the manifest's line 2: -1 must be class numbers",
        (JPEG, b"[0, 2]"): r"line 1: \[0, 2\] holds more than 0 and 1; .*class-id",
    }
    for payloads, message in cases.items():
        rules = LabelRules("multi-hot", 3, multi_label=payloads[1].startswith(b"["))
        content = rec(tmp_path, *payloads)
        with pytest.raises(DataError, match=message):
            read(content, rules)
    with pytest.raises(DataError, match="AttributeNames"):
        read(rec(tmp_path, b"1", JPEG), wrapped=True)
    with pytest.raises(DataError, match="must be below num_classes=3"):
        read(rec(tmp_path, JPEG, b"[3]"), LabelRules("class-id", 3, multi_label=True))


def test_no_bytes_no_samples() -> None:
    assert read(b"") == []
