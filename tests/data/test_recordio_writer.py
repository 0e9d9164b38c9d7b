"""Writing records: the bytes are MXNet's own."""

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imclass.data import RecordWriter, pack_image, read_records
from imclass.data.recordio_writer import encode_record
from imclass.errors import DataError
from tests.data.golden_files import IMAGE_FILES, MAGIC, RECORDIO, expected, write_records


@pytest.mark.parametrize("name", [*IMAGE_FILES, "raw"])
def test_golden_files_come_out_byte_for_byte(name: str, tmp_path: Path) -> None:
    golden = RECORDIO / f"{name}.rec"
    with golden.open("rb") as stream, RecordWriter(tmp_path / "copy.rec") as writer:
        for record, wanted in zip(read_records(stream, name), expected(golden), strict=True):
            writer.write(wanted["key"], record.payload)
    assert (tmp_path / "copy.rec").read_bytes() == golden.read_bytes()
    assert (tmp_path / "copy.idx").read_bytes() == golden.with_suffix(".idx").read_bytes()


@settings(max_examples=200, deadline=None)
@given(pieces=st.lists(st.one_of(st.just(MAGIC), st.binary(max_size=9)), max_size=8))
def test_any_payload_comes_back(pieces: list[bytes]) -> None:
    payload = b"".join(pieces)
    stored = encode_record(payload)
    assert len(stored) % 4 == 0
    assert [record.payload for record in read_records(io.BytesIO(stored), "x")] == [payload]


def test_too_long_a_record() -> None:
    with pytest.raises(DataError, match="shorter than 2\\^29"):
        encode_record(bytes(1 << 29))


def test_nothing_is_left_of_a_file_that_failed(tmp_path: Path) -> None:
    write_records(tmp_path / "x.rec", [1])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(struct.error), RecordWriter(tmp_path / "x.rec") as writer:
        writer.write(0, pack_image(1, b"half", image_id=-1))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.rec: the file cannot be written: No such file"):
        RecordWriter(tmp_path / "missing" / "x.rec")
