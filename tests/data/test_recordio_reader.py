"""Reading records in order and at random: MXNet's files, damaged ones, and any bytes at all."""

import hashlib
import io
import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imclass.data import read_records
from imclass.data.recordio_reader import RecordFile
from imclass.data.reused_memory import ReusedMemory
from imclass.errors import DataError
from tests.data.golden_files import IMAGE_FILES, RECORDIO, expected

WHOLE = (RECORDIO / "magic.rec").read_bytes()


@pytest.mark.parametrize("name", [*IMAGE_FILES, "raw"])
def test_golden_records_in_order(name: str) -> None:
    path = RECORDIO / f"{name}.rec"
    with path.open("rb") as stream:
        records = list(read_records(stream, path.name))
    for record, wanted in zip(records, expected(path), strict=True):
        assert record.offset == wanted["offset"]
        assert [list(part) for part in record.parts] == wanted["parts"]
        assert len(record.payload) == wanted["payload_bytes"]
        assert hashlib.sha256(record.payload).hexdigest() == wanted["payload_sha256"]


@pytest.mark.parametrize("name", [*IMAGE_FILES, "raw"])
def test_golden_records_at_random(name: str) -> None:
    file = RecordFile(RECORDIO / f"{name}.rec")
    for wanted in reversed(expected(file.path)):
        record = file.read(wanted["offset"], wanted["stored_bytes"])
        assert hashlib.sha256(record.payload).hexdigest() == wanted["payload_sha256"]
    file.close()


@pytest.mark.parametrize("name", [*IMAGE_FILES, "raw"])
def test_golden_payloads_in_memory_that_is_used_again(name: str) -> None:
    file, memory = RecordFile(RECORDIO / f"{name}.rec"), ReusedMemory()
    for wanted in reversed(expected(file.path)):
        payload = file.read_payload(wanted["offset"], wanted["stored_bytes"], memory)
        assert hashlib.sha256(payload).hexdigest() == wanted["payload_sha256"]
        is_in_memory = np.may_share_memory(np.frombuffer(payload, np.uint8), memory.array((1,)).base)
        assert is_in_memory == (len(wanted["parts"]) == 1 and len(payload) > 0)
    file.close()


@pytest.mark.parametrize(
    ("name", "good", "offset"),
    [
        ("truncated_aligned", 3, 9748),
        ("truncated_unaligned", 3, 9748),
        ("bad_magic", 2, 3976),
        ("truncated_header", 4, 11612),
    ],
)
def test_broken_files_give_the_records_in_front_and_then_the_place(name: str, good: int, offset: int) -> None:
    with (RECORDIO / "broken" / f"{name}.rec").open("rb") as stream:
        reader = read_records(stream, "x.rec")
        assert len([next(reader) for _ in range(good)]) == good
        with pytest.raises(DataError, match=f"^x.rec, byte {offset}: "):
            next(reader)


def test_empty_stream_has_no_records() -> None:
    assert list(read_records(io.BytesIO(), "x")) == []


def test_a_pipe_gives_the_same_records() -> None:
    """A pipe returns fewer bytes than asked for."""
    read_end, write_end = os.pipe()

    def write() -> None:
        with os.fdopen(write_end, "wb") as stream:
            stream.write(WHOLE)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(read_end, "rb", buffering=0) as stream:
        payloads = [record.payload for record in read_records(stream, "pipe")]
    writer.join()
    assert payloads == [record.payload for record in read_records(io.BytesIO(WHOLE), "file")]


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ((3,), "without its beginning"),
        ((2, 3), "without its beginning"),
        ((1, 0), "before the one in front of it is complete"),
        ((1, 1), "before the one in front of it is complete"),
        ((1, 2), "lacks its last part"),
        ((4,), "no record begins"),
        ((1, 7), "no record begins"),
    ],
)
def test_parts_out_of_order(kinds: tuple[int, ...], message: str) -> None:
    parts = b"".join(b"\x0a\x23\xd7\xce" + (kind << 29 | 4).to_bytes(4, "little") + b"data" for kind in kinds)
    with pytest.raises(DataError, match=message):
        list(read_records(io.BytesIO(parts), "x"))


def test_false_length_allocates_nothing() -> None:
    """A head that announces half a gigabyte, in a stream of 12 bytes that refuses to be asked for more than 1 MiB."""

    class Careful(io.BytesIO):
        def read(self, count: int | None = -1, /) -> bytes:
            assert count is not None
            assert 0 < count <= 1 << 20
            return super().read(count)

    stream = Careful(b"\x0a\x23\xd7\xce\xff\xff\xff\x1f1234")
    with pytest.raises(DataError, match="ends inside a record part of 536870911 bytes"):
        list(read_records(stream, "x"))


@settings(max_examples=300, deadline=None)
@given(
    cut=st.integers(0, len(WHOLE)),
    flips=st.dictionaries(st.integers(0, len(WHOLE) - 1), st.integers(1, 255), max_size=3),
)
def test_cut_and_flipped_bytes_give_records_or_a_data_error(cut: int, flips: dict[int, int]) -> None:
    damaged = bytearray(WHOLE)
    for position, bits in flips.items():
        damaged[position] ^= bits
    message = "x.rec, byte "
    try:
        records = list(read_records(io.BytesIO(damaged[:cut]), "x.rec"))
        assert sum(len(record.payload) for record in records) <= cut
    except DataError as error:
        message = str(error)
    assert message.startswith("x.rec, byte ")


def test_file_that_cannot_be_read_by_offset(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.rec")
    with pytest.raises(DataError, match="not a regular file"):
        RecordFile(tmp_path / "pipe.rec")
    with pytest.raises(DataError, match="No such file"):
        RecordFile(tmp_path / "missing.rec")


def test_file_that_shrank_since(tmp_path: Path) -> None:
    path = tmp_path / "x.rec"
    path.write_bytes(WHOLE)
    file = RecordFile(path)
    os.truncate(path, 100)
    with pytest.raises(DataError, match="byte 40: the file ends inside"):
        file.read(0, 1320)
    with pytest.raises(DataError, match="byte 1320: 0 bytes at the end"):
        file.read(1320, 1400)
    memory = ReusedMemory()
    memory.array((1320,))[:] = np.frombuffer(
        WHOLE[:1320], np.uint8
    )  # what was there before is not taken for the file's
    with pytest.raises(DataError, match="byte 40: the file ends inside"):
        file.read_payload(0, 1320, memory)
    with pytest.raises(DataError, match="byte 1320: 0 bytes at the end"):
        file.read_payload(1320, 1400, memory)


def test_a_closed_file_names_itself() -> None:
    file = RecordFile(RECORDIO / "scalar.rec", "x.rec")
    file.close()
    with pytest.raises(DataError, match=r"x\.rec, byte 8: cannot be read: Bad file descriptor"):
        file.read_payload(8, 100, ReusedMemory())


def test_a_pickled_file_is_opened_again() -> None:
    """Descriptors differ between processes, so a copy that kept the number would read whatever else has it there."""
    path = RECORDIO / f"{IMAGE_FILES[0]}.rec"
    file = RecordFile(path, "what the user typed")
    pickled = pickle.dumps(file)
    file.close()
    copy = pickle.loads(pickled)  # noqa: S301  (our own bytes)
    wanted = expected(path)[0]
    record = copy.read(wanted["offset"], wanted["stored_bytes"])
    assert hashlib.sha256(record.payload).hexdigest() == wanted["payload_sha256"]
    assert copy.name == "what the user typed"
    copy.close()
