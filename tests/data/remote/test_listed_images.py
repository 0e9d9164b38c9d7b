"""Lists and manifests whose images are on other machines."""

import json
from pathlib import Path

import pytest

from imclass.data import open_pair, open_source
from imclass.data.remote import listed_images
from imclass.errors import DataError, ImageError
from tests.remote_servers import Bucket


def manifest(*lines: dict) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def images(source) -> list[bytes]:
    return [source[index].image for index in range(len(source))]


def test_a_manifest_here_names_objects_there(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("deep/a.jpg", b"a")
    bucket.put("b.jpg", b"b")
    (tmp_path / "c.jpg").write_bytes(b"c")
    path = tmp_path / "train.manifest"
    path.write_bytes(
        manifest(
            {"source-ref": bucket.address("deep/a.jpg"), "class": "1"},
            {"source-ref": bucket.address("b.jpg"), "class": 0},
            {"source-ref": "c.jpg", "class": 0},
            {"source-ref": (tmp_path / "c.jpg").as_uri(), "class": 1},
            {"source-ref": bucket.address("deep/a.jpg"), "class": 2},
        )
    )
    source = open_source(path)
    assert images(source) == [b"a", b"b", b"c", b"c", b"a"]
    assert source.key(0) == bucket.address("deep/a.jpg")
    assert source.labels[:, 0].tolist() == [1, 0, 0, 1, 2]


@pytest.mark.parametrize("fewest_to_list", [1, 100])
def test_paths_of_a_manifest_there_start_from_it(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, fewest_to_list: int
) -> None:
    monkeypatch.setattr(listed_images, "FEWEST_TO_LIST", fewest_to_list)
    for key, content in (("set/img/a.jpg", b"a"), ("other/b.jpg", b"b"), ("set/img/unused.jpg", b"-")):
        bucket.put(key, content)
    names = {"job-metadata": {"class-map": {"0": "cat", "2": "dog"}}}
    lines = [{"source-ref": ref, "job": label, **names} for ref, label in (("img/a.jpg", [0]), ("../other/b.jpg", [2]))]
    bucket.put("set/train.manifest", manifest(*lines))
    source = open_source(bucket.address("set/train.manifest"), label_format="class-id")
    assert source.name == bucket.address("set/train.manifest")
    assert images(source) == [b"a", b"b"]
    assert source.class_names == ("cat", "1", "dog")
    assert source.labels.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_a_list_there(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("set/x.lst", b"0\t1\timg/a.jpg\n1\t0\timg/b.jpg\n")
    bucket.put("set/img/a.jpg", b"a")
    bucket.put("set/img/b.jpg", b"b")
    assert images(open_source(bucket.address("set/x.lst"))) == [b"a", b"b"]
    (tmp_path / "img").mkdir()
    (tmp_path / "img/a.jpg").write_bytes(b"here")
    (tmp_path / "img/b.jpg").write_bytes(b"here too")
    assert images(open_source(bucket.address("set/x.lst"), image_root=tmp_path)) == [b"here", b"here too"]
    (tmp_path / "x.lst").write_bytes(b"0\t1\ta.jpg\n")
    pair = open_pair(bucket.address("set/x.lst"), tmp_path / "x.lst", validation_image_root=bucket.address("set/img"))
    assert [images(source) for source in pair] == [[b"a", b"b"], [b"a"]]


def test_a_missing_object_is_one_bad_image(bucket: Bucket) -> None:
    bucket.put("train.manifest", manifest(*({"source-ref": f"{n}.jpg", "class": 0} for n in (1, 2))))
    bucket.put("1.jpg", b"one")
    source = open_source(bucket.address("train.manifest"))
    assert source[0].image == b"one"
    with pytest.raises(ImageError, match="No such file"):
        source[1]


def test_changed_images_are_fetched_again(bucket: Bucket) -> None:
    bucket.put("train.manifest", manifest({"source-ref": "1.jpg", "class": 0}))
    for content in (b"one", b"other"):
        bucket.put("1.jpg", content)
        assert images(open_source(bucket.address("train.manifest"))) == [content]


def test_all_bad_references_are_named_with_their_lines(bucket: Bucket) -> None:
    references = ["/etc/passwd", "../../up.jpg", "s3://other", "a\\b.jpg", "ftp://host/x.jpg", "s3://other/../x.jpg"]
    bucket.put("set/train.manifest", manifest(*({"source-ref": each, "class": 0} for each in references)))
    with pytest.raises(DataError) as caught:
        open_source(bucket.address("set/train.manifest"))
    for number in range(1, len(references) + 1):
        assert f"line {number}: " in str(caught.value)
