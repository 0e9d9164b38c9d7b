"""Models of MXNet as model files: archives, folders, loose files, and what they do not say."""

import gzip
import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imclass.artifact import archive, load, read, read_description
from imclass.errors import ArtifactError
from tests.artifact.packing import entry, pack, plain_members
from tests.models.mxnet.files import MODELS, large

FC = MODELS / "resnet20_28_fc"
SHAPES = json.dumps([{"shape": [32, 3, 28, 28], "name": "data"}]).encode()


def members(epochs=(12,)):
    """What SageMaker's archive holds, in its order."""
    params = (FC / "model-0012.params").read_bytes()
    return {
        **{f"image-classification-{epoch:04d}.params": params for epoch in epochs},
        "model-shapes.json": SHAPES,
        "image-classification-symbol.json": (FC / "model-symbol.json").read_bytes(),
    }


def unpacked(folder, files):
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def refusal(path, **options):
    with pytest.raises(ArtifactError) as caught:
        load(path, **options)
    assert caught.value.fix
    return caught.value


def check_probabilities(path, **options):
    _, network = load(path, **options)
    with torch.inference_mode():
        answers = network(torch.from_numpy(np.load(FC / "input.npy"))).softmax(1)
    np.testing.assert_allclose(answers, np.load(FC / "output_softmax.npy"), rtol=0, atol=1e-5)


def test_an_archive_of_the_original(tmp_path):
    path = pack(tmp_path / "model.tar.gz", members())
    check_probabilities(path)
    description = read_description(path)
    assert description == load(path)[0]
    assert (description.network, description.num_layers, description.num_classes) == ("resnet_v2", 20, 5)
    assert (description.image_shape, description.epoch, description.class_names) == ((3, 28, 28), 12, None)
    assert (description.resize, description.resize_mode, description.multi_label) == (None, "stretch", False)
    assert description.hyperparameters == {"precision_dtype": "float32"}


def test_an_archive_with_dots_before_its_names(tmp_path):
    entries = [entry(f"./{name}", data) for name, data in members().items()]
    check_probabilities(pack(tmp_path / "model.tar.gz", entries))


def test_a_folder_and_loose_files(tmp_path):
    folder = unpacked(tmp_path / "model", members())
    check_probabilities(folder)
    check_probabilities(folder / "image-classification-symbol.json")
    (folder / "other-symbol.json").write_bytes(b"{}")
    check_probabilities(folder / "image-classification-symbol.json")
    assert "2 are there" in refusal(folder).what


@pytest.mark.parametrize("folder", [large("resnet18_64")])
def test_the_archive_that_is_laid_out_as_sagemakers(folder):
    description, network = load(folder / "model.tar.gz")
    assert description.image_shape == (3, 64, 64)
    with torch.inference_mode():
        answers = network(torch.from_numpy(np.load(folder / "input.npy"))).softmax(1)
    np.testing.assert_allclose(answers, np.load(folder / "output_softmax.npy"), rtol=0, atol=1e-5)


@pytest.mark.parametrize("packed", [True, False])
def test_the_last_epoch_counts_unless_another_is_asked_for(tmp_path, packed):
    files = members(epochs=(2, 10, 4))
    files["image-classification-0002.params"] = b"damaged"
    path = pack(tmp_path / "m.tar.gz", files) if packed else unpacked(tmp_path / "m", files)
    assert load(path)[0].epoch == read_description(path).epoch == 10
    assert load(path, epoch=4)[0].epoch == 4
    assert "image-classification-0002.params" in refusal(path, epoch=2).where
    error = refusal(path, epoch=3)
    assert "no image-classification-0003.params" in error.what
    assert "2, 4, 10" in error.fix


def test_a_multi_label_and_a_float16_model():
    logistic, _ = load(MODELS / "resnet20_28_logistic", image_shape=(3, 28, 28))
    assert (logistic.multi_label, logistic.num_classes) == (True, 6)
    half, state = read(MODELS / "resnet20_28_fp16", image_shape=(3, 28, 28))
    assert half.hyperparameters == {"precision_dtype": "float16"}
    assert state["fc1.weight"].dtype == torch.float32


def test_the_oldest_dialect(tmp_path):
    folder = MODELS / "resnet20_28"
    shutil.copy(folder / "model-0001.params", tmp_path / "old-0001.params")
    shutil.copy(folder / "legacy-v0.8-symbol.json", tmp_path / "old-symbol.json")
    _, old = read(tmp_path / "old-symbol.json", image_shape=(3, 28, 28))
    _, new = read(folder / "model-symbol.json", image_shape=(3, 28, 28))
    assert all(torch.equal(old[name], new[name]) for name in new)


def test_a_missing_image_shape_is_asked_for():
    error = refusal(FC)
    assert "does not say its image shape; its network is built for a height of up to 28" in error.what
    assert "--image-shape 3,28,28" in error.fix
    check_probabilities(FC, image_shape=(3, 28, 28))


@pytest.mark.parametrize("shape", [(2, 28, 28), (3, 0, 28), (3, 28, 1 << 31), (1, 28, 28)])
def test_an_image_shape_that_does_not_fit_is_refused(shape):
    assert refusal(FC, image_shape=shape)


@pytest.mark.parametrize("folder", [large("resnet18_64")])
def test_a_height_of_another_network_is_refused(tmp_path, folder):
    shutil.copy(folder / "image-classification-symbol.json", tmp_path / "x-symbol.json")
    (tmp_path / "x-0001.params").touch()
    with pytest.raises(ArtifactError, match="is 3,32,32, but the network is built for a height of 33 or more"):
        read_description(tmp_path, image_shape=(3, 32, 32))


def test_the_shape_in_the_file_goes_before_the_one_given(tmp_path):
    path = pack(tmp_path / "model.tar.gz", members())
    assert load(path, image_shape=(3, 20, 20))[0].image_shape == (3, 28, 28)


@pytest.mark.parametrize(
    "shapes",
    [
        b"",
        b"{}",
        b"[]",
        b'[{"name": "data"}]',
        b'[{"name": "data", "shape": [1, 28, 28]}]',
        b'[{"name": "data", "shape": [1, 4, 28, 28]}]',
        b'[{"name": "data", "shape": [1, 3, -1, 28]}]',
        b'[{"name": "data", "shape": [1, 3, 1e9, 28]}]',
        b'[{"name": "data", "shape": [1, 3, 99999999999999999999, 28]}]',
        b'[{"name": "softmax_label", "shape": [1, 3, 28, 28]}]',
    ],
)
def test_unusable_shapes_are_refused(tmp_path, shapes):
    error = refusal(pack(tmp_path / "model.tar.gz", members() | {"model-shapes.json": shapes}))
    assert error.where.endswith("model-shapes.json")


@pytest.mark.parametrize("missing", ["image-classification-symbol.json", "image-classification-0012.params"])
@pytest.mark.parametrize("packed", [True, False])
def test_missing_files_are_named(tmp_path, missing, packed):
    files = members()
    del files[missing]
    path = pack(tmp_path / "m.tar.gz", files) if packed else unpacked(tmp_path / "m", files)
    assert missing.rpartition("-")[2].replace("0012", "NNNN") in refusal(path).what
    assert "no such file" in refusal(tmp_path / "nothing-symbol.json").what


def test_arrays_alone_are_not_a_model():
    error = refusal(FC / "model-0012.params")
    assert "arrays of a model without its network" in error.what
    assert "model-symbol.json" in error.fix


def test_a_folder_called_as_an_array_file_is_no_file(tmp_path):
    files = members()
    del files["image-classification-0012.params"]
    folder = unpacked(tmp_path / "m", files)
    (folder / "image-classification-0012.params").mkdir()
    assert "not a file" in refusal(folder).what


def test_limits_hold_for_its_files_too(tmp_path):
    path = pack(tmp_path / "m.tar.gz", members())
    assert "more than" in refusal(path, limit=1 << 20).what
    assert "more than" in refusal(unpacked(tmp_path / "m", members()), limit=1 << 20).what
    symbol = {"image-classification-symbol.json": bytes(17 << 20)}
    assert "16,777,216" in refusal(pack(tmp_path / "large.tar.gz", members() | symbol)).what


def test_a_model_that_is_both_counts_as_imclasss(tmp_path):
    both = plain_members() | members()
    assert load(pack(tmp_path / "m.tar.gz", both))[0].num_layers == 8
    assert load(unpacked(tmp_path / "m", both))[0].num_layers == 8


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_folders_give_an_error_or_the_model(tmp_path, data):
    folder = tmp_path / "m"
    if not folder.exists():
        unpacked(folder, members())
    name, content = data.draw(st.sampled_from(sorted(members().items())))
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(0, 3))):
        # Most bytes are values of weights, which may be anything; names and shapes stand at the ends.
        place = data.draw(st.one_of(st.integers(0, 400), st.integers(1, 400).map(lambda back: -back)))
        changed[place % len(changed)] = data.draw(st.integers(0, 255))
    del changed[data.draw(st.one_of(st.just(len(changed)), st.integers(0, len(changed)))) :]
    (folder / name).write_bytes(changed)
    try:
        description, _ = load(folder)
        assert description.num_layers == 20
    except ArtifactError:
        assert changed != content
    finally:
        (folder / name).write_bytes(content)


def test_the_description_takes_one_reading_of_an_archive(tmp_path, monkeypatch):
    path = pack(tmp_path / "model.tar.gz", members(epochs=(3, 12)))
    unpacked_bytes = len(gzip.decompress(path.read_bytes()))
    read_so_far = []
    chunks = archive._Stream.chunks

    def counted(stream, size):
        for data in chunks(stream, size):
            read_so_far.append(len(data))
            yield data

    monkeypatch.setattr(archive._Stream, "chunks", counted)
    assert read_description(path).epoch == 12
    assert 0.9 * unpacked_bytes < sum(read_so_far) < 1.1 * unpacked_bytes
