"""What a path is taken for, and what is said when it is nothing."""

import shutil
from pathlib import Path

import pytest

from imclass.data import open_pair, open_source
from imclass.errors import DataError
from tests.data.golden_files import GOLDEN, RECORDIO, write_records


def test_files_are_known_by_their_first_bytes_too(tmp_path: Path) -> None:
    shutil.copy(RECORDIO / "scalar.rec", tmp_path / "part-0")
    assert len(open_source(tmp_path / "part-0")) == 24
    (tmp_path / "a.jpg").write_bytes(b"A")
    (tmp_path / "lines").write_text('\ufeff {"source-ref": "a.jpg", "class": 1}\n')
    assert open_source(tmp_path / "lines").labels.tolist() == [[1]]


def test_paths_may_be_strings() -> None:
    assert open_source(str(RECORDIO / "scalar.rec")).name == str(RECORDIO / "scalar.rec")


def test_folder_with_one_list(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "im2rec" / "images", tmp_path / "x")
    shutil.copy(GOLDEN / "im2rec" / "fruit.lst", tmp_path / "x")
    source = open_source(tmp_path / "x")
    assert source.class_names is None
    assert source.key(0) == "banana/b_00.jpg"
    shutil.copy(GOLDEN / "im2rec" / "multi.lst", tmp_path / "x")
    with pytest.raises(DataError, match=r"several files that may be meant(.|\n)*fruit.lst(.|\n)*multi.lst"):
        open_source(tmp_path / "x")


def test_folder_with_one_manifest(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"A")
    (tmp_path / "x.manifest").write_text('{"source-ref": "a.jpg", "class": 1}\n')
    assert open_source(tmp_path)[0].image == b"A"


def test_missing_path_with_the_nearest_name(tmp_path: Path) -> None:
    write_records(tmp_path / "train.rec", [1])
    with pytest.raises(DataError, match=r"no such file or folder, did you mean 'train.rec'\?"):
        open_source(tmp_path / "trian.rec")
    with pytest.raises(DataError, match="no such file or folder"):
        open_source(tmp_path / "no" / "where")


def test_file_that_is_nothing_known(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"x\.zip: the file is no data set: looked for \.rec"):
        open_source(tmp_path / "x.zip")


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"looked for \.rec files(.|\n)*the folder is empty"):
        open_source(tmp_path)


def test_folder_without_data_names_a_few_files(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}.txt").touch()
    with pytest.raises(DataError, match=r"found: 00.txt(.|\n)*found: 22 more"):
        open_source(tmp_path)


def test_pair_of_different_formats(tmp_path: Path) -> None:
    train, validation = open_pair(RECORDIO / "scalar.rec", GOLDEN / "im2rec" / "images")
    assert (len(train), len(validation)) == (24, 10)
    with pytest.raises(DataError, match="the validation images have 5 labels each, the training images 1"):
        open_pair(RECORDIO / "scalar.rec", RECORDIO / "multilabel.rec")


def test_image_roots_of_a_pair(tmp_path: Path) -> None:
    for name in ("t", "v"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(name.encode())
    path = tmp_path / "x.lst"
    path.write_text("0\t1\ta.jpg\n")
    pair = open_pair(path, path, image_root=tmp_path / "t", validation_image_root=str(tmp_path / "v"))
    assert [source[0].image for source in pair] == [b"t", b"v"]
    assert [source[0].image for source in open_pair(path, path, image_root=tmp_path / "t")] == [b"t", b"t"]
