"""Archives that imclass writes."""

import gzip
import os
import tarfile

import pytest
import torch
from safetensors.torch import load, save_file

from imclass.artifact import load as load_model
from imclass.artifact import save
from imclass.errors import ArtifactError
from tests.artifact.packing import describe, small_network


def test_archive_has_its_members_in_order(tmp_path):
    path = tmp_path / "model.tar.gz"
    checkpoints = []
    for epoch in (12, 2):
        checkpoints.append(tmp_path / f"epoch-{epoch:04d}.safetensors")
        save_file(small_network(seed=epoch).state_dict(), checkpoints[-1])
    save(path, describe(), small_network().state_dict(), checkpoints=checkpoints)
    with tarfile.open(path) as tar:
        assert tar.getnames() == [
            "model.json", "model.safetensors",
            "checkpoints/epoch-0002.safetensors", "checkpoints/epoch-0012.safetensors",
        ]  # fmt: skip
        for member in tar:
            assert (member.mtime, member.uid, member.gid, member.uname, member.mode) == (0, 0, 0, "", 0o644)
        weights = load(tar.extractfile("checkpoints/epoch-0012.safetensors").read())
    assert torch.equal(weights["conv0.weight"], small_network(seed=12).conv0.weight)


def test_the_same_model_gives_the_same_bytes(tmp_path):
    state = small_network().state_dict()
    save(tmp_path / "one.tar.gz", describe(), state)
    save(tmp_path / "two.tar.gz", describe(), dict(reversed(state.items())))
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_gzip_header_has_neither_name_nor_time(tmp_path):
    save(tmp_path / "model.tar.gz", describe(), small_network().state_dict())
    header = (tmp_path / "model.tar.gz").read_bytes()[:10]
    assert header[:4] == b"\x1f\x8b\x08\x00"
    assert header[4:8] == bytes(4)


def test_channels_last_and_parameters_are_written_as_plain_tensors(tmp_path):
    model = small_network().to(memory_format=torch.channels_last)
    save(tmp_path / "model.tar.gz", describe(), dict(model.named_parameters()) | dict(model.named_buffers()))
    _, loaded = load_model(tmp_path / "model.tar.gz")
    assert torch.equal(loaded.conv0.weight, small_network().conv0.weight)


def test_saving_replaces_in_one_step_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(b"older")
    save(path, describe(), small_network().state_dict())
    assert gzip.decompress(path.read_bytes())[:10] == b"model.json"
    assert [file.name for file in tmp_path.iterdir()] == ["model.tar.gz"]


def test_new_files_have_the_permissions_of_the_user(tmp_path):
    path = tmp_path / "model.tar.gz"
    before = os.umask(0o027)
    try:
        save(path, describe(), small_network().state_dict())
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_failed_write_keeps_the_older_file(tmp_path):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(b"older")
    gone = tmp_path / "epoch-0001.safetensors"
    with pytest.raises(ArtifactError, match="checkpoint is gone"):
        save(path, describe(), small_network().state_dict(), checkpoints=[gone])
    assert path.read_bytes() == b"older"
    assert [file.name for file in tmp_path.iterdir()] == ["model.tar.gz"]


def test_a_place_that_cannot_be_written_is_told_as_such():
    with pytest.raises(ArtifactError, match="cannot be written") as caught:
        save("/proc/model.tar.gz", describe(), small_network().state_dict())
    assert "space" in caught.value.fix


def test_a_missing_folder_and_a_file_in_its_place_are_refused(tmp_path):
    (tmp_path / "file").touch()
    for folder, reason in (("nowhere", "No such file"), ("file", "Not a directory")):
        with pytest.raises(ArtifactError, match=reason):
            save(tmp_path / folder / "model.tar.gz", describe(), small_network().state_dict())


def test_weights_of_another_network_are_our_own_mistake(tmp_path):
    state = small_network().state_dict()
    del state["conv0.weight"]
    with pytest.raises(AssertionError, match=r"conv0.weight: missing"):
        save(tmp_path / "model.tar.gz", describe(), state)
