"""Streamed records are those of the fetched file; what is read ahead stays within its limit."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imclass.data import RecordWriter, Subset, in_advance, located, open_source, pack_image
from imclass.data.recordio import MAGIC_BYTES
from imclass.data.remote import read_ahead, record_index, records
from imclass.data.remote.faults import ChangedObjectError
from imclass.data.remote.locating import streamed
from imclass.data.remote.read_ahead import ReadAhead
from imclass.data.remote.records import StreamedRecords
from imclass.data.remote.stores import Store
from imclass.errors import DataError
from tests.remote_servers import Bucket, web_server


def write_records(path: Path, count: int = 60, size: int = 300, labels: int = 1) -> Path:
    """Records of many lengths; some hold the magic word, so that they are stored in several parts."""
    generator = np.random.default_rng(5)
    with RecordWriter(path) as writer:
        for number in range(count):
            image = generator.bytes(int(generator.integers(1, 2 * size)))
            if number % 7 == 0:
                image = image[: len(image) // 4 * 4] + MAGIC_BYTES * 2 + image
            label = float(number % 5) if labels == 1 else generator.integers(0, 2, labels).astype(np.float32)
            writer.write(number, pack_image(label, image, number))
    return path


def same(first, second) -> None:
    assert len(first) == len(second)
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.ids, second.ids)
    for index in range(len(first)):
        assert first[index].image == second[index].image
        assert first.key(index) == second.key(index)


@pytest.fixture(params=["no index", "index", "index of large records"])
def uploaded(request, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file here whose copy is in the bucket, with an `.idx` or without."""
    monkeypatch.setattr(records, "WINDOW_BYTES", 1000)
    if request.param == "index of large records":
        monkeypatch.setattr(record_index, "LARGE_RECORD_BYTES", 0)
        monkeypatch.setattr(record_index, "BEGINNING_BYTES", 40)
    path = write_records(tmp_path / "train.rec", labels=1 if request.param == "no index" else 3)
    if request.param == "no index":
        path.with_suffix(".idx").unlink(missing_ok=True)
    else:
        lines = path.with_suffix(".idx").read_text().splitlines()
        path.with_suffix(".idx").write_text("\n".join(lines[:40] + lines[50:]) + "\n")
        bucket.put("data/train.idx", path.with_suffix(".idx").read_bytes())
    bucket.put("data/train.rec", path.read_bytes())
    return path


def test_streamed_records_are_those_of_the_file(bucket: Bucket, uploaded: Path) -> None:
    streamed = open_source(located(bucket.address("data/train.rec"), stream=True))
    assert isinstance(streamed, StreamedRecords)
    local = open_source(uploaded)
    same(streamed, local)
    same(open_source(located(bucket.address("data"), stream=True)), local)
    same(open_source(bucket.address("data/train.rec")), local)


def test_the_index_is_kept_until_the_object_changes(
    bucket: Bucket, uploaded: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built: list[str] = []
    build = record_index.build_remote_index
    monkeypatch.setattr(record_index, "build_remote_index", lambda file: (built.append(file.name), build(file))[1])
    for _ in range(2):
        open_source(located(bucket.address("data/train.rec"), stream=True))
    assert len(built) == 1
    changed = write_records(tmp_path / "other.rec", count=61)
    bucket.put("data/train.rec", changed.read_bytes())
    bucket.delete("data/train.idx")
    assert len(open_source(located(bucket.address("data/train.rec"), stream=True))) == 61
    assert len(built) == 2


def test_streaming_needs_no_cache(
    bucket: Bucket, uploaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no-folder").write_bytes(b"")
    monkeypatch.setenv("IMCLASS_CACHE", str(tmp_path / "no-folder/cache"))
    same(open_source(located(bucket.address("data/train.rec"), stream=True)), open_source(uploaded))


def test_an_index_is_kept_only_where_changes_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMCLASS_CACHE", str(tmp_path / "cache"))
    write_records(tmp_path / "x.rec")
    with web_server(tmp_path) as (url, _):
        found = streamed(f"{url}/x.rec").files[0]
        untold = replace(found, record=replace(found.record, etag=None, modified=-1.0))
        assert len(record_index.load_remote_index(untold)) == 60
        assert not (tmp_path / "cache/remote/indexes").exists()
        assert len(record_index.load_remote_index(found)) == 60
        assert len(list((tmp_path / "cache/remote/indexes").iterdir())) == 1


def test_reading_ahead_gives_the_same(bucket: Bucket, uploaded: Path) -> None:
    local = open_source(uploaded)
    streamed = open_source(located(bucket.address("data/train.rec"), stream=True))
    order = np.random.default_rng(1).permutation(len(local))
    part = Subset(streamed, order[:30])
    batches = [np.arange(start, start + 6) for start in range(0, 30, 6)]
    with in_advance(part, batches, lambda batch: batch) as announced:
        for batch in announced:
            for index in batch:
                assert part[int(index)].image == local[int(order[index])].image
    assert streamed._ahead._held_bytes == 0
    assert not streamed._ahead._by_piece


def test_leaving_early_gives_the_memory_back(bucket: Bucket, uploaded: Path) -> None:
    streamed = open_source(located(bucket.address("data/train.rec"), stream=True))
    with in_advance(streamed, [np.arange(len(streamed))], lambda batch: batch) as announced:
        streamed[int(next(announced)[0])]
    deadline = time.monotonic() + 10
    while streamed._ahead._held_bytes and time.monotonic() < deadline:
        time.sleep(0.01)
    assert streamed._ahead._held_bytes == 0


def test_an_object_that_changes_under_way(bucket: Bucket, uploaded: Path, tmp_path: Path) -> None:
    streamed = open_source(located(bucket.address("data/train.rec"), stream=True))
    streamed[3]
    bucket.put("data/train.rec", write_records(tmp_path / "other.rec", count=61).read_bytes())
    with pytest.raises(ChangedObjectError, match=r"train\.rec: the object has changed since it was opened"):
        streamed[4]
    bucket.delete("data/train.rec")
    with pytest.raises(ChangedObjectError):
        streamed[5]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: b"", "the file is empty"),
        (lambda content: content[:-10], "the file ends inside a record part"),
        (lambda content: content[4:], "no record begins where one must"),
    ],
)
def test_damaged_objects(bucket: Bucket, tmp_path: Path, damage, said: str) -> None:
    content = damage(write_records(tmp_path / "a.rec").read_bytes())
    bucket.put("a.rec", content)
    with pytest.raises(DataError, match=said) as streamed:
        open_source(located(bucket.address("a.rec"), stream=True))
    with pytest.raises(DataError) as fetched:
        open_source(bucket.address("a.rec"))
    assert str(streamed.value) == str(fetched.value)


def test_an_index_of_another_file(bucket: Bucket, uploaded: Path, tmp_path: Path) -> None:
    bucket.put("data/train.idx", b"0\t0\n1\t8\n")
    with pytest.raises(DataError, match="line 2: no record begins at byte 8 of s3://"):
        open_source(located(bucket.address("data/train.rec"), stream=True))
    bucket.put("data/train.idx", b"0\t0\n1\t99999999\n")
    with pytest.raises(DataError, match="is outside s3://"):
        open_source(located(bucket.address("data/train.rec"), stream=True))


def test_what_cannot_be_streamed(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("photos/cat/1.jpg", b"one")
    with pytest.raises(DataError, match=r"only \.rec files can be streamed, and none of the 1 objects is one"):
        located(bucket.address("photos"), stream=True)


def test_streaming_from_a_web_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMCLASS_CACHE", str(tmp_path / "cache"))
    path = write_records(tmp_path / "www.rec")
    with web_server(tmp_path) as (url, requests):
        same(open_source(located(f"{url}/www.rec", stream=True)), open_source(path))
        assert any(request.startswith("GET bytes=") for request in requests)
    with web_server(tmp_path, plain=True) as (url, _), pytest.raises(DataError, match="whole files only, no ranges"):
        open_source(located(f"{url}/www.rec", stream=True))


# ------------------------------------------------------------------------------------------- reading ahead alone


class Memory:
    """A remote file in memory that counts what is asked of it."""

    def __init__(self, size: int) -> None:
        self.content = np.random.default_rng(2).bytes(size)
        self.requests: list[tuple[int, int]] = []
        self.lock = threading.Lock()

    def read(self, file: int, start: int, stop: int) -> memoryview:
        with self.lock:
            self.requests.append((start, stop))
        return memoryview(self.content)[start:stop]


def ahead_of(memory: Memory, starts: list[int], sizes: list[int], memory_bytes: int = 1 << 20) -> ReadAhead:
    return ReadAhead(
        memory.read, np.zeros(len(starts), np.int64), np.array(starts), np.array(sizes), memory_bytes=memory_bytes
    )


def test_neighbours_come_in_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "GAP_BYTES", 10)
    memory = Memory(1000)
    ahead = ahead_of(memory, [0, 100, 205, 900], [100, 100, 100, 50])
    ahead.announce([2, 3, 0, 1])
    assert [bytes(ahead.take(piece)) for piece in (3, 2, 1, 0)] == [
        memory.content[900:950], memory.content[205:305], memory.content[100:200], memory.content[:100]
    ]  # fmt: skip
    assert len(memory.requests) <= 5
    assert (0, 305) in memory.requests or len(memory.requests) > 2, "one request, unless taken before it began"


@given(
    st.lists(st.integers(0, 19), max_size=60),
    st.lists(st.integers(0, 19), max_size=60),
    st.integers(1, 400),
)
def test_any_order_gives_the_right_bytes_and_ends(announced: list[int], taken: list[int], memory_bytes: int) -> None:
    memory = Memory(2000)
    starts = list(range(0, 2000, 100))
    ahead = ahead_of(memory, starts, [100] * 20, memory_bytes)
    ahead.announce(announced)
    for piece in taken:
        assert bytes(ahead.take(piece)) == memory.content[piece * 100 : piece * 100 + 100]
    ahead.forget()
    deadline = time.monotonic() + 5
    while (ahead._held_bytes or ahead._threads) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert ahead._held_bytes == 0
    assert ahead._threads == 0


def test_memory_is_bounded() -> None:
    memory = Memory(100_000)
    ahead = ahead_of(memory, list(range(0, 100_000, 1000)), [1000] * 100, memory_bytes=5000)
    for number in range(0, 100, 2):  # apart from each other, so that each is a request
        ahead.announce([number])
    time.sleep(0.2)
    assert 0 < ahead._held_bytes <= 5000
    assert len(memory.requests) <= 5
    assert not ahead.wants_more
    ahead.forget()


def test_errors_reach_who_takes() -> None:
    def read(file: int, start: int, stop: int) -> memoryview:
        raise DataError("gone")

    ahead = ReadAhead(read, np.zeros(3, np.int64), np.arange(3), np.ones(3, np.int64))
    ahead.announce([0, 1, 2])
    for piece in (0, 1, 2, 0):
        with pytest.raises(DataError, match="gone"):
            ahead.take(piece)


def test_large_objects_are_not_read_whole_for_an_index(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "GAP_BYTES", 1000)
    path = write_records(tmp_path / "large.rec", count=12, size=100_000)
    content = path.read_bytes()
    bucket.put("large.rec", content)
    bucket.put("large.idx", path.with_suffix(".idx").read_bytes())
    taken: list[int] = []
    read = Store.read
    monkeypatch.setattr(
        Store, "read", lambda store, file, start, stop: (taken.append(stop - start), read(store, file, start, stop))[1]
    )
    source = open_source(located(bucket.address("large.rec"), stream=True))
    assert sum(taken) < len(content)
    same(source, open_source(path))
