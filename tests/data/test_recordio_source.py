"""Records as a source of samples."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from imclass.data import RecordWriter, Subset, open_source
from imclass.data.recordio_source import RecordSource
from imclass.data.reused_memory import ReusedMemory
from imclass.data.source import image_reader
from imclass.errors import DataError, ImageError
from tests.data.golden_files import RECORDIO, expected, single_label_magic_records, write_records


@pytest.mark.parametrize("name", ["scalar", "multilabel"])
def test_samples_of_golden_files(name: str) -> None:
    source = open_source(RECORDIO / f"{name}.rec")
    wanted = expected(RECORDIO / f"{name}.rec")
    assert source.class_names is None
    assert source.labels.tolist() == [record["label"] for record in wanted]
    for index, record in enumerate(wanted):
        assert source.key(index) == f"{name}.rec:{record['offset']}"
        if record["image_bytes"] == 0:
            with pytest.raises(ImageError, match=f"byte {record['offset']}: the record holds no image bytes"):
                source[index]
            continue
        sample = source[index]
        assert sample.key == source.key(index)
        assert hashlib.sha256(sample.image).hexdigest() == record["image_sha256"]
        assert sample.label.tolist() == record["label"]


@pytest.mark.parametrize("name", ["scalar", "multilabel"])
def test_images_of_golden_files_in_memory_that_is_used_again(name: str) -> None:
    source, memory = open_source(RECORDIO / f"{name}.rec"), ReusedMemory()
    read_image = image_reader(source)
    for index, record in enumerate(expected(RECORDIO / f"{name}.rec")):
        if record["image_bytes"] == 0:
            with pytest.raises(ImageError, match=f"byte {record['offset']}: the record holds no image bytes"):
                read_image(index, memory)
            continue
        image = read_image(index, memory)
        assert isinstance(image, memoryview)
        assert hashlib.sha256(image).hexdigest() == record["image_sha256"]


def test_images_of_a_part_of_several_files_and_of_other_sources(tmp_path: Path) -> None:
    write_records(tmp_path / "a.rec", [1, 2], b"A")
    write_records(tmp_path / "b.rec", [3, 4, 5], b"B")
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "cat" / "1.jpg").write_bytes(b"C")
    memory = ReusedMemory()
    part = Subset(Subset(open_source(tmp_path / "a.rec"), np.array([1, 0])), np.array([1]))
    assert bytes(image_reader(part)(0, memory)) == b"A"
    with pytest.raises(IndexError):
        image_reader(part)(-1, memory)
    part = Subset(RecordSource([tmp_path / "a.rec", tmp_path / "b.rec"], "both"), np.array([4, 1]))
    assert [bytes(image_reader(part)(index, memory)) for index in range(2)] == [b"B", b"A"]
    assert image_reader(open_source(tmp_path / "photos"))(0, memory) == b"C"


def test_samples_that_were_split(tmp_path: Path) -> None:
    content, records = single_label_magic_records()
    (tmp_path / "x.rec").write_bytes(content)
    source = open_source(tmp_path / "x.rec")
    for index, record in enumerate(records):
        assert hashlib.sha256(source[index].image).hexdigest() == record["image_sha256"]
        assert source[index].label.tolist() == record["label"]


def test_several_files_are_one_source_in_name_order(tmp_path: Path) -> None:
    write_records(tmp_path / "b.rec", [3, 4, 5], b"B")
    write_records(tmp_path / "a.rec", [1, 2], b"A")
    source = open_source(tmp_path)
    assert len(source) == 5
    assert source.labels[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert [source[index].image for index in range(5)] == [b"A", b"A", b"B", b"B", b"B"]
    assert source.key(2) == "b.rec:0"
    with pytest.raises(IndexError):
        source[5]
    with pytest.raises(IndexError):
        source[-1]


def test_files_with_different_label_widths(tmp_path: Path) -> None:
    write_records(tmp_path / "a.rec", [1, 2])
    write_records(tmp_path / "b.rec", [[0, 1]])
    with pytest.raises(DataError, match=r"b\.rec: its records have 2 labels, those of .*a\.rec have 1"):
        open_source(tmp_path)


def test_threads_do_not_disturb_one_another(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "x.rec") as writer:
        for number in range(200):
            writer.write(
                number, np.array([0, 0, number, 0, 0, 0], "<u4").tobytes() + number.to_bytes(2, "little") * 500
            )
    source = open_source(tmp_path / "x.rec")
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(lambda index: source[index].image, [*range(200)] * 5))
    assert images == [number.to_bytes(2, "little") * 500 for number in range(200)] * 5


def test_record_that_changed_since_it_was_indexed(tmp_path: Path) -> None:
    path = write_records(tmp_path / "x.rec", [1, 2])
    source = open_source(path)
    with path.open("r+b") as file:
        file.write(bytes(8))
    with pytest.raises(DataError, match="byte 0: no record begins"):
        source[0]
    os.truncate(path, 44)
    with pytest.raises(DataError, match="byte 40: 4 bytes at the end are too few"):
        source[1]
    with pytest.raises(DataError, match="byte 40: 4 bytes at the end are too few"):
        image_reader(source)(1, ReusedMemory())


def test_labels_cannot_be_changed_by_accident() -> None:
    source = open_source(RECORDIO / "scalar.rec")
    with pytest.raises(ValueError, match="read-only"):
        source.labels[0] = 1
