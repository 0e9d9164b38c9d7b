"""MXNet's arrays in imclass's network: MXNet's own probabilities come out."""

import json

import numpy as np
import pytest
import torch

from imclass.errors import ArtifactError
from imclass.models import build
from imclass.models.mxnet import arrays_of, read_params, read_symbol, recognise, state_of
from tests.models.mxnet.files import FOLDERS, MODELS, params_of, symbol_of

FC = MODELS / "resnet20_28_fc"


def opened(folder):
    """What is recognised in a golden folder, its arrays, and imclass's network without weights."""
    info = json.loads((folder / "info.json").read_text())
    recognised = recognise(read_symbol(symbol_of(folder).read_bytes()))
    arrays = read_params(params_of(folder).read_bytes())
    shape = tuple(map(int, info["image_shape"].split(",")))
    network = build("resnet_v2", recognised.num_layers, shape, recognised.head.num_classes)
    return recognised, arrays, network


@torch.inference_mode()
def probabilities(network, recognised, images):
    logits = network.eval()(torch.from_numpy(images).float())
    return (logits.sigmoid() if recognised.head.multi_label else logits.softmax(1)).numpy()


@pytest.mark.parametrize("folder", FOLDERS)
def test_probabilities_are_those_of_mxnet(folder):
    recognised, arrays, network = opened(folder)
    network.load_state_dict(state_of(recognised, arrays, network))
    actual = probabilities(network, recognised, np.load(folder / "input.npy"))
    tolerance = 2e-3 if recognised.head.float16 else 1e-5
    np.testing.assert_allclose(actual, np.load(folder / "output_softmax.npy"), rtol=0, atol=tolerance)


def test_the_stored_scale_of_the_image_is_ignored():
    recognised, arrays, network = opened(FC)
    assert arrays["arg:bn_data_gamma"].tolist() != [1.0, 1.0, 1.0]
    assert state_of(recognised, arrays, network)["bn_data.weight"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_way_back_gives_the_same_arrays_in_the_same_order(folder):
    recognised, arrays, network = opened(folder)
    state = state_of(recognised, arrays, network)
    back = arrays_of(recognised, state, fixed_scale=arrays["arg:bn_data_gamma"])
    assert list(back) == list(arrays)
    assert all(back[name].dtype == arrays[name].dtype for name in arrays)
    assert all(torch.equal(back[name], arrays[name]) for name in arrays)


def test_names_without_their_kind_are_found_as_well():
    recognised, arrays, network = opened(FC)
    bare = {name.partition(":")[2]: tensor for name, tensor in arrays.items()}
    with_kind, without = (state_of(recognised, one, network) for one in (arrays, bare))
    assert all(torch.equal(with_kind[name], without[name]) for name in with_kind)


def test_all_that_does_not_fit_is_named():
    recognised, arrays, network = opened(FC)
    del arrays["aux:bn1_moving_var"]
    arrays["arg:fc_weight"] = arrays["arg:fc_weight"][:, :-1]
    arrays["arg:conv0_weight"] = arrays["arg:conv0_weight"].to(torch.int8)
    arrays["arg:extra"] = torch.zeros(1)
    with pytest.raises(ArtifactError, match="do not fit") as caught:
        state_of(recognised, arrays, network, "x.params")
    assert caught.value.where == "x.params"
    assert caught.value.what.splitlines()[1:] == [
        "  - aux:bn1_moving_var: missing",
        "  - arg:extra: not expected",
        "  - arg:conv0_weight: type torch.int8 instead of a floating type",
        "  - arg:fc_weight: shape (5, 63) instead of (5, 64)",
    ]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_floating_types_become_float32(dtype):
    recognised, arrays, network = opened(FC)
    state = state_of(recognised, {name: tensor.to(dtype) for name, tensor in arrays.items()}, network)
    assert {tensor.dtype for name, tensor in state.items() if "num_batches" not in name} == {torch.float32}
    assert torch.equal(state["fc1.bias"], arrays["arg:fc_bias"].to(dtype).float())
