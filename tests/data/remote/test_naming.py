"""No key names a place outside the folder."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imclass.data.remote.addresses import Address, remote_address
from imclass.data.remote.naming import check_names, name_problem
from imclass.errors import DataError

parts = st.one_of(
    st.sampled_from(["", ".", "..", "a", "b", "\\", "..\\x", "C:", "~", "a\0b", "\n"]), st.text(max_size=4)
)
keys = st.lists(parts, max_size=5).map("/".join)


@given(paths=st.lists(keys, max_size=6), size=st.integers(0, 1))
def test_what_passes_can_be_made_below_the_folder(paths: list[str], size: int) -> None:
    try:
        is_file = check_names(paths, [size] * len(paths), "here")
    except DataError:
        return
    kept = [path for path, kept in zip(paths, is_file, strict=True) if kept]
    for path in kept:
        target = os.path.normpath(os.path.join("/root/files", path))  # noqa: PTH118  (paths as text)
        assert target == f"/root/files/{path}"
        assert not any(other.startswith(f"{path}/") for other in kept), "a file is no folder"


@given(reference=keys, base=keys)
def test_references_of_a_remote_list_stay_in_its_bucket(reference: str, base: str) -> None:
    try:
        address = remote_address(reference, Address("s3", "bucket", base.strip("/")))
    except ValueError:
        return
    assert address is not None
    assert name_problem(address.key) is None


def test_markers_of_folders_are_no_files() -> None:
    assert check_names(["a", "a/b", "c"], [0, 5, 0], "here") == [False, True, True]
    with pytest.raises(DataError, match="'a': is an object and a folder"):
        check_names(["a", "a/b"], [1, 5], "here")
