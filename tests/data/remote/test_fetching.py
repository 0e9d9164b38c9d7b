"""Fetching from S3 into the cache: what is transferred, what the view shows, and what users do wrong."""

import multiprocessing
from pathlib import Path

import pytest

from imclass.data import local_path, open_source
from imclass.data.location import shown_name
from imclass.data.remote import downloading, stores
from imclass.data.remote.addresses import parse_address
from imclass.data.remote.downloading import Wanted
from imclass.data.remote.stores import Store
from imclass.errors import DataError
from tests.remote_servers import Bucket


class Transfers:
    """Counts what is downloaded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys: list[str] = []
        whole, part = Store.pieces, Store.read

        def pieces(store: Store, file):
            self.keys.append(file.key)
            return whole(store, file)

        def read(store: Store, file, start: int, stop: int):
            self.keys.append(file.key)
            return part(store, file, start, stop)

        monkeypatch.setattr(Store, "pieces", pieces)
        monkeypatch.setattr(Store, "read", read)

    def taken(self) -> list[str]:
        keys, self.keys = sorted(self.keys), []
        return keys


@pytest.fixture
def transfers(monkeypatch: pytest.MonkeyPatch) -> Transfers:
    return Transfers(monkeypatch)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_fetched_once_and_follows_the_bucket(bucket: Bucket, transfers: Transfers) -> None:
    bucket.put("photos/cat/1.jpg", b"one")
    bucket.put("photos/cat/ü 2%20#?.jpg", b"two")
    bucket.put("photos/dog/3.jpg", b"three")
    bucket.put("photos/", b"")
    bucket.put("photos/dog/", b"")
    bucket.put("photoshop/4.jpg", b"not this folder")
    first = local_path(bucket.address("photos"))
    assert contents(first) == {"cat/1.jpg": b"one", "cat/ü 2%20#?.jpg": b"two", "dog/3.jpg": b"three"}
    assert len(transfers.taken()) == 3

    assert local_path(bucket.address("photos/")) == first
    assert transfers.taken() == []

    bucket.put("photos/dog/3.jpg", b"THREE")
    bucket.put("photos/owl/5.jpg", b"five")
    bucket.delete("photos/cat/1.jpg")
    second = local_path(bucket.address("photos"))
    assert contents(second) == {"cat/ü 2%20#?.jpg": b"two", "dog/3.jpg": b"THREE", "owl/5.jpg": b"five"}
    assert transfers.taken() == ["photos/dog/3.jpg", "photos/owl/5.jpg"]
    assert contents(first)["cat/1.jpg"] == b"one", "what this process has opened stays"


def test_large_objects_come_in_parts(bucket: Bucket, transfers: Transfers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "PART_BYTES", 1000)
    content = bytes(range(256)) * 40
    bucket.put("big.rec", content)
    path = local_path(bucket.address("big.rec"))
    assert path.read_bytes() == content
    assert path.name == "big.rec"
    assert len(transfers.taken()) == 11


def test_an_index_comes_along(bucket: Bucket) -> None:
    bucket.put("train.rec", b"records")
    bucket.put("train.idx", b"index")
    assert contents(local_path(bucket.address("train.rec")).parent) == {"train.rec": b"records", "train.idx": b"index"}


def test_who_may_not_list_can_read(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without a signature, S3 answers "denied" both for what is private and for what is missing.
    bucket.put("train.rec", b"records", ACL="public-read")
    bucket.put("train.idx", b"private")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    assert contents(local_path(bucket.address("train.rec")).parent) == {"train.rec": b"records"}


def test_names_in_messages_are_addresses(bucket: Bucket) -> None:
    bucket.put("lists/bad.lst", b"0\tx\ta.jpg\n")
    with pytest.raises(DataError, match="bad lines in the list") as caught:
        open_source(bucket.address("lists/bad.lst"))
    assert shown_name(local_path(bucket.address("lists/bad.lst"))) == bucket.address("lists/bad.lst")
    assert bucket.address("lists/bad.lst") in str(caught.value)


def test_a_download_that_was_cut_off_goes_on(
    bucket: Bucket, transfers: Transfers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(6):
        bucket.put(f"photos/{number}.jpg", b"x" * (100 - number))
    put, seen = downloading._Target.part_done, []

    def stops_after_three(target) -> int:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(target.file.key)
        return put(target)

    monkeypatch.setattr(downloading, "CONNECTIONS", 1)
    monkeypatch.setattr(downloading._Target, "part_done", stops_after_three)
    with pytest.raises(KeyboardInterrupt):
        local_path(bucket.address("photos"))
    monkeypatch.setattr(downloading._Target, "part_done", put)
    assert not any(path.suffix == "" and (path / "files").exists() for path in (tmp_path / "cache/remote").glob("*/*"))
    transfers.taken()
    assert len(contents(local_path(bucket.address("photos")))) == 6
    assert transfers.taken() == [f"photos/{number}.jpg" for number in (3, 4, 5)]


def test_a_damaged_copy_is_fetched_again(bucket: Bucket, transfers: Transfers) -> None:
    bucket.put("photos/1.jpg", b"one")
    bucket.put("photos/2.jpg", b"two")
    folder = local_path(bucket.address("photos"))
    (folder / "1.jpg").write_bytes(b"")
    transfers.taken()
    assert contents(local_path(bucket.address("photos"))) == {"1.jpg": b"one", "2.jpg": b"two"}
    assert transfers.taken() == ["photos/1.jpg"]


def _fetch(address: str, answers: "multiprocessing.Queue[tuple[str, int]]") -> None:
    taken: list[str] = []
    pieces = Store.pieces
    Store.pieces = lambda store, file: (taken.append(file.key), pieces(store, file))[1]  # type: ignore[assignment,method-assign]
    answers.put((str(local_path(address, quiet=True)), len(taken)))


def test_of_several_processes_one_fetches(bucket: Bucket) -> None:
    for number in range(20):
        bucket.put(f"photos/{number}.jpg", b"x" * number)
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    processes = [context.Process(target=_fetch, args=(bucket.address("photos"), answers)) for _ in range(3)]
    for process in processes:
        process.start()
    got = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert len({path for path, _ in got}) == 1
    assert sum(count for _, count in got) == 19, "the empty object needs no request"


def test_snapshots_that_nobody_uses_are_removed(bucket: Bucket, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    for content in (b"one", b"two", b"three"):
        bucket.put("photos/1.jpg", content)
        process = context.Process(target=_fetch, args=(bucket.address("photos"), answers))
        process.start()
        path, _ = answers.get(timeout=60)
        process.join(60)
        assert contents(Path(path)) == {"1.jpg": content}
    assert len(list((tmp_path / "cache/remote").glob("*/*/files"))) == 1


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["photos/a//b.jpg"], "cannot become"),
        (["photos/../../up.jpg"], "cannot become"),
        (["photos/./b.jpg"], "cannot become"),
        (["photos/a\\..\\b.jpg"], "backslash"),
        (["photos/a", "photos/a/b.jpg"], "'a': is an object and a folder of others"),
        ([f"photos/{'x' * 300}.jpg"], "255 are the most"),
    ],
)
def test_hostile_keys_are_refused(bucket: Bucket, tmp_path: Path, keys: list[str], said: str) -> None:
    for key in keys:
        bucket.put(key, b"content")
    with pytest.raises(DataError, match=said):
        local_path(bucket.address("photos"))
    assert not [path for path in tmp_path.rglob("*.jpg") if "files" not in path.parts]


def test_mistakes(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put("photos/1.jpg", b"one")
    with pytest.raises(DataError, match="nothing is in a folder of this name"):
        local_path(bucket.address("photo"))
    with pytest.raises(DataError, match="there is no such bucket"):
        local_path("s3://no-such-bucket/photos")
    with pytest.raises(DataError, match="names no bucket"):
        local_path("s3:///photos")
    with pytest.raises(DataError, match="ftp:// is no address"):
        local_path("ftp://host/photos")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    with pytest.raises(DataError, match="access is denied"):
        local_path(bucket.address("photos/1.jpg"))


def test_no_credentials(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(DataError, match="AWS_ACCESS_KEY_ID is given without AWS_SECRET_ACCESS_KEY"):
        local_path(bucket.address("photos"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DataError, match="no credentials were found"):
        local_path(bucket.address("photos"))


def test_an_endpoint_that_cannot_be_reached(bucket: Bucket, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stores.RETRY, "max_retries", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port}")
    with pytest.raises(DataError, match="the server cannot be reached"):
        local_path(bucket.address("photos"))


def test_a_full_disk(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put("photos/1.jpg", b"one")

    def full(target, start: int, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloading._Target, "write", full)
    with pytest.raises(DataError, match=r"No space left on device\nMake room"):
        local_path(bucket.address("photos"))


def test_an_object_that_changes_while_it_is_fetched(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a.rec", b"first")
    store = Store(parse_address(bucket.address("a.rec")))
    found = store.find("a.rec")
    assert found is not None
    bucket.put("a.rec", b"other")
    for folder in ("files", "incoming"):
        (tmp_path / folder).mkdir()
    with pytest.raises(DataError, match="has changed since it was opened"):
        downloading.download(
            store, [Wanted("a.rec", found)], tmp_path / "files", tmp_path / "incoming", lambda files, size: None
        )
    assert contents(tmp_path / "files") == {}
