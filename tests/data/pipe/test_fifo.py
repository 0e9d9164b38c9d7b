"""FIFOs that come late, are silent, compressed, or no FIFOs at all."""

import gzip
import os
import threading
import time
from pathlib import Path

import pytest

from imclass.data.pipe.fifo import FifoBytes, WaitGivenUp, open_fifo
from imclass.errors import DataError
from tests.pipe_writer import write

SHORT = 0.4


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "train_0")
    return tmp_path / "train_0"


def in_background(function, *arguments) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def read(path: Path, deadline_seconds: float = 10.0) -> bytes:
    with open_fifo(path, deadline_seconds) as stream:
        return stream.read()


def test_bytes_arrive_and_the_end_is_the_end(fifo: Path) -> None:
    content = os.urandom(300_000)
    in_background(write, fifo, content, 1000, 0.0)
    assert read(fifo) == content


def test_a_fifo_may_come_late(tmp_path: Path) -> None:
    path = tmp_path / "train_0"

    def make_late() -> None:
        time.sleep(0.3)
        os.mkfifo(path)
        time.sleep(0.3)
        write(path, b"late", 2, 0.2)

    in_background(make_late)
    assert read(path) == b"late"


def test_a_writer_without_a_byte_is_an_empty_stream(fifo: Path) -> None:
    in_background(write, fifo, b"", 1, 0.0)
    assert read(fifo) == b""


def test_a_missing_fifo_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train_3: there is no such pipe, after waiting 0\.4 seconds") as caught:
        read(tmp_path / "train_3", SHORT)
    assert "mkfifo" in str(caught.value)


def test_a_fifo_without_a_writer(fifo: Path) -> None:
    with pytest.raises(DataError, match=r"train_0: the writer of the pipe did not come, or sent nothing, for 0\.4"):
        read(fifo, SHORT)


def test_a_writer_that_falls_silent(fifo: Path) -> None:
    in_background(write, fifo, b"some and more", 4, 3.0)
    with pytest.raises(DataError, match=r"train_0: the writer of the pipe sent nothing for 0\.4 seconds"):
        read(fifo, SHORT)


def test_a_slow_writer_is_waited_for_between_any_two_bytes(fifo: Path) -> None:
    in_background(write, fifo, b"slowly", 1, 0.15)
    assert read(fifo, SHORT) == b"slowly", "0.9 seconds in all, but never 0.4 without a byte"


def test_a_file_is_no_fifo(tmp_path: Path) -> None:
    (tmp_path / "train_0").write_bytes(b"x")
    with pytest.raises(DataError, match="is not a FIFO"):
        read(tmp_path / "train_0")


def test_the_wait_can_be_given_up(fifo: Path, tmp_path: Path) -> None:
    for path in (fifo, tmp_path / "train_1"):
        with pytest.raises(WaitGivenUp), open_fifo(path, 60.0, lambda: True) as stream:
            stream.read()


def test_gzip_is_decompressed_also_when_several_files_follow_one_another(fifo: Path) -> None:
    parts = [os.urandom(50_000), b"second"]
    compressed = b"".join(map(gzip.compress, parts))
    in_background(write, fifo, compressed, 4096, 0.0)
    assert read(fifo) == b"".join(parts)
    in_background(write, fifo, gzip.compress(b"byte by byte"), 1, 0.005)
    assert read(fifo) == b"byte by byte"


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:500] + b"x" + data[501:]])
def test_damaged_gzip(fifo: Path, damage) -> None:
    in_background(write, fifo, damage(gzip.compress(os.urandom(5000))), 4096, 0.0)
    with pytest.raises(DataError, match=r"train_0, about byte \d+ of the decompressed data: the compressed data is"):
        read(fifo)


def test_a_second_reader_is_noticed(fifo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FifoBytes, "_wait", lambda self: None)  # it saw bytes, and the other reader took them
    with FifoBytes(fifo, 5, lambda: False, 0.0) as stream:
        writer = os.open(fifo, os.O_WRONLY)
        try:
            with pytest.raises(DataError, match="another process reads this pipe too"):
                stream.readinto(bytearray(10))
        finally:
            os.close(writer)


def test_closing_early_ends_the_writer(fifo: Path) -> None:
    writer = in_background(write, fifo, bytes(10_000_000), 65536, 0.0)
    with open_fifo(fifo, 10.0) as stream:
        assert stream.read(100) == bytes(100)
    writer.join(5)
    assert not writer.is_alive()
