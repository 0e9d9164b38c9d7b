"""Class folders: numbers follow sorted names, and every image is found once."""

import logging
import os
from pathlib import Path

import pytest

from imclass.data import find_split_folders, open_pair, open_source
from imclass.errors import DataError, ImageError
from tests.data.golden_files import GOLDEN


def tree(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    return root


def test_classes_are_numbered_as_im2rec_does() -> None:
    source = open_source(GOLDEN / "im2rec" / "images")
    table = [line.rsplit(" ", 1)[0] for line in (GOLDEN / "im2rec" / "list_stdout.txt").read_text().splitlines()]
    assert source.class_names == tuple(table)
    assert source.labels[:, 0].tolist() == [0] * 4 + [1] * 3 + [2] * 3
    assert source.key(0) == "apple/a_00.jpg"


def test_what_counts_as_an_image(tmp_path: Path) -> None:
    tree(tmp_path, "b/2.JPG", "b/deep/er/1.Png", "b/x.jpeg", "b/.hidden.jpg", "b/.git/y.jpg", "b/notes.txt", "a/1.jpg")
    tree(tmp_path, ".cache/1.jpg")
    source = open_source(tmp_path)
    keys = [source.key(index) for index in range(len(source))]
    assert keys == ["a/1.jpg", "b/2.JPG", "b/deep/er/1.Png", "b/x.jpeg"]
    assert source[2].image == b"b/deep/er/1.Png"
    assert source.labels.tolist() == [[0], [1], [1], [1]]


def test_links_in_a_circle_end_and_a_dead_link_is_a_missing_image(tmp_path: Path) -> None:
    tree(tmp_path, "a/1.jpg", "b/1.jpg", "elsewhere/2.jpg")
    photos = tmp_path / "photos"
    photos.mkdir()
    (tmp_path / "a").rename(photos / "a")
    (photos / "a" / "loop").symlink_to(photos / "a")
    (photos / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (photos / "a" / "again").symlink_to(tmp_path / "elsewhere")
    (photos / "a" / "dead.jpg").symlink_to(tmp_path / "nowhere.jpg")
    source = open_source(photos)
    keys = [source.key(index) for index in range(len(source))]
    assert keys[:2] == ["a/1.jpg", "a/dead.jpg"]
    assert len(keys) == 3
    assert keys[2].endswith("/2.jpg")
    with pytest.raises(ImageError, match="No such file"):
        source[1]


def test_empty_folders_and_stray_images_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tree(tmp_path, "a/1.jpg", "notes/readme.txt", "stray.jpg")
    with caplog.at_level(logging.WARNING):
        source = open_source(tmp_path)
    assert source.class_names == ("a",)
    assert "hold no images and are not classes\n  - notes" in caplog.text
    assert "1 images that are in no class folder" in caplog.text


def test_no_images_at_all(tmp_path: Path) -> None:
    tree(tmp_path, "a/readme.txt", "b/x.gif")
    with pytest.raises(DataError, match=r"no class folders with images(.|\n)*found: a/\n(.|\n)*found: b/"):
        open_source(tmp_path)


def test_images_without_class_folders(tmp_path: Path) -> None:
    tree(tmp_path, "1.jpg", "2.jpg")
    with pytest.raises(DataError, match=r"the folder is no data set(.|\n)*found: 1.jpg(.|\n)*photos/cat/1.jpg"):
        open_source(tmp_path)


def test_pair_shares_one_class_table(tmp_path: Path) -> None:
    tree(tmp_path, "t/ant/1.jpg", "t/cat/1.jpg", "v/bee/1.jpg", "v/cat/1.jpg")
    train, validation = open_pair(tmp_path / "t", tmp_path / "v")
    assert train.class_names == validation.class_names == ("ant", "bee", "cat")
    assert train.labels.tolist() == [[0], [2]]
    assert validation.labels.tolist() == [[1], [2]]


def test_class_table_of_a_model(tmp_path: Path) -> None:
    tree(tmp_path, "ant/1.jpg", "cat/1.jpg")
    source = open_source(tmp_path, class_names=["dog", "cat", "bee", "ant"])
    assert source.class_names == ("dog", "cat", "bee", "ant")
    assert source.labels.tolist() == [[3], [1]]


def test_unknown_class_folders_with_the_nearest_names(tmp_path: Path) -> None:
    tree(tmp_path, "Ants/1.jpg", "cta/1.jpg", "zebra/1.jpg", "cat/1.jpg")
    with pytest.raises(DataError) as caught:
        open_source(tmp_path, class_names=["ant", "cat"])
    message = str(caught.value)
    assert "'Ants', did you mean 'ant'?" in message
    assert "'cta', did you mean 'cat'?" in message
    assert "'zebra'\n" in message
    assert "Known classes: ant, cat" in message


@pytest.mark.parametrize("names", [("train", "val"), ("Train", "validation"), ("training", "valid")])
def test_split_layout(names: tuple[str, str], tmp_path: Path) -> None:
    tree(tmp_path, f"{names[0]}/cat/1.jpg", f"{names[1]}/cat/1.jpg", "test/cat/1.jpg", "readme.txt")
    assert find_split_folders(tmp_path) == (tmp_path / names[0], tmp_path / names[1])
    with pytest.raises(DataError, match=f"{names[0]} and {names[1]}(.|\n)*Name one of them"):
        open_source(tmp_path)


def test_not_a_split_layout(tmp_path: Path) -> None:
    tree(tmp_path / "vehicles", "train/1.jpg", "val/1.jpg", "car/1.jpg")
    tree(tmp_path / "one", "train/cat/1.jpg")
    tree(tmp_path / "flat", "train/1.jpg", "val/2.jpg")
    for name in ("vehicles", "one", "flat", "missing"):
        assert find_split_folders(tmp_path / name) is None
    assert open_source(tmp_path / "vehicles").class_names == ("car", "train", "val")


def test_folder_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    tree(Path(folder), "1.jpg")
    source = open_source(tmp_path)
    assert source.key(0) == "\ufffd/1.jpg"
    assert source[0].image == b"1.jpg"
