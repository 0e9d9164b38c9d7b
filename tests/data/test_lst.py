"""Image lists: MXNet's own, odd but readable ones, and every kind of bad line."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imclass.data import open_source, write_lst
from imclass.data.lst import read_lst
from imclass.errors import DataError, ImageError
from tests.data.golden_files import GOLDEN

IM2REC = GOLDEN / "im2rec"


def lst(folder: Path, content: str | bytes) -> Path:
    path = folder / "x.lst"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", ["fruit", "multi"])
def test_lists_of_im2rec(name: str) -> None:
    source = open_source(IM2REC / f"{name}.lst", image_root=IM2REC / "images")
    wanted = json.loads((IM2REC / f"{name}.expected.json").read_text())
    assert source.labels.tolist() == [np.atleast_1d(record["label"]).tolist() for record in wanted]
    for index, record in enumerate(wanted):
        assert hashlib.sha256(source[index].image).hexdigest() == record["image_sha256"]
    assert source.key(3) == "cherry pie/c_02.jpg"
    assert read_lst(IM2REC / f"{name}.lst").indices.tolist() == [record["id"] for record in wanted]


@pytest.mark.parametrize("name", ["fruit", "multi"])
def test_writer_makes_the_bytes_of_im2rec(name: str, tmp_path: Path) -> None:
    read = read_lst(IM2REC / f"{name}.lst")
    write_lst(tmp_path / "x.lst", zip(read.indices.tolist(), read.labels.tolist(), read.paths, strict=True))
    assert (tmp_path / "x.lst").read_bytes() == (IM2REC / f"{name}.lst").read_bytes()


def test_path_that_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be listed"):
        write_lst(tmp_path / "x.lst", [(0, [1], "a\tb.jpg")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        "0\t1\ta b.jpg\n1\t0\tc.jpg\n",
        "\ufeff0\t1\ta b.jpg\r\n\r\n1\t0\tc.jpg\r\n",
        " 0 \t 1.000000 \t a b.jpg \n\n 1\t0\tc.jpg\t",
    ],
)
def test_tolerance(content: str, tmp_path: Path) -> None:
    read = read_lst(lst(tmp_path, content))
    assert read.paths == ("a b.jpg", "c.jpg")
    assert read.labels.tolist() == [[1], [0]]


def test_spaces_when_there_is_no_tab(tmp_path: Path) -> None:
    read = read_lst(lst(tmp_path, "0 1 0.5 a.jpg\n1   0 1  b.jpg\n"))
    assert read.paths == ("a.jpg", "b.jpg")
    assert read.labels.tolist() == [[1, 0.5], [0, 1]]


def test_all_bad_lines_together(tmp_path: Path) -> None:
    lines = [
        "0\t1\ta",
        "x\t1\tb",
        "1\tone\tc",
        "2\t1",
        "3\t1\t0\td",
        "0\t0\te",
        "4\tnan\tf",
        "5\t1e39\tg",
        "6\t1\tz\0z",
    ]
    with pytest.raises(DataError) as caught:
        read_lst(lst(tmp_path, "\n".join(lines)))
    message = str(caught.value)
    assert str(tmp_path / "x.lst") in message
    for problem in [
        "line 2: the index 'x' is not a whole number",
        "line 3: the label 'one' is not a number",
        "line 4: 2 columns",
        "line 5: 2 labels, line 1 has 1",
        "line 6: the index 0 stands in line 1 already",
        "line 7: the label 'nan' is not a finite number",
        "line 8: the label '1e39' is not a finite number",
        "line 9: the path holds a zero byte",
    ]:
        assert problem in message


def test_long_list_of_bad_lines_is_cut(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="and 30 more"):
        read_lst(lst(tmp_path, "bad line\n" * 50))


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_empty_list(content: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the list is empty"):
        read_lst(lst(tmp_path, content))


def test_wrong_image_root_is_found_at_once() -> None:
    with pytest.raises(DataError, match=r"none of the first 10 images is there(.|\n)*--image-root"):
        open_source(IM2REC / "fruit.lst")


def test_one_missing_or_empty_image_is_that_samples_error(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"A")
    (tmp_path / "b.jpg").write_bytes(b"")
    (tmp_path / "d").mkdir()
    source = open_source(lst(tmp_path, "0\t0\ta.jpg\n1\t0\tb.jpg\n2\t0\tc.jpg\n3\t0\td\n"))
    assert source[0].image == b"A"
    for index, message in ((1, "the file is empty"), (2, "No such file"), (3, "Is a directory")):
        with pytest.raises(ImageError, match=message):
            source[index]


def test_paths_may_leave_the_root_and_need_not_be_utf8(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"A")
    Path(str(tmp_path / "\udcff.jpg")).write_bytes(b"B")
    source = open_source(lst(tmp_path / "lists", b"0\t0\t../a.jpg\n1\t0\t../\xff.jpg\n"))
    assert [source[index].image for index in (0, 1)] == [b"A", b"B"]
    assert source.key(1) == "../\ufffd.jpg"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(st.binary(max_size=80), st.text("0123456789.-e\t \n\r\0abc\ufeff", max_size=80).map(str.encode))
)
def test_any_bytes_give_a_list_or_a_data_error(content: bytes, tmp_path: Path) -> None:
    try:
        read = read_lst(lst(tmp_path, content))
    except DataError:
        return
    assert len(read.paths) == len(read.labels) == len(read.indices) > 0
    assert np.isfinite(read.labels).all()
