"""Public weights: where they come from, and how they enter a network."""

import os
import re
import subprocess
import sys
import time
from collections import OrderedDict
from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from imclass.errors import ArtifactError, UserError
from imclass.models import PRETRAINED, build, download_pretrained, family_of, initialise, load_pretrained
from tests.models.hub_server import hub


@cache
def _started(network, layers, shape, classes, seed):
    model = build(network, layers, shape, classes)
    initialise(model, torch.Generator().manual_seed(seed))
    return model


def started(network="resnet_v1", layers=18, shape=(3, 64, 64), classes=5, seed=0):
    return deepcopy(_started(network, layers, shape, classes, seed))


@cache
def _public_state(network):
    state = started(network, classes=1000, seed=1).state_dict()
    generator = torch.Generator().manual_seed(9)
    for name, tensor in state.items():
        if "running" in name:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return state


def public_state(network="resnet_v1"):
    """What a public file holds: the whole network of 18 layers with a head of 1000 classes."""
    return OrderedDict(_public_state(network))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(public_state(), path)
    return path


# ------------------------------------------------------------------------------------------------- the table


def test_table_names_a_plain_network_for_each_depth_that_has_one():
    assert list(PRETRAINED) == [18, 34, 50, 101, 152]
    for layers, entry in PRETRAINED.items():
        assert re.fullmatch(rf"timm/resnet{layers}\.\w+_in1k", entry.repository)
        assert entry.filename == "model.safetensors"
        assert entry.licence == "Apache-2.0"
    figures = [entry.top_1 for entry in PRETRAINED.values()]
    assert figures == sorted(figures)
    assert 70 < figures[0] < figures[-1] < 85


@pytest.mark.parametrize("layers", [200, 20, 0])
def test_depth_without_public_weights_is_refused_before_any_request(layers):
    with pytest.raises(UserError, match=f"num_layers = {layers}") as caught:
        download_pretrained(layers)
    assert "18, 34, 50, 101, 152" in caught.value.fix
    assert "--pretrained PATH" in caught.value.fix


# ---------------------------------------------------------------------------------------------- loading files


def test_everything_but_the_head_is_loaded(weights):
    model = started()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = load_pretrained(model, weights)
    public = public_state()
    after = model.state_dict()
    assert report.new == ("fc.weight", "fc.bias")
    assert set(report.skipped) == {"fc.weight", "fc.bias"}
    assert report.adapted == ()
    assert set(report.loaded) == after.keys() - {"fc.weight", "fc.bias"}
    for name in report.loaded:
        assert torch.equal(after[name], public[name]), name
    for name in report.new:
        assert torch.equal(after[name], before[name]), name


def test_the_head_is_new_even_when_the_shape_fits(tmp_path):
    path = tmp_path / "own.safetensors"
    save_file(started(seed=4).state_dict(), path)
    model = started(seed=5)
    before = model.fc.weight.clone()
    report = load_pretrained(model, path)
    assert "fc.weight" in report.skipped
    assert torch.equal(model.fc.weight, before)


def test_a_file_without_a_head_will_do(tmp_path):
    path = tmp_path / "headless.safetensors"
    save_file({name: tensor for name, tensor in public_state().items() if not name.startswith("fc.")}, path)
    assert load_pretrained(started(), path).skipped == ()


def test_batch_counters_may_be_missing_as_in_old_files(tmp_path):
    path = tmp_path / "old.safetensors"
    save_file({n: t for n, t in public_state().items() if not n.endswith("num_batches_tracked")}, path)
    report = load_pretrained(started(), path)
    assert "bn1.running_mean" in report.loaded
    assert "bn1.num_batches_tracked" not in report.loaded


@pytest.mark.parametrize(
    ("wrap", "prefix", "zipped"),
    [
        (lambda state: state, "", True),
        (lambda state: state, "", False),  # as torch wrote before version 1.6
        (lambda state: {"state_dict": state, "epoch": 3}, "module.", True),
        (lambda state: {"model": state, "args": []}, "", True),
    ],
)
def test_pytorch_state_dicts_are_found_in_their_wrappings(tmp_path, wrap, prefix, zipped):
    path = tmp_path / "weights.pth"
    state = OrderedDict((prefix + name, tensor) for name, tensor in public_state().items())
    torch.save(wrap(state), path, _use_new_zipfile_serialization=zipped)
    model = started()
    report = load_pretrained(model, path)
    assert len(report.loaded) == len(model.state_dict()) - 2
    assert torch.equal(model.conv1.weight, public_state()["conv1.weight"])
    assert family_of(path) == "resnet_v1"


def test_half_precision_files_fill_a_float32_network(tmp_path):
    path = tmp_path / "half.safetensors"
    save_file({n: t.half() if t.is_floating_point() else t for n, t in public_state().items()}, path)
    model = started()
    load_pretrained(model, path)
    assert model.conv1.weight.dtype == torch.float32
    torch.testing.assert_close(model.conv1.weight, public_state()["conv1.weight"], rtol=1e-3, atol=1e-4)


def test_v2_weights_enter_a_v2_network(tmp_path):
    path = tmp_path / "v2.safetensors"
    save_file(public_state("resnet_v2"), path)
    assert family_of(path) == "resnet_v2"
    report = load_pretrained(started("resnet_v2"), path)
    assert report.new == ("fc1.weight", "fc1.bias")
    assert "bn_data.weight" in report.loaded


def test_grey_v1_equals_colour_of_the_same_picture(weights):
    """With one mean and deviation for all channels, a grey picture gives what its three equal channels give."""
    colour, grey = started().eval(), started(shape=(1, 64, 64)).eval()
    load_pretrained(colour, weights)
    report = load_pretrained(grey, weights)
    assert report.adapted == ("conv1.weight",)
    colour.mean.fill_(100.0)
    grey.mean.fill_(100.0)
    colour.std.fill_(50.0)
    grey.std.fill_(50.0)
    grey.fc.load_state_dict(colour.fc.state_dict())
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1)) * 255
    torch.testing.assert_close(grey(image), colour(image.expand(1, 3, 64, 64)), rtol=1e-3, atol=1e-3)


def test_grey_v2_adapts_the_first_convolution_and_the_input_statistics(tmp_path):
    path = tmp_path / "v2.safetensors"
    state = public_state("resnet_v2")
    save_file(state, path)
    model = started("resnet_v2", shape=(1, 64, 64))
    report = load_pretrained(model, path)
    assert set(report.adapted) == {
        "conv0.weight", "bn_data.weight", "bn_data.bias", "bn_data.running_mean", "bn_data.running_var",
    }  # fmt: skip
    assert torch.equal(model.bn_data.weight, torch.ones(1))
    torch.testing.assert_close(model.bn_data.running_mean, state["bn_data.running_mean"].mean().reshape(1))
    torch.testing.assert_close(model.conv0.weight, state["conv0.weight"].sum(1, keepdim=True))


# ------------------------------------------------------------------------------------------------- refusals


def test_every_difference_is_listed_and_nothing_is_loaded(tmp_path):
    state = public_state()
    del state["layer1.0.bn1.bias"]
    del state["layer2.0.downsample.0.weight"]
    state["layer1.0.se.weight"] = torch.zeros(3)
    state["layer3.0.conv1.weight"] = torch.zeros(256, 128, 1, 1)
    path = tmp_path / "other.safetensors"
    save_file(state, path)
    model = started()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ArtifactError) as caught:
        load_pretrained(model, path)
    message = str(caught.value)
    assert "layer1.0.bn1.bias: missing" in message
    assert "layer2.0.downsample.0.weight: missing" in message
    assert "layer1.0.se.weight: not expected" in message
    assert "layer3.0.conv1.weight: shape (256, 128, 1, 1) instead of (256, 128, 3, 3)" in message
    assert str(path) in message
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_weights_of_another_depth_are_refused_by_listing_at_most_twenty(weights):
    with pytest.raises(ArtifactError, match=r"... and \d+ more") as caught:
        load_pretrained(started(layers=34), weights)
    assert caught.value.what.count("\n  - ") == 20
    assert "num_layers" in caught.value.fix


def test_weights_of_the_other_family_are_refused(weights):
    with pytest.raises(ArtifactError, match="the weights are of resnet_v1, the network is resnet_v2"):
        load_pretrained(started("resnet_v2"), weights)


@pytest.mark.parametrize(("layers", "shape"), [(18, (3, 32, 32)), (20, (3, 224, 224)), (50, (3, 28, 28))])
def test_the_small_stem_has_no_public_weights(weights, layers, shape):
    with pytest.raises(UserError, match="large stem") as caught:
        load_pretrained(started(layers=layers, shape=shape), weights)
    assert "height above 32" in caught.value.fix


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_code_in_a_pickle_is_never_run(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": Evil(tmp_path / "proof")}, path)
    with pytest.raises(ArtifactError, match="not a readable PyTorch state dict"):
        load_pretrained(started(), path)
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(2)], "something else than named tensors"),
        ({"conv1.weight": 3}, "something else than named tensors"),
        ({"a": torch.zeros(2), "b": torch.zeros(1)}, "the first tensors are a, b"),
        ({}, "the first tensors are none"),
    ],
)
def test_other_contents_are_refused(tmp_path, content, message):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(ArtifactError, match=message):
        family_of(path)


def test_unreadable_places_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match="No such file"):
        load_pretrained(started(), tmp_path / "nowhere.pth")
    with pytest.raises(ArtifactError, match="Is a directory"):
        family_of(tmp_path)
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(ArtifactError, match="not a readable"):
        family_of(empty)
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(b"\x1f\x8b\x08\x00")
    with pytest.raises(ArtifactError, match="packed archive"):
        family_of(archive)


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    """A file of each kind with the names of the family, but few bytes, to be damaged."""
    folder = tmp_path_factory.mktemp("small")
    state = {name: torch.arange(3.0) for name in ("conv1.weight", "bn1.weight", "layer1.0.conv1.weight")}
    paths = [folder / name for name in ("a.safetensors", "zip.pth", "legacy.pth")]
    save_file(state, paths[0])
    torch.save(state, paths[1])
    torch.save(state, paths[2], _use_new_zipfile_serialization=False)
    return [path.read_bytes() for path in paths]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")  # torch warns about some damaged files before it refuses them
def test_damaged_files_give_an_error_or_weights(small_files, tmp_path, data):
    content = bytearray(data.draw(st.sampled_from(small_files)))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    for place in data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=3)) if content else []:
        content[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "damaged"
    path.write_bytes(content)
    result, problem = None, None
    try:
        result = family_of(path)
    except ArtifactError as error:
        problem = error
    assert result == "resnet_v1" or (str(path) in str(problem) and problem.fix)


# ------------------------------------------------------------------------------------------------ downloading

DOWNLOAD = """
import sys
from imclass.errors import UserError
from imclass.models import download_pretrained
for layers in sys.argv[1:]:
    try:
        print(download_pretrained(int(layers)))
    except UserError as error:
        print(type(error).__name__, str(error).replace("\\n", " "))
"""


def download(*layers, home, endpoint, **environment):
    """Download in a fresh process, since the hub client reads its settings when it is imported; one line each."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    settings = {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "*"}
    paths = os.pathsep.join(path for path in sys.path if path)
    finished = subprocess.run(
        [sys.executable, "-c", DOWNLOAD, *map(str, layers)],
        env={**inherited, "PYTHONPATH": paths, **settings, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return finished.stdout.splitlines()


def test_download_caches_and_then_needs_no_network(tmp_path):
    content = np.random.default_rng(0).bytes(300_000)
    with hub({f"{PRETRAINED[18].repository}/model.safetensors": content}) as (address, requests):
        first, second = download(18, 18, home=tmp_path, endpoint=address)
    assert Path(first).read_bytes() == content
    assert Path(first).is_relative_to(tmp_path)
    assert second == first
    downloads = [request for request in requests if request.startswith("GET") and "/resolve/" in request]
    assert downloads == [f"GET /{PRETRAINED[18].repository}/resolve/main/model.safetensors"]
    # The server is gone by now.
    assert download(18, home=tmp_path, endpoint=address) == [first]
    assert download(18, home=tmp_path, endpoint=address, HF_HUB_OFFLINE="1") == [first]


def test_missing_repository_and_missing_file_say_what_to_do(tmp_path):
    with hub({f"{PRETRAINED[34].repository}/README.md": b"nothing here"}) as (address, _):
        messages = download(34, 50, home=tmp_path, endpoint=address)
    for layers, message in zip((34, 50), messages, strict=True):
        assert message.startswith("ArtifactError")
        assert PRETRAINED[layers].repository in message
        assert "404" in message
        assert "--pretrained PATH" in message


def test_no_network_and_offline_mode_say_so_at_once(tmp_path):
    with hub({}) as (address, _):
        pass  # its port is closed again
    start = time.monotonic()
    [refused] = download(18, home=tmp_path, endpoint=address)
    assert time.monotonic() - start < 20  # the client alone would go on for longer
    assert refused.startswith("ArtifactError")
    assert "refused" in refused
    assert "HF_HUB_OFFLINE" in refused
    [offline] = download(18, home=tmp_path, endpoint=address, HF_HUB_OFFLINE="1")
    assert offline.startswith("ArtifactError")
    assert "offline mode" in offline
