"""Places in S3, the server's own buckets, and the folders of channels made of them."""

import hashlib
from pathlib import Path

import pytest

from imclass.errors import UserError
from imclass.sagemaker.control_plane.store.buckets import Place, S3Object, link_objects, relative_name
from imclass.sagemaker.control_plane.store.local_buckets import LocalBuckets
from imclass.sagemaker.s3.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    for key in ("train/a/1.jpg", "train/b.jpg", "train-more/c.jpg", ".hidden/d.jpg"):
        file = tmp_path / "s3/bucket" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(key)
    return Store(tmp_path / "s3")


@pytest.fixture
def buckets(store: Store) -> LocalBuckets:
    return LocalBuckets(store)


def write(buckets: LocalBuckets, address: str, content: bytes) -> None:
    with buckets.pending(Place.of(address)) as file:
        file.write(content)


def fail_midway(buckets: LocalBuckets, place: Place) -> None:
    with buckets.pending(place) as file:
        file.write(b"sec")
        raise RuntimeError("midway")


@pytest.mark.parametrize(
    "address",
    ["s3://../x", "s3:///x", "s3://Bucket/x", "https://bucket/x", "s3://b", "s3://a..b/x", "/etc/passwd",
     "s3://bucket/" + 1025 * "x", "s3://bucket/\ud800"],
)  # fmt: skip
def test_addresses_that_are_no_places(address: str) -> None:
    with pytest.raises(ValueError, match=r"is not s3://BUCKET/KEY|no object can have"):
        Place.of(address)


def test_places_below() -> None:
    place = Place.of("s3://bucket/output/")
    assert str(place.below("job", "model.tar.gz")) == "s3://bucket/output/job/model.tar.gz"
    assert str(Place.of("s3://bucket").below("job")) == "s3://bucket/job"
    assert str(Place.of("s3://bucket/a").as_folder) == "s3://bucket/a/"
    assert str(Place.of("s3://bucket").as_folder) == "s3://bucket/"


@pytest.mark.parametrize(
    ("address", "keys"),
    [
        ("s3://bucket/train/", ["train/a/1.jpg", "train/b.jpg"]),
        ("s3://bucket/train", ["train-more/c.jpg", "train/a/1.jpg", "train/b.jpg"]),
        ("s3://bucket", [".hidden/d.jpg", "train-more/c.jpg", "train/a/1.jpg", "train/b.jpg"]),
        ("s3://bucket/train/b.jpg", ["train/b.jpg"]),
        ("s3://bucket/train/../train/", []),
        ("s3://bucket/nothing/", []),
        ("s3://elsewhere/train/", []),
    ],
)
def test_objects_with_a_prefix(buckets: LocalBuckets, address: str, keys: list[str]) -> None:
    assert [each.key for each in buckets.objects(Place.of(address))] == keys


def test_one_object(buckets: LocalBuckets) -> None:
    found = buckets.find(Place.of("s3://bucket/train/b.jpg"))
    assert found is not None
    assert found.file.read_text() == "train/b.jpg"
    for address in ("s3://bucket/train/b", "s3://bucket/train", "s3://elsewhere/train/b.jpg", "s3://bucket"):
        assert buckets.find(Place.of(address)) is None


@pytest.mark.parametrize(
    ("key", "prefix", "name"),
    [
        ("train/a/1.jpg", "train/", "a/1.jpg"),
        ("train/a/1.jpg", "train", "a/1.jpg"),
        ("train/a/1.jpg", "", "train/a/1.jpg"),
        ("train/b.jpg", "train/b.jpg", "b.jpg"),
        ("train/b.jpg", "tra", "train/b.jpg"),
        ("train/b.jpg", "train/b", "b.jpg"),
        ("train//b.jpg", "train//b", "b.jpg"),
        ("train/", "train/", ""),
    ],
)
def test_where_an_object_lies_in_a_channel(key: str, prefix: str, name: str) -> None:
    assert relative_name(key, prefix) == name


def test_what_is_written_appears_whole_and_with_its_etag(buckets: LocalBuckets, store: Store, tmp_path: Path) -> None:
    write(buckets, "s3://bucket/out/model", b"first")
    with pytest.raises(RuntimeError, match="midway"):
        fail_midway(buckets, Place.of("s3://bucket/out/model"))
    found = store.find("bucket", "out/model")
    assert found is not None
    assert found.etag == hashlib.md5(b"first").hexdigest()
    (tmp_path / "file").write_bytes(b"third")
    buckets.put(tmp_path / "file", Place.of("s3://bucket/out/model"))
    found = store.find("bucket", "out/model")
    assert found is not None
    assert found.etag == hashlib.md5(b"third").hexdigest()
    buckets.remove(Place.of("s3://bucket/out/model"))
    buckets.remove(Place.of("s3://bucket/out/model"))
    assert store.find("bucket", "out/model") is None


def test_links_keep_the_content_when_an_object_is_replaced(buckets: LocalBuckets, tmp_path: Path) -> None:
    place = Place.of("s3://bucket/train/")
    link_objects(buckets.objects(place), place.key, tmp_path / "channel")
    linked = tmp_path / "channel/b.jpg"
    assert linked.samefile(tmp_path / "s3/bucket/train/b.jpg")
    write(buckets, "s3://bucket/train/b.jpg", b"new")
    assert linked.read_text() == "train/b.jpg"
    assert (tmp_path / "channel/a/1.jpg").read_text() == "train/a/1.jpg"


def test_no_key_leads_out_of_the_folder_of_a_channel(buckets: LocalBuckets, tmp_path: Path) -> None:
    keys = ["../../up.jpg", "./here.jpg", "/etc/passwd", "a//b.jpg", "deep/", "nul\0.jpg"]
    for key in keys:
        write(buckets, f"s3://bucket/odd/{key}", key.encode())
    place = Place.of("s3://bucket/odd/")
    link_objects(buckets.objects(place), place.key, tmp_path / "channel")
    files = {file.read_text() for file in (tmp_path / "channel").rglob("*") if file.is_file()}
    assert files == set(keys) - {"deep/"}
    assert (tmp_path / "channel/deep").is_dir()
    assert not list((tmp_path / "channel/deep").iterdir())


def test_an_object_that_others_are_below_is_refused(tmp_path: Path, buckets: LocalBuckets) -> None:
    write(buckets, "s3://bucket/both/a", b"file")
    write(buckets, "s3://bucket/both/a/b", b"below")
    place = Place.of("s3://bucket/both/")
    objects = list(buckets.objects(place))
    assert [each.key for each in objects] == ["both/a", "both/a/b"]
    for order in (objects, objects[::-1]):
        with pytest.raises(UserError, match="one of them has its name, or that of a folder"):
            link_objects(order, place.key, tmp_path / f"channel-{order[0].key.count('/')}")


def test_another_file_system_gets_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(link: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    (tmp_path / "object").write_text("content")
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    link_objects([S3Object(Place("bucket", "a/b"), lambda: tmp_path / "object")], "a/", tmp_path / "channel")
    assert (tmp_path / "channel/b").read_text() == "content"


def test_a_bucket_must_be_there(buckets: LocalBuckets, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="there is no such bucket"):
        write(buckets, "s3://elsewhere/x", b"")
    with pytest.raises(UserError, match="there is no such bucket"):
        buckets.put(tmp_path / "file", Place.of("s3://elsewhere/x"))
    buckets.remove(Place.of("s3://elsewhere/x"))
    assert not buckets.exists("elsewhere")
