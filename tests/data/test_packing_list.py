"""Lists for packing: the lists of im2rec."""

from pathlib import Path

import numpy as np
import pytest

from imclass.data import write_lst
from imclass.data.packing_list import divide, packing_list
from imclass.errors import DataError
from tests.data.golden_files import GOLDEN, RECORDIO

IM2REC = GOLDEN / "im2rec"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"image")
    return root


def rows(packing) -> list[tuple]:
    return [packing.row(int(sample)) for sample in packing.order]


@pytest.mark.parametrize("recursive", [None, True])
def test_golden_list_comes_out_byte_for_byte(recursive: bool | None, tmp_path: Path) -> None:
    packing = packing_list(IM2REC / "images", recursive=recursive)
    write_lst(tmp_path / "fruit.lst", rows(packing))
    assert (tmp_path / "fruit.lst").read_bytes() == (IM2REC / "fruit.lst").read_bytes()
    table = "".join(f"{name} {number}\n" for number, name in enumerate(packing.source.class_names))
    assert table == (IM2REC / "list_stdout.txt").read_text()


def test_nested_folders_are_one_class_or_several(tmp_path: Path) -> None:
    root = touch(tmp_path, "cat/b.jpg", "cat/old/a.jpg", "cat/old/x.txt", "dog/c.PNG", "dog/.hidden.jpg", "top.jpeg")
    ours = packing_list(root, shuffle=False)
    assert [(row[1], row[2]) for row in rows(ours)] == [
        ((0,), "cat/b.jpg"), ((0,), "cat/old/a.jpg"), ((1,), "dog/c.PNG"),
    ]  # fmt: skip
    walked = packing_list(root, recursive=True, shuffle=False)
    assert rows(walked) == [
        (0, (0,), "top.jpeg"), (1, (1,), "cat/b.jpg"), (2, (2,), "cat/old/a.jpg"), (3, (3,), "dog/c.PNG"),
    ]  # fmt: skip
    assert walked.source.class_names == (".", "cat", "cat/old", "dog")
    flat = packing_list(root, recursive=False, shuffle=False)
    assert rows(flat) == [(0, (0,), "top.jpeg")]
    assert flat.source.class_names is None


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    root = touch(tmp_path, "cat/a.jpg")
    (root / "cat" / "again").symlink_to(root)
    assert [row[2] for row in rows(packing_list(root, recursive=True))] == ["cat/a.jpg"]


def test_a_list_keeps_its_numbers_and_order() -> None:
    packing = packing_list(IM2REC / "multi.lst", image_root=IM2REC / "images")
    assert rows(packing)[0] == (4, (0, 1, 0), "banana/b_00.jpg")
    assert [row[0] for row in rows(packing)] == [4, 0, 5, 9, 3, 1, 6, 8, 7, 2]
    shuffled = packing_list(IM2REC / "multi.lst", image_root=IM2REC / "images", shuffle=True)
    assert sorted(shuffled.order) == list(range(10))
    assert list(shuffled.order) != list(range(10))


def test_records_keep_their_numbers_where_these_differ() -> None:
    packing = packing_list(IM2REC / "fruit.rec")
    assert packing.ids.tolist() == [4, 0, 5, 9, 3, 1, 6, 8, 7, 2]
    assert packing.record_files == (IM2REC / "fruit.rec",)
    assert len(packing_list(RECORDIO / "multilabel.rec").ids) == 12


def test_what_cannot_be_listed(tmp_path: Path) -> None:
    touch(tmp_path, "cat/a.jpg")
    with pytest.raises(DataError, match=r"no images .* in this folder itself"):
        packing_list(tmp_path, recursive=False)
    with pytest.raises(DataError, match="this is no folder"):
        packing_list(tmp_path / "cat" / "a.jpg", recursive=True)
    with pytest.raises(DataError, match="belong to a list or a manifest"):
        packing_list(tmp_path, image_root=tmp_path)


def parts(count: int, **options: float) -> dict[str, list[int]]:
    return {part.suffix: part.order.tolist() for part in divide(np.arange(count), **options)}  # type: ignore[arg-type]


def test_division_has_the_arithmetic_of_im2rec() -> None:
    assert parts(3) == {"": [0, 1, 2]}
    assert parts(5, chunks=2) == {"_0": [0, 1, 2], "_1": [3, 4]}
    assert parts(10, train_ratio=0.75) == {"_train": list(range(7)), "_val": [7, 8, 9]}
    assert parts(10, train_ratio=0.5, test_ratio=0.25) == {
        "_test": [0, 1], "_train": [2, 3, 4, 5, 6], "_val": [7, 8, 9],
    }  # fmt: skip
    assert parts(10, train_ratio=0.5, test_ratio=0.5) == {"_test": list(range(5)), "_train": list(range(5, 10))}
    assert list(parts(8, chunks=2, train_ratio=0.5)) == ["_0_train", "_0_val", "_1_train", "_1_val"]


def test_division_that_cannot_be() -> None:
    with pytest.raises(DataError, match="nothing would be in _3"):
        parts(5, chunks=4)
    with pytest.raises(DataError, match="no more than 1 together"):
        parts(5, train_ratio=0.8, test_ratio=0.3)
    with pytest.raises(DataError, match="at least 1"):
        parts(5, chunks=0)
