"""From graphs to networks: golden ones, every depth, and graphs that are almost ours."""

import copy
import json

import pytest
import torch

from imclass.errors import ArtifactError
from imclass.models import build
from imclass.models.layout import LARGE_UNITS, layout_of
from imclass.models.mxnet import read_symbol, recognise
from imclass.models.mxnet.blueprint import Head, operators
from imclass.models.mxnet.graph import Graph, Node
from tests.models.mxnet.files import FOLDERS, MODELS, params_of, symbol_of
from tests.models.mxnet_golden import imclass_name

TODAY = json.loads((MODELS / "resnet20_28" / "model-symbol.json").read_text())


def recognised(content):
    return recognise(read_symbol(json.dumps(content).encode()))


def refusal(content):
    with pytest.raises(ArtifactError, match="not one that imclass has") as caught:
        recognised(content)
    assert "MXNet" in caught.value.fix
    return caught.value.what.partition(": ")[2]


def node(content, name):
    [found] = [node for node in content["nodes"] if node["name"] == name]
    return found


def with_attributes(name, **attributes):
    content = copy.deepcopy(TODAY)
    node(content, name)["attrs"].update(attributes)
    return content


@pytest.mark.parametrize("folder", FOLDERS)
def test_golden_symbols(folder):
    info = json.loads((folder / "info.json").read_text())
    found = recognise(read_symbol(symbol_of(folder).read_bytes()))
    assert (found.num_layers, found.head.num_classes) == (info["num_layers"], info["num_classes"])
    assert found.layout == layout_of(info["num_layers"], int(info["image_shape"].split(",")[1]))
    assert found.head.float16 == (info["dtype"] == "float16")
    assert found.head.multi_label == (info["head"] == "logistic")
    assert found.head.name == ("fc" if folder.name.endswith("_fc") else "fc1")
    assert params_of(folder).is_file()


def test_the_oldest_dialect_names_the_same_arrays():
    legacy = (MODELS / "resnet20_28" / "legacy-v0.8-symbol.json").read_bytes()
    assert recognise(read_symbol(legacy)) == recognised(TODAY)


def test_arrays_of_the_last_layer_are_found_by_their_place():
    found = recognise(read_symbol((MODELS / "resnet20_28_fc" / "model-symbol.json").read_bytes()))
    assert found.arrays["fc1.weight"] == "arg:fc_weight"
    others = {ours: theirs for ours, theirs in found.arrays.items() if not ours.startswith("fc1.")}
    assert others == {imclass_name(theirs): theirs for theirs in others.values()}


def graph_of(layout, head):
    """A graph in memory, as MXNet would build it for a layout."""
    nodes = [Node("null", "data", {})]
    places = {-1: 0}
    for position, operator in enumerate(operators(layout, head)):
        inputs = [(places[source], 0) for source in operator.inputs]
        for suffix in operator.arrays:
            nodes.append(Node("null", f"{operator.name}_{suffix}", {}))
            inputs.append((len(nodes) - 1, 0))
        nodes.append(Node(operator.op, operator.name, operator.attributes, tuple(inputs)))
        places[position] = len(nodes) - 1
    return Graph(tuple(nodes), ((len(nodes) - 1, 0),))


CASES = [
    *((depth, height) for depth in LARGE_UNITS for height in (32, 33, 224)),
    *((depth, 28) for depth in (8, 20, 32, 44, 50, 56, 110, 152, 158, 164, 200, 1001)),
]


@pytest.mark.parametrize(("depth", "height"), CASES)
def test_every_network_is_recognised_with_all_its_arrays(depth, height):
    found = recognise(graph_of(layout_of(depth, height), Head(4, multi_label=True, float16=True)))
    assert (found.num_layers, found.head.num_classes) == (depth, 4)
    assert found.fits(height)
    with torch.device("meta"):
        network = build("resnet_v2", depth, (3, height, height), 4)
    assert found.arrays.keys() == {name for name in network.state_dict() if "num_batches" not in name}


def test_heights_tell_networks_of_one_depth_apart():
    small, plain, large = (recognise(graph_of(layout_of(50, height), Head(4))) for height in (28, 32, 224))
    assert [one.fits(height) for one in (small, plain, large) for height in (28, 32, 33)] == [
        *(True, False, False),
        *(False, True, False),
        *(False, False, True),
    ]
    assert small.heights == "a height of up to 28"
    assert plain.heights == "a height of 29 to 32"
    assert large.heights == "a height of 33 or more"


def test_names_and_spelling_do_not_matter():
    content = copy.deepcopy(TODAY)
    for one in content["nodes"]:
        if one["op"] == "elemwise_add":
            one["op"] = "_Plus"
        if one["op"] not in ("null", "BatchNorm"):
            one["name"] += "_of_someone"
    attributes = node(content, "conv0_of_someone")["attrs"]
    attributes.update({"kernel": "(3L, 3L)", "pad": "[1,1]", "no_bias": "1", "num_group": "1", "dilate": "()"})
    node(content, "bn_data")["attrs"].pop("fix_gamma")  # which is true where nothing is said
    assert recognised(content).arrays == recognised(TODAY).arrays


def test_a_graph_without_the_identity_at_its_start():
    content = copy.deepcopy(TODAY)
    node(content, "bn_data")["inputs"][0] = [0, 0, 0]
    assert recognised(content) == recognised(TODAY)


ALMOST = [
    (with_attributes("bn_data", eps="0.001"), "'bn_data' (BatchNorm) has eps = 0.001 where a ResNet has 2e-05"),
    (with_attributes("bn_data", fix_gamma="False"), "'bn_data' (BatchNorm) has fix_gamma = False"),
    (with_attributes("conv0", kernel="(5, 5)"), "'conv0' (Convolution) has kernel = (5, 5) where a ResNet has (3, 3)"),
    (with_attributes("conv0", kernel="(9 x"), "'conv0' (Convolution) has kernel = (9 x where"),
    (with_attributes("conv0", num_filter="24"), "'conv0' (Convolution) has num_filter = 24 where a ResNet has 16"),
    (with_attributes("stage2_unit1_sc", stride="(1, 1)"), "'stage2_unit1_sc' (Convolution) has stride"),
    (with_attributes("stage2_unit3_relu2", act_type="tanh"), "'stage2_unit3_relu2' (Activation) has act_type = tanh"),
    (with_attributes("pool1", global_pool="False"), "'pool1' (Pooling) has global_pool = False"),
    (with_attributes("pool1", pool_type="max"), "'pool1' (Pooling) has pool_type = max where a ResNet has avg"),
    (with_attributes("fc1", no_bias="True"), "'fc1' (FullyConnected) has no_bias = True"),
    (with_attributes("fc1", num_hidden="0"), "'fc1' (FullyConnected) has num_hidden = 0"),
    (with_attributes("fc1", num_hidden="many"), "'fc1' (FullyConnected) has num_hidden = many"),
    (with_attributes("fc1", num_hidden="inf"), "'fc1' (FullyConnected) has num_hidden = inf"),
]


@pytest.mark.parametrize(("content", "said"), ALMOST, ids=lambda value: value if isinstance(value, str) else "")
def test_the_first_operator_that_differs_is_named(content, said):
    assert refusal(content).startswith(said)


def test_other_operators_and_connections_are_named():
    content = copy.deepcopy(TODAY)
    node(content, "softmax")["op"] = "MAERegressionOutput"
    assert refusal(content) == "'softmax' (MAERegressionOutput) stands where a ResNet has 'softmax' (SoftmaxOutput)"

    content = copy.deepcopy(TODAY)
    add = node(content, "_plus1")
    add["inputs"][1] = [14, 0, 0]  # an earlier activation instead of the unit's input
    assert refusal(content).startswith("'_plus1' (elemwise_add) takes the outputs of 'stage1_unit2_conv2', 'stage1_u")

    content = copy.deepcopy(TODAY)
    node(content, "stage1_unit1_relu1")["inputs"][0][1] = 1
    assert refusal(content).startswith("'stage1_unit1_relu1' (Activation) takes another output of 'stage1_unit1_bn1'")

    content = copy.deepcopy(TODAY)
    node(content, "stage1_unit1_conv2")["inputs"][1] = node(content, "stage1_unit1_conv1")["inputs"][1]
    assert "shares the array 'stage1_unit1_conv1_weight'" in refusal(content)


def test_a_graph_that_stops_early_or_has_two_outputs():
    content = copy.deepcopy(TODAY)
    content["heads"] = [[173, 0, 0]]
    assert refusal(content) == "it ends where 'pool1' (Pooling) should follow"
    content["heads"] = [[173, 0, 0], [180, 0, 0]]
    assert refusal(content) == "it has 2 outputs instead of one"
    content["heads"] = [[0, 0, 0]]
    assert refusal(content) == "it ends where 'bn_data' (BatchNorm) should follow"


def test_another_network_altogether():
    nodes = [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "null", "name": "conv1_1_weight", "inputs": []},
        {"op": "Convolution", "name": "conv1_1", "attrs": {"kernel": "(3, 3)"}, "inputs": [[0, 0, 0], [1, 0, 0]]},
    ]
    content = {"nodes": nodes, "heads": [[2, 0, 0]]}
    assert refusal(content) == "'conv1_1' (Convolution) stands where a ResNet has 'bn_data' (BatchNorm)"


def test_a_long_chain_is_no_trouble():
    nodes = [{"op": "null", "name": "data", "inputs": []}]
    nodes += [{"op": "Flatten", "name": f"f{i}", "inputs": [[i, 0, 0]]} for i in range(20_000)]
    assert refusal({"nodes": nodes, "heads": [[20_000, 0, 0]]}).startswith("'f0' (Flatten) stands where")
