"""Archives unpacked into folders."""

import gzip
from pathlib import Path

import pytest

from imclass import artifact
from imclass.errors import ArtifactError
from tests.artifact.packing import entry, pack, plain_members

LIMIT = 1 << 30


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_the_folder_is_the_model_of_the_archive(tmp_path: Path) -> None:
    members = {**plain_members(), "checkpoints/epoch-0002.safetensors": b"weights"}
    pack(tmp_path / "model.tar.gz", members)
    names = artifact.unpack(tmp_path / "model.tar.gz", tmp_path / "opt/model", limit=LIMIT)
    assert names == list(members)
    assert contents(tmp_path / "opt/model") == members
    assert artifact.load(tmp_path / "opt/model")[0] == artifact.load(tmp_path / "model.tar.gz")[0]


def test_an_earlier_model_goes_and_other_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "code").mkdir()
    old = ["model.json", "image-classification-0003.params", "image-classification-symbol.json", "model-shapes.json"]
    other = ["README", "labels.json", "code/model.json", "checkpoints/notes"]
    for name in [*old, "checkpoints/epoch-0001.safetensors", *other]:
        (folder / name).write_bytes(b"old")
    members = plain_members()
    pack(tmp_path / "model.tar.gz", members)
    artifact.unpack(tmp_path / "model.tar.gz", folder, limit=LIMIT)
    assert contents(folder) == members | dict.fromkeys(other, b"old")


@pytest.mark.parametrize("entries", [[entry("model.json", b"1"), entry("model.json", b"2")], [entry("../x", b"1")]])
def test_what_cannot_be_unpacked_changes_nothing(tmp_path: Path, entries: list[object]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.json").write_bytes(b"old")
    pack(tmp_path / "model.tar.gz", entries)
    with pytest.raises(ArtifactError):
        artifact.unpack(tmp_path / "model.tar.gz", folder, limit=LIMIT)
    assert contents(tmp_path / "model") == {"model.json": b"old"}


def test_an_archive_that_ends_early_changes_nothing(tmp_path: Path) -> None:
    pack(tmp_path / "model.tar.gz", plain_members())
    whole = gzip.decompress((tmp_path / "model.tar.gz").read_bytes())
    (tmp_path / "model.tar.gz").write_bytes(gzip.compress(whole[:-30_000]))
    with pytest.raises(ArtifactError, match="ends early"):
        artifact.unpack(tmp_path / "model.tar.gz", tmp_path / "model", limit=LIMIT)
    assert contents(tmp_path / "model") == {}


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    pack(tmp_path / "model.tar.gz", plain_members())
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArtifactError, match="cannot be made"):
        artifact.unpack(tmp_path / "model.tar.gz", tmp_path / "file/model", limit=LIMIT)
