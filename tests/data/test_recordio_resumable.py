"""A `.rec` file that is written over several attempts."""

import errno
import os
from pathlib import Path

import pytest

from imclass.data import pack_image
from imclass.data.recordio_resumable import ResumableRecordWriter
from imclass.errors import DataError
from tests.data.golden_files import MAGIC, write_records

PAYLOADS = [pack_image(number, MAGIC * number + bytes(number), image_id=number) for number in range(6)]


def write(writer: ResumableRecordWriter, stop: int = len(PAYLOADS)) -> None:
    for number in range(writer.items, stop):
        if number == 2:
            writer.leave_out(number, 'no\timage "x"')
        else:
            writer.write(number, PAYLOADS[number])


def at_once(folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    with ResumableRecordWriter(folder / "x.rec", "job") as writer:
        write(writer)
        writer.finish()
    writer.forget()
    return contents(folder)


def interrupted_attempt(path: Path, stop: int) -> None:
    def attempt() -> None:
        with ResumableRecordWriter(path, "job") as writer:
            write(writer, stop)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_bytes_are_those_of_the_plain_writer(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    write_records(tmp_path / "plain" / "x.rec", [0, 1, 2])
    (tmp_path / "ours").mkdir()
    with ResumableRecordWriter(tmp_path / "ours" / "x.rec", "job") as writer:
        for number in range(3):
            writer.write(number, pack_image(number, b"image", image_id=number))
        writer.finish()
    writer.forget()
    assert contents(tmp_path / "ours") == contents(tmp_path / "plain")


@pytest.mark.parametrize("stop", range(len(PAYLOADS) + 1))
def test_the_next_attempt_goes_on(stop: int, tmp_path: Path) -> None:
    wanted = at_once(tmp_path / "wanted")
    path = tmp_path / "x.rec"
    interrupted_attempt(path, stop)
    assert not path.exists()
    with ResumableRecordWriter(path, "job") as writer:
        assert writer.items == stop
        assert writer.left_out == ([(2, 'no\timage "x"')] if stop > 2 else [])
        write(writer)
        writer.finish()
    writer.forget()
    assert {name: path.with_name(name).read_bytes() for name in wanted} == wanted
    assert {entry.name for entry in tmp_path.iterdir()} == {"x.rec", "x.idx", "wanted"}


def test_what_is_not_in_the_journal_is_cut_off(tmp_path: Path) -> None:
    wanted = at_once(tmp_path / "wanted")
    path = tmp_path / "x.rec"
    with ResumableRecordWriter(path, "job") as writer:
        write(writer, 4)
    with (tmp_path / ".x.rec.packing").open("ab") as stream:
        stream.write(b"half a record")
    with (tmp_path / ".x.rec.journal").open("ab") as stream:
        stream.write(b"4\t50")
    with ResumableRecordWriter(path, "job") as writer:
        assert writer.items == 4
        write(writer)
        writer.finish()
    assert path.read_bytes() == wanted["x.rec"]
    assert path.with_suffix(".idx").read_bytes() == wanted["x.idx"]


def test_records_that_are_gone_are_made_again(tmp_path: Path) -> None:
    path = tmp_path / "x.rec"
    with ResumableRecordWriter(path, "job") as writer:
        write(writer, 4)
    (tmp_path / ".x.rec.packing").write_bytes(b"")
    with ResumableRecordWriter(path, "job") as writer:
        assert (writer.items, writer.left_out) == (0, [])


@pytest.mark.parametrize(("job", "go_on"), [("another", True), ("job", False)])
def test_work_of_another_job_is_dropped(job: str, go_on: bool, tmp_path: Path) -> None:
    wanted = at_once(tmp_path / "wanted")
    path = tmp_path / "x.rec"
    with ResumableRecordWriter(path, "job") as writer:
        write(writer, 4)
    with ResumableRecordWriter(path, job, go_on=go_on) as writer:
        assert writer.items == 0
        write(writer)
        writer.finish()
    assert path.read_bytes() == wanted["x.rec"]


def test_a_finished_file_is_known_until_the_job_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "x.rec"
    with ResumableRecordWriter(path, "job") as writer:
        write(writer)
        writer.finish()
    index = path.with_suffix(".idx").read_bytes()
    path.with_suffix(".idx").unlink()  # as if the process had ended between the two renames
    with ResumableRecordWriter(path, "job") as writer:
        assert writer.is_finished
        assert (writer.items, len(writer.left_out)) == (6, 1)
    assert path.with_suffix(".idx").read_bytes() == index
    writer.forget()
    with ResumableRecordWriter(path, "job") as writer:
        assert (writer.is_finished, writer.items) == (False, 0)


def test_a_stop_before_the_rename_is_made_good(tmp_path: Path) -> None:
    path = tmp_path / "x.rec"
    with ResumableRecordWriter(path, "job") as writer:
        write(writer)
        writer.finish()
    stored = path.read_bytes()
    path.rename(tmp_path / ".x.rec.packing")
    with ResumableRecordWriter(path, "job") as writer:
        assert (writer.is_finished, writer.items) == (False, 6)
        writer.finish()
    assert path.read_bytes() == stored


def test_two_processes_cannot_make_one_file(tmp_path: Path) -> None:
    with ResumableRecordWriter(tmp_path / "x.rec", "job") as writer:
        with pytest.raises(DataError, match="another process is making this file"):
            ResumableRecordWriter(tmp_path / "x.rec", "job")
        writer.write(0, PAYLOADS[0])


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be written: No such file"):
        ResumableRecordWriter(tmp_path / "missing" / "x.rec", "job")
    (tmp_path / "x.rec").mkdir()
    with pytest.raises(DataError, match="this is a folder"):
        ResumableRecordWriter(tmp_path / "x.rec", "job")


def test_a_full_disk_keeps_what_was_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = at_once(tmp_path / "wanted")
    path = tmp_path / "x.rec"
    real_write = os.write

    def write_half_then_fail(descriptor: int, data: bytes | memoryview) -> int:
        real_write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    def attempt() -> None:
        with ResumableRecordWriter(path, "job") as writer:
            write(writer, 4)
            writer.checkpoint()
            write(writer)
            monkeypatch.setattr("imclass.data.recordio_resumable.os.write", write_half_then_fail)
            writer.finish()

    with pytest.raises(DataError, match="No space left on device"):
        attempt()
    monkeypatch.undo()
    assert not path.exists()
    with ResumableRecordWriter(path, "job") as writer:
        assert writer.items == 4
        write(writer)
        writer.finish()
    assert path.read_bytes() == wanted["x.rec"]
