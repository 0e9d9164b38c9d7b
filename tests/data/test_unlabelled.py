"""Images without labels: keys, order, bytes, and clear refusals."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imclass.data import RecordWriter, pack_image
from imclass.data.unlabelled import RecordObject, SplitType, open_unlabelled
from imclass.errors import DataError, ImageError
from tests.remote_servers import Bucket

WriteRecords = Callable[[Path, list[tuple[object, bytes]]], Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for name in ("b.jpg", "a/2.PNG", "a/10.jpeg", "a/.hidden.jpg", "notes.txt", "ü 1.jpg"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


@pytest.fixture
def write_records() -> WriteRecords:
    def write(path: Path, items: list[tuple[object, bytes]]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with RecordWriter(path) as writer:
            for number, (label, image) in enumerate(items):
                writer.write(number, pack_image(label, image, image_id=number + 100))  # type: ignore[arg-type]
        return path

    return write


def test_a_folder_gives_its_images_in_order_of_key(folder: Path) -> None:
    images = open_unlabelled(folder)
    assert list(images.keys) == ["a/10.jpeg", "a/2.PNG", "b.jpg", "ü 1.jpg"]
    assert [images.image(index) for index in range(4)] == [key.encode() for key in images.keys]
    assert images.objects is None
    assert images.record(2) == {"key": "b.jpg"}


def test_links_in_a_circle_end(folder: Path) -> None:
    (folder / "a" / "again").symlink_to(folder)
    assert len(open_unlabelled(folder).keys) == 4


def test_one_image_is_a_data_set(folder: Path) -> None:
    images = open_unlabelled(folder / "a" / "2.PNG")
    assert (list(images.keys), images.image(0)) == (["2.PNG"], b"a/2.PNG")


def test_a_list_keeps_its_order_and_its_columns(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.lst"
    path.write_text(f"7\t1.0\tb.jpg\n3\t0\t./a//2.PNG\n4\t0\t{folder / 'a' / '10.jpeg'}\n")
    images = open_unlabelled(path, image_root=folder)
    assert list(images.keys) == ["b.jpg", "a/2.PNG", "a/10.jpeg"]
    assert images.image(1) == b"a/2.PNG"
    assert images.record(0) == [7, 1.0, "b.jpg"]


def test_a_manifest_needs_no_labels(folder: Path) -> None:
    path = folder / "x.manifest"
    lines = [{"source-ref": "b.jpg", "size": 3}, {"source-ref": (folder / "a" / "2.PNG").as_uri()}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    images = open_unlabelled(path)
    assert [images.image(index) for index in range(2)] == [b"b.jpg", b"a/2.PNG"]
    assert images.keys[0] == "b.jpg"
    assert [images.record(index) for index in range(2)] == lines


def test_bad_lines_of_a_manifest_are_reported_together(folder: Path) -> None:
    path = folder / "x.manifest"
    path.write_text('{"source-ref": "b.jpg"}\n{"image": "b.jpg"}\nnothing\n{"source-ref": 7}\n')
    with pytest.raises(DataError) as caught:
        open_unlabelled(path)
    for said in ("line 2: no attribute ...-ref names the image", "line 3: not JSON", "line 4: 'source-ref'"):
        assert said in str(caught.value)
    path.write_text('{"image": "b.jpg"}\n')
    assert list(open_unlabelled(path, image_attribute="image").keys) == ["b.jpg"]


@pytest.mark.parametrize("absolute", [True, False])
def test_a_manifest_file_names_images_below_a_prefix(folder: Path, absolute: bool) -> None:
    path = folder / "in.manifest"
    prefix = (folder / "a").as_uri() + "/" if absolute else "a/"
    path.write_text(json.dumps([{"prefix": prefix}, "2.PNG", "10.jpeg"]))
    images = open_unlabelled(path)
    assert list(images.keys) == ["2.PNG", "10.jpeg"]
    assert [images.image(index) for index in range(2)] == [b"a/2.PNG", b"a/10.jpeg"]


def test_a_manifest_file_in_a_bucket(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("photos/a/1.jpg", b"one")
    bucket.put("in.manifest", json.dumps([{"prefix": bucket.address("photos/")}, "a/1.jpg", "a/2.jpg"]).encode())
    images = open_unlabelled(bucket.address("in.manifest"))
    assert list(images.keys) == ["a/1.jpg", "a/2.jpg"]
    assert images.image(0) == b"one"
    with pytest.raises(ImageError, match="No such file"):
        images.image(1)


def test_bad_elements_of_a_manifest_file_are_reported_together(folder: Path) -> None:
    path = folder / "in.manifest"
    path.write_text('["s3://x/", 7, ""]')
    with pytest.raises(DataError) as caught:
        open_unlabelled(path)
    for said in ("element 0 is no object", "element 1: not a text", "element 2: the path is empty"):
        assert said in str(caught.value)
    for content, said in (("[1,", "not JSON"), ('[{"prefix": "a/"}]', "names no images")):
        path.write_text(content)
        with pytest.raises(DataError, match=said):
            open_unlabelled(path)
    path.write_text('[{"prefix": "b/"}, "2.PNG"]')
    with pytest.raises(DataError, match="none of the first 1 images"):
        open_unlabelled(path)


def test_records_of_a_file(tmp_path: Path, write_records: WriteRecords) -> None:
    images = open_unlabelled(write_records(tmp_path / "x.rec", [(2.0, b"one"), (1.0, b"two!")]))
    assert images.objects == [RecordObject("x.rec", 2)]
    assert images.keys[0] == "x.rec:0"
    assert [images.image(index) for index in range(2)] == [b"one", b"two!"]
    assert images.record(1) == {"key": images.keys[1], "id": 101, "label": 1.0}


def test_records_of_a_folder_may_differ_in_their_labels(tmp_path: Path, write_records: WriteRecords) -> None:
    write_records(tmp_path / "in" / "b.rec", [(np.array([1, 0], np.float32), b"three")])
    write_records(tmp_path / "in" / "a" / "z.rec", [(0.0, b"one"), (0.0, b"two")])
    images = open_unlabelled(tmp_path / "in", split_type=SplitType.RECORDIO)
    assert images.objects == [RecordObject("a/z.rec", 2), RecordObject("b.rec", 1)]
    assert [images.image(index) for index in range(3)] == [b"one", b"two", b"three"]
    assert images.keys[2] == "b.rec:0"
    assert images.record(2) == {"key": "b.rec:0", "id": 100, "label": [1.0, 0.0]}


def test_a_missing_image_is_a_fault_of_that_image(folder: Path) -> None:
    images = open_unlabelled(folder)
    (folder / "b.jpg").unlink()
    with pytest.raises(ImageError, match="No such file"):
        images.image(2)


def test_what_does_not_fit_is_refused(folder: Path, tmp_path: Path, write_records: WriteRecords) -> None:
    records = write_records(tmp_path / "x.rec", [(0.0, b"one")])
    with pytest.raises(DataError, match="takes the file for one image"):
        open_unlabelled(records, split_type=SplitType.NONE)
    with pytest.raises(DataError, match="an image root belongs to a list"):
        open_unlabelled(folder, image_root=tmp_path)
    with pytest.raises(DataError, match=r"no \.rec files"):
        open_unlabelled(folder, split_type=SplitType.RECORDIO)
    with pytest.raises(DataError, match=r"is for \.rec files"):
        open_unlabelled(folder / "b.jpg", split_type=SplitType.RECORDIO)
    with pytest.raises(DataError, match="no such file or folder"):
        open_unlabelled(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images"):
        open_unlabelled(tmp_path / "empty")
    (tmp_path / "x.lst").write_text("1\t0\tnot-there.jpg\n")
    with pytest.raises(DataError, match="--image-root"):
        open_unlabelled(tmp_path / "x.lst")
