"""Places in S3 as files, and the folders of channels made of them."""

from pathlib import Path

import pytest

from imclass.errors import UserError
from imclass.sagemaker.control_plane.buckets import Buckets, Place, link_objects, relative_name


@pytest.fixture
def buckets(tmp_path: Path) -> Buckets:
    for key in ("train/a/1.jpg", "train/b.jpg", "train-more/c.jpg", ".hidden/d.jpg", "train/.e.0123.tmp"):
        file = tmp_path / "s3/bucket" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(key)
    return Buckets(tmp_path / "s3")


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket//etc/passwd", "s3://bucket/../x", "s3://bucket/a/../../x", "s3://bucket/a//b", "s3://bucket/a/./b",
        "s3://bucket/a\0b", "s3://../x", "s3:///x", "s3://Bucket/x", "https://bucket/x", "s3://b", "s3://bucket/..",
        "s3://bucket//", "/etc/passwd",
    ],
)  # fmt: skip
def test_addresses_that_are_no_files_of_a_bucket(address: str) -> None:
    with pytest.raises(ValueError, match=r"is not s3://BUCKET/KEY|cannot be a file"):
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
        ("s3://bucket/nothing/", []),
        ("s3://elsewhere/train/", []),
    ],
)
def test_objects_with_a_prefix(buckets: Buckets, address: str, keys: list[str]) -> None:
    assert [each.key for each in buckets.objects(Place.of(address))] == keys


@pytest.mark.parametrize(
    ("key", "prefix", "name"),
    [
        ("train/a/1.jpg", "train/", "a/1.jpg"),
        ("train/a/1.jpg", "train", "a/1.jpg"),
        ("train/a/1.jpg", "", "train/a/1.jpg"),
        ("train/b.jpg", "train/b.jpg", "b.jpg"),
        ("train/b.jpg", "tra", "train/b.jpg"),
        ("train/b.jpg", "train/b", "b.jpg"),
    ],
)
def test_where_an_object_lies_in_a_channel(key: str, prefix: str, name: str) -> None:
    assert relative_name(key, prefix) == name


def test_links_keep_the_content_when_an_object_is_replaced(buckets: Buckets, tmp_path: Path) -> None:
    place = Place.of("s3://bucket/train/")
    link_objects(list(buckets.objects(place)), place.key, tmp_path / "channel")
    linked = tmp_path / "channel/b.jpg"
    assert linked.samefile(tmp_path / "s3/bucket/train/b.jpg")
    with buckets.pending(Place.of("s3://bucket/train/b.jpg")) as file:
        file.write(b"new")
    assert linked.read_text() == "train/b.jpg"
    assert (tmp_path / "channel/a/1.jpg").read_text() == "train/a/1.jpg"


def test_a_bucket_must_be_there(buckets: Buckets) -> None:
    with pytest.raises(UserError, match="there is no such bucket"):
        buckets.pending(Place.of("s3://elsewhere/x"))
