"""Records turned back into files."""

from pathlib import Path

import pytest

from imclass.data import RecordWriter, open_source, pack_image
from imclass.data.lst import read_lst
from imclass.data.recordio_source import RecordSource
from imclass.data.unpacking import unpack
from imclass.errors import DataError
from tests.data.golden_files import GOLDEN, RECORDIO, write_records

IM2REC = GOLDEN / "im2rec"


def records(path: Path) -> RecordSource:
    return RecordSource([path], path.name)


def test_golden_images_come_out_as_they_went_in(tmp_path: Path) -> None:
    names = ("apple", "banana", "cherry pie")
    unpacked = unpack(records(IM2REC / "fruit.rec"), tmp_path / "out", "fruit.lst", names)
    assert (unpacked.images, unpacked.left_out, unpacked.unknown) == (10, [], [])
    before, after = read_lst(IM2REC / "fruit.lst"), read_lst(tmp_path / "out" / "fruit.lst")
    assert after.indices.tolist() == before.indices.tolist()
    assert after.labels.tolist() == before.labels.tolist()
    for packed, written in zip(before.paths, after.paths, strict=True):
        assert (tmp_path / "out" / written).read_bytes() == (IM2REC / "images" / packed).read_bytes()
        assert written.split("/")[0] == packed.split("/")[0]
        assert Path(written).suffix == Path(packed).suffix


def test_class_numbers_sort_as_numbers(tmp_path: Path) -> None:
    path = write_records(tmp_path / "x.rec", [10, 0, 2], image=b"\xff\xd8\xff")
    unpack(records(path), tmp_path / "out", "x.lst")
    assert read_lst(tmp_path / "out" / "x.lst").paths == ("10/0.jpg", "00/1.jpg", "02/2.jpg")
    assert open_source(tmp_path / "out").labels[:, 0].tolist() == [10, 0, 2]


def test_several_labels_stay_in_the_list(tmp_path: Path) -> None:
    unpack(records(IM2REC / "multi.rec"), tmp_path / "out", "multi.lst")
    again = read_lst(tmp_path / "out" / "multi.lst")
    assert again.labels.tolist() == read_lst(IM2REC / "multi.lst").labels.tolist()
    assert again.paths[:2] == ("images/4.jpg", "images/0.jpg")


def test_labels_that_are_no_class_numbers_and_records_without_an_image(tmp_path: Path) -> None:
    source = records(RECORDIO / "scalar.rec")
    unpacked = unpack(source, tmp_path / "out", "scalar.lst")
    assert unpacked.images == 23
    assert [reason for _, reason in unpacked.left_out] == ["the record holds no image bytes"]
    listed = read_lst(unpacked.list_file)
    assert {path.split("/")[0] for path in listed.paths} == {"images"}
    assert len(listed.paths) == 23


def test_ids_that_occur_twice_are_counted_anew(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "x.rec") as writer:
        for label in (0, 1, 0):
            writer.write(7, pack_image(label, b"\x89PNG", image_id=7))
    (tmp_path / "x.idx").unlink()
    unpack(records(tmp_path / "x.rec"), tmp_path / "out", "x.lst")
    assert read_lst(tmp_path / "out" / "x.lst").paths == ("0/0.png", "1/1.png", "0/2.png")


def test_images_of_another_format_are_named(tmp_path: Path) -> None:
    unpacked = unpack(records(write_records(tmp_path / "x.rec", [1], image=b"GIF8")), tmp_path / "out", "x.lst")
    assert unpacked.unknown == ["x.rec:0"]
    assert (tmp_path / "out" / "1" / "0.bin").read_bytes() == b"GIF8"


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write_records(tmp_path / "x.rec", [0, 1, 2], image=b"\xff\xd8\xff" * 20)
    source = records(path)
    with path.open("r+b") as stream:
        stream.truncate(200)
    with pytest.raises(DataError, match="ends inside a record"):
        unpack(source, tmp_path / "out", "x.lst")
    assert {entry.name for entry in tmp_path.iterdir()} == {"x.rec", "x.idx"}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a", "b"), "2 names are too few: the largest class number is 2"),
        (("a", "../b", "c"), "cannot use for class folders"),
        (("a", ".b", "c"), "cannot use for class folders"),
    ],
)
def test_class_names_that_do_not_fit(names: tuple[str, ...], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        unpack(records(IM2REC / "fruit.rec"), tmp_path / "out", "x.lst", names)
    with pytest.raises(DataError, match="not single class numbers"):
        unpack(records(IM2REC / "multi.rec"), tmp_path / "out", "x.lst", names)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    unpack(records(IM2REC / "fruit.rec"), tmp_path / "out", "x.lst")
    with pytest.raises(DataError, match="exists already"):
        unpack(records(IM2REC / "fruit.rec"), tmp_path / "out", "x.lst")
    with pytest.raises(DataError, match="exists already"):
        unpack(records(IM2REC / "fruit.rec"), tmp_path / "out" / "x.lst", "x.lst")
