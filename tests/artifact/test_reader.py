"""Models that are opened: sound ones, and what is made of the others."""

import json

import pytest
import torch
from safetensors.torch import save as to_safetensors
from safetensors.torch import save_file

from imclass.artifact import load, read, read_description, save
from imclass.errors import ArtifactError
from imclass.models import NETWORKS
from tests.artifact.packing import describe, pack, plain_members, small_network


@pytest.fixture
def model_path(tmp_path):
    path = tmp_path / "model.tar.gz"
    save(path, describe(), small_network().state_dict())
    return path


@pytest.mark.parametrize("network", NETWORKS)
def test_what_was_saved_is_loaded(tmp_path, network):
    model = small_network(network)
    model(torch.rand(4, 3, 16, 16) * 255)  # moves the statistics
    path = tmp_path / "model.tar.gz"
    save(path, describe(network), model.state_dict())
    description, loaded = load(path)
    assert description == describe(network)
    assert not any(module.training for module in loaded.modules())
    images = torch.rand(2, 3, 16, 16) * 255
    assert torch.equal(loaded(images), model.eval()(images))


def test_loaded_networks_can_be_trained_on(model_path):
    _, loaded = load(model_path)
    before = loaded.conv0.weight.clone()
    frozen = [name for name, parameter in loaded.named_parameters() if not parameter.requires_grad]
    assert frozen == ["bn_data.weight"]
    optimizer = torch.optim.SGD(loaded.parameters(), lr=0.1)
    loaded.train()(torch.rand(4, 3, 16, 16) * 255).square().sum().backward()
    optimizer.step()
    assert not torch.equal(loaded.conv0.weight, before)
    assert all(tensor.device.type == "cpu" for tensor in loaded.state_dict().values())


def test_v1_has_its_constants_after_loading(tmp_path):
    save(tmp_path / "model.tar.gz", describe("resnet_v1"), small_network("resnet_v1").state_dict())
    _, loaded = load(tmp_path / "model.tar.gz")
    assert torch.equal(loaded.mean, small_network("resnet_v1").mean)
    assert torch.equal(loaded.std, small_network("resnet_v1").std)


def test_read_gives_the_complete_state(model_path):
    description, state = read(model_path)
    assert description == describe()
    expected = small_network().state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_description_alone_comes_from_the_first_bytes(model_path):
    model_path.write_bytes(model_path.read_bytes()[:4096])
    assert read_description(model_path) == describe()


def test_unpacked_folders_open_too(tmp_path):
    for name, data in plain_members().items():
        (tmp_path / name).write_bytes(data)
    assert read_description(tmp_path) == describe()
    _, loaded = load(tmp_path)
    assert torch.equal(loaded.conv0.weight, small_network().conv0.weight)


def test_checkpoints_open_by_their_epoch(tmp_path):
    checkpoint = tmp_path / "epoch-0002.safetensors"
    save_file(small_network(seed=2).state_dict(), checkpoint)
    path = tmp_path / "model.tar.gz"
    save(path, describe(), small_network().state_dict(), checkpoints=[checkpoint])
    _, loaded = load(path, epoch=2)
    assert torch.equal(loaded.conv0.weight, small_network(seed=2).conv0.weight)
    with pytest.raises(ArtifactError, match=r"no checkpoints/epoch-0003\.safetensors") as caught:
        load(path, epoch=3)
    assert "checkpoint_frequency" in caught.value.fix


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path, dtype):
    state = {n: t.to(dtype) if t.is_floating_point() else t for n, t in small_network().state_dict().items()}
    save(tmp_path / "model.tar.gz", describe(), state)
    _, loaded = load(tmp_path / "model.tar.gz")
    assert loaded.conv0.weight.dtype == torch.float32
    torch.testing.assert_close(loaded.conv0.weight, small_network().conv0.weight, rtol=1e-2, atol=1e-3)


# --------------------------------------------------------------------------------------------- wrong contents


def changed(tmp_path, **changes):
    members = plain_members()
    content = json.loads(members["model.json"])
    members["model.json"] = json.dumps({**content, **changes}).encode()
    return pack(tmp_path / "model.tar.gz", members)


def test_newer_formats_ask_for_an_update(tmp_path):
    path = changed(tmp_path, format_version=2, a_new_field=True)
    for open_it in (load, read_description):
        with pytest.raises(ArtifactError, match="format version 2, this imclass reads versions up to 1") as caught:
            open_it(path)
        assert caught.value.fix == "Update imclass."
        assert caught.value.where == f"{path}: model.json"


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b'"text', b"\xff\xfe", b'{"a": "\\ud800"}'])
def test_bad_json_is_refused(tmp_path, data):
    path = pack(tmp_path / "model.tar.gz", plain_members() | {"model.json": data})
    with pytest.raises(ArtifactError, match="not JSON") as caught:
        read_description(path)
    assert caught.value.where == f"{path}: model.json"


@pytest.mark.parametrize("data", [b"[]", b"3", b"null", b"{}"])
def test_json_of_something_else_is_refused(tmp_path, data):
    path = pack(tmp_path / "model.tar.gz", plain_members() | {"model.json": data})
    with pytest.raises(ArtifactError, match="description is not valid"):
        read_description(path)


def test_all_wrong_fields_are_listed(tmp_path):
    path = changed(tmp_path, num_classes=-1, fill_value="dark", surprise=1, image_shape=[3, 16])
    with pytest.raises(ArtifactError) as caught:
        load(path)
    for field in ("num_classes", "fill_value", "surprise", "image_shape"):
        assert f"- {field}" in caught.value.what


@pytest.mark.parametrize("changes", [{"num_layers": 19}, {"num_layers": 10**9}, {"num_layers": -3}])
def test_impossible_networks_are_refused(tmp_path, changes):
    with pytest.raises(ArtifactError, match="not a depth of a residual network") as caught:
        load(changed(tmp_path, **changes))
    assert "model.json" in caught.value.where


def test_shapes_that_are_no_image_are_refused(tmp_path):
    normalisation = {"mean": [0.0] * 4, "std": [1.0] * 4}
    with pytest.raises(ArtifactError, match="not the shape of an image"):
        load(changed(tmp_path, image_shape=[4, 16, 16], normalisation=normalisation))


def test_another_normalisation_than_the_networks_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="not that of resnet_v2"):
        load(changed(tmp_path, normalisation={"mean": [120.0] * 3, "std": [1.0] * 3}))


def test_all_differences_of_the_weights_are_listed(tmp_path):
    state = small_network().state_dict()
    del state["conv0.weight"]
    state["extra"] = torch.zeros(2)
    state["fc1.weight"] = torch.zeros(4, 64)
    state["fc1.bias"] = torch.zeros(3, dtype=torch.int32)
    state["bn1.num_batches_tracked"] = torch.tensor(1.0)
    path = pack(tmp_path / "model.tar.gz", plain_members() | {"model.safetensors": to_safetensors(state)})
    with pytest.raises(ArtifactError) as caught:
        load(path)
    for line in (
        "conv0.weight: missing",
        "extra: not expected",
        "fc1.weight: shape (4, 64) instead of (3, 64)",
        "fc1.bias: type I32 instead of F32 or F16 or BF16 or F64",
        "bn1.num_batches_tracked: type F32 instead of I64",
    ):
        assert f"- {line}" in caught.value.what
    assert caught.value.where == f"{path}: model.safetensors"


def test_a_huge_class_count_is_a_difference_and_no_allocation(tmp_path):
    with pytest.raises(ArtifactError, match=r"shape \(3, 64\) instead of \(2147483647, 64\)"):
        load(changed(tmp_path, num_classes=2**31 - 1, class_names=None))


@pytest.mark.parametrize("data", [b"", b"\x00" * 8, b"\xff" * 64, b"\x80\x04pickle", b"\x02\0\0\0\0\0\0\0{}extra"])
def test_weights_in_another_format_are_refused(tmp_path, data):
    path = pack(tmp_path / "model.tar.gz", plain_members() | {"model.safetensors": data})
    with pytest.raises(ArtifactError, match="not in safetensors format"):
        load(path)
