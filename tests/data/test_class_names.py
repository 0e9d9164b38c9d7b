"""Class names in a text file."""

import pytest

from imclass.data import read_class_names
from imclass.errors import DataError


def test_names_in_order(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes(b"\xef\xbb\xbfapple\r\n  cherry pie \r\n\xc3\x84pfel\n\n\n")
    assert read_class_names(path) == ("apple", "cherry pie", "Äpfel")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no class name"),
        (b" \n\n", "holds no class name"),
        (b"a\n\nb\na\n", "line 2 is empty\n  - line 4 names 'a' again, after line 1"),
        (b"a\n\xff", "not UTF-8"),
        (b"a" * ((16 << 20) + 1), "larger than"),
    ],
    ids=("empty", "blank", "two problems", "encoding", "size"),
)
def test_bad_files_are_refused(tmp_path, content, said):
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_class_names(path)
    assert said in caught.value.what
    assert str(path) in caught.value.where
    assert caught.value.fix


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        read_class_names(tmp_path / "names.txt")
