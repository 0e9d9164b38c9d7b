from pathlib import Path

import pytest

from imclass.errors import ArtifactError, UserError
from imclass.pending_file import PendingFile, remove_left_over


def test_the_file_appears_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with PendingFile(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def fail() -> None:
        with PendingFile(path) as file:
            file.write(b"half")
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", ["missing/x", "folder"])
def test_what_cannot_be_written_is_the_users_error_of_the_kind_asked_for(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArtifactError, match=place):
        PendingFile(tmp_path / place, ArtifactError)


def test_a_full_disk_is_a_users_error() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")

    def write() -> None:
        with PendingFile(full.parent / "shm" / "imclass-test-full") as file:
            file.stream.close()
            file.stream = full.open("wb", buffering=0)
            file.write(b"x")

    with pytest.raises(UserError, match="No space left"):
        write()


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".model.tar.gz.0123.tmp").write_bytes(b"half")
    (tmp_path / "kept").write_bytes(b"whole")
    remove_left_over(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_file_that_need_not_survive_a_power_failure_appears_in_one_step_too(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with PendingFile(path, to_disk=False) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_only_what_was_left_of_named_files_is_removed(tmp_path: Path) -> None:
    for name in ("a.jpg.out", "b.jpg.out"):
        PendingFile(tmp_path / name).finish()
    remove_left_over(tmp_path, {"a.jpg.out", "c.jpg.out"})
    assert [path.name.split(".")[1] for path in tmp_path.iterdir()] == ["b"]
