"""Models written as the original writes them."""

import gzip
import json
import tarfile

import numpy as np
import pytest
import torch

from imclass.artifact import load, mxnet_writer, read, save_mxnet
from imclass.artifact.mxnet_writer import largest_differences, mxnet_files
from imclass.errors import ArtifactError
from imclass.models.mxnet import read_params
from tests.artifact.packing import describe, small_network
from tests.models.mxnet.files import FOLDERS, MODELS, params_of

IMAGES = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 255


def test_the_archive_is_laid_out_as_the_originals(tmp_path):
    path = tmp_path / "model.tar.gz"
    assert save_mxnet(path, describe(), small_network().state_dict(), IMAGES) <= 1e-7
    with tarfile.open(path) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}
        assert all((member.uid, member.mode, member.mtime) == (0, 0o644, 0) for member in tar)
    names = ["image-classification-0004.params", "model-shapes.json", "image-classification-symbol.json"]
    assert list(members) == names
    assert json.loads(members["model-shapes.json"]) == [{"name": "data", "shape": [1, 3, 16, 16]}]
    assert members == mxnet_files(describe(), small_network().state_dict())


@pytest.mark.parametrize("multi_label", [False, True])
def test_it_opens_as_the_model_that_it_was(tmp_path, multi_label):
    state, path = small_network().state_dict(), tmp_path / "model.tar.gz"
    save_mxnet(path, describe(multi_label=multi_label), state, IMAGES)
    description, again = read(path)
    assert (description.num_layers, description.num_classes, description.epoch) == (8, 3, 4)
    assert (description.image_shape, description.multi_label) == ((3, 16, 16), multi_label)
    assert all(torch.equal(again[name], state[name]) for name in state)


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_mxnet(tmp_path / name, describe(), small_network().state_dict(), IMAGES)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert gzip.decompress((tmp_path / "a").read_bytes())


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if "fp16" not in folder.id])
def test_golden_models_keep_their_arrays_and_answers(folder, tmp_path):
    info = json.loads((folder / "info.json").read_text())
    shape = tuple(map(int, info["image_shape"].split(",")))
    description, state = read(folder / f"{info['prefix']}-symbol.json", image_shape=shape)
    images = np.load(folder / "input.npy")
    save_mxnet(tmp_path / "model.tar.gz", description, state, torch.from_numpy(images))
    with tarfile.open(tmp_path / "model.tar.gz") as tar:
        name = f"image-classification-{info['epoch']:04d}.params"
        written = read_params(tar.extractfile(name).read())
    golden = read_params(params_of(folder).read_bytes())
    golden = {name.replace(":fc_", ":fc1_"): array for name, array in golden.items()}
    golden["arg:bn_data_gamma"] = torch.ones(3)  # what counts in place of what is stored
    assert list(written) == list(golden)
    assert all(torch.equal(written[name], golden[name]) for name in golden)

    _, network = load(tmp_path / "model.tar.gz")
    with torch.inference_mode():
        logits = network(torch.from_numpy(images))
    answers = logits.sigmoid() if description.multi_label else logits.softmax(1)
    np.testing.assert_allclose(answers, np.load(folder / "output_softmax.npy"), rtol=0, atol=1e-5)


def test_a_float16_model_is_written_in_float32(tmp_path):
    description, state = read(MODELS / "resnet20_28_fp16", image_shape=(3, 28, 28))
    save_mxnet(tmp_path / "model.tar.gz", description, state, torch.zeros(1, 3, 28, 28))
    _, again = read(tmp_path / "model.tar.gz")
    assert all(torch.equal(again[name], state[name]) for name in state)


def test_float16_arrays_of_mxnet_come_out_as_they_were(tmp_path):
    folder = MODELS / "resnet20_28_fp16"
    description, state = read(folder, image_shape=(3, 28, 28))
    images = torch.from_numpy(np.load(folder / "input.npy"))
    difference = save_mxnet(tmp_path / "model.tar.gz", description, state, images, dtype="float16")
    assert difference <= 1e-7, "the weights were float16 before"
    with tarfile.open(tmp_path / "model.tar.gz") as tar:
        written = read_params(tar.extractfile(f"image-classification-{description.epoch:04d}.params").read())
    golden = {**read_params(params_of(folder).read_bytes()), "arg:bn_data_gamma": torch.ones(3)}
    assert list(written) == list(golden)
    assert all(written[name].dtype == golden[name].dtype for name in golden)
    assert all(torch.equal(written[name], golden[name]) for name in golden)


def test_weights_that_float16_cannot_hold_are_noticed(tmp_path):
    state = small_network().state_dict()
    state["fc1.weight"] = state["fc1.weight"].clone()
    state["fc1.weight"][0, 0] = 1e6
    with pytest.raises(ArtifactError, match="answers otherwise") as caught:
        save_mxnet(tmp_path / "m.tar.gz", describe(), state, IMAGES, dtype="float16")
    assert "write float32" in caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_is_gone_is_named(tmp_path):
    gone = tmp_path / "epoch-0002.safetensors"
    with pytest.raises(ArtifactError, match="the checkpoint is gone"):
        save_mxnet(tmp_path / "m.tar.gz", describe(), small_network().state_dict(), IMAGES, checkpoints=[gone])
    assert list(tmp_path.iterdir()) == []


def test_the_other_family_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="resnet_v1, and MXNet's image classification has resnet_v2 only") as caught:
        save_mxnet(tmp_path / "m.tar.gz", describe("resnet_v1"), small_network("resnet_v1").state_dict(), IMAGES)
    assert "network=resnet_v2" in caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_other_answers_are_noticed_and_nothing_is_written(tmp_path, monkeypatch):
    state = small_network().state_dict()
    wrong = mxnet_files(describe(), {**state, "fc1.bias": state["fc1.bias"] + torch.tensor([1.0, 0, 0])})
    probability, logit = largest_differences(describe(), state, wrong, IMAGES)
    assert probability < logit  # this network is so sure of itself that probabilities show nothing
    assert logit > 1e-5
    monkeypatch.setattr(mxnet_writer, "mxnet_files", lambda description, state, dtype: wrong)
    with pytest.raises(ArtifactError, match="answers otherwise"):
        save_mxnet(tmp_path / "m.tar.gz", describe(), state, IMAGES)
    assert list(tmp_path.iterdir()) == []


def test_answers_that_are_no_numbers_are_noticed(tmp_path):
    state = {**small_network().state_dict(), "fc1.bias": torch.full((3,), float("nan"))}
    with pytest.raises(ArtifactError, match="answers otherwise"):
        save_mxnet(tmp_path / "m.tar.gz", describe(), state, IMAGES)
