"""`-symbol.json` in all dialects, and damaged ones."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imclass.errors import ArtifactError
from imclass.models.mxnet import read_symbol, recognise
from tests.models.mxnet.files import FOLDERS, MODELS, symbol_of

TODAY = json.loads((MODELS / "resnet20_28" / "model-symbol.json").read_text())
LEGACY = json.loads((MODELS / "resnet20_28" / "legacy-v0.8-symbol.json").read_text())


def as_json(content):
    return json.dumps(content).encode()


def refusal(data):
    with pytest.raises(ArtifactError) as caught:
        read_symbol(data, "x-symbol.json")
    assert caught.value.where == "x-symbol.json"
    assert caught.value.fix
    return caught.value.what


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_node_is_there_with_its_attributes_and_inputs(folder):
    data = symbol_of(folder).read_bytes()
    graph, content = read_symbol(data), json.loads(data)
    assert [node.op for node in graph.nodes] == [node["op"] for node in content["nodes"]]
    assert [node.name for node in graph.nodes] == [node["name"] for node in content["nodes"]]
    assert [node.attributes for node in graph.nodes] == [node.get("attrs", {}) for node in content["nodes"]]
    assert [[list(pair) for pair in node.inputs] for node in graph.nodes] == [
        [entry[:2] for entry in node["inputs"]] for node in content["nodes"]
    ]
    assert graph.heads == tuple((head[0], head[1]) for head in content["heads"])


def test_the_oldest_dialect_has_the_same_operators():
    today, legacy = (read_symbol(as_json(content)) for content in (TODAY, LEGACY))
    operators = [[(n.op, n.name, n.attributes) for n in graph.nodes if n.op != "null"] for graph in (today, legacy)]
    assert operators[0] == operators[1]
    assert len(legacy.nodes) == len(today.nodes) - 40  # the statistics of 20 batch norms


def test_the_dialect_of_0_9_calls_attributes_attr():
    nodes = [{("attr" if key == "attrs" else key): value for key, value in node.items()} for node in TODAY["nodes"]]
    assert read_symbol(as_json({**TODAY, "nodes": nodes})) == read_symbol(as_json(TODAY))


def test_attributes_of_the_user_stand_beside_param():
    node = {"op": "null", "param": {}, "attr": {"__lr_mult__": "0"}, "name": "data", "inputs": []}
    assert read_symbol(as_json({"nodes": [node], "heads": [[0, 0]]})).nodes[0].attributes == {}


def changed(index, **fields):
    nodes = [dict(node) for node in TODAY["nodes"]]
    nodes[index] |= fields
    return as_json({**TODAY, "nodes": nodes})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not JSON"),
        (as_json(TODAY)[:-20], "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no list of nodes"),
        (b'{"nodes": []}', "no list of nodes"),
        (b'{"nodes": [7]}', "node 0 is not an object"),
        (changed(3, op=None), "node 3 has no operator"),
        (changed(3, name=["x"]), "node 3 has no operator or no name"),
        (changed(6, attrs=["eps"]), "node 6 ('bn_data') has attributes"),
        (changed(6, attrs={"eps": 2e-5}), "node 6 ('bn_data') has attributes"),
        (changed(6, inputs=[[6, 0, 0]]), "node 6 ('bn_data') has inputs that are not nodes before it"),
        (changed(6, inputs=[[-1, 0, 0]]), "inputs that are not"),
        (changed(6, inputs=[[1, -1, 0]]), "inputs that are not"),
        (changed(6, inputs=[[1]]), "inputs that are not"),
        (changed(6, inputs=[[True, 0]]), "inputs that are not"),
        (changed(6, inputs=[[10**30, 0]]), "inputs that are not"),
        (changed(6, inputs=None), "inputs that are not"),
        (as_json({**TODAY, "heads": []}), "heads"),
        (as_json({**TODAY, "heads": [[181, 0, 0]]}), "heads"),
        (as_json({"nodes": TODAY["nodes"]}), "heads"),
    ],
)
def test_what_is_no_symbol_is_refused(data, said):
    assert said in refusal(data)


def opened(data):
    """Whether a file is one of ours; anything but an ArtifactError goes through and fails the test."""
    try:
        recognised = recognise(read_symbol(data))
    except ArtifactError:
        return False
    assert recognised.num_layers == 20
    return True


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "null", "(3, 3)", "True", "nan", "BatchNorm"]),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=5)


def mutated(content, data):
    """A copy of a JSON value in which one place, drawn step by step from the top, holds something else."""
    keys = (
        list(content) if isinstance(content, dict) else list(range(len(content))) if isinstance(content, list) else []
    )
    if not keys or data.draw(st.integers(0, 9)) == 0:
        return data.draw(VALUES)
    key = data.draw(st.sampled_from(keys))
    copy = content.copy()
    action = data.draw(st.sampled_from(["change", "change", "change", "delete", "repeat"]))
    if action == "delete":
        del copy[key]
    elif action == "repeat" and isinstance(copy, list):
        copy.insert(key, copy[key])
    else:
        copy[key] = mutated(copy[key], data)
    return copy


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutated_symbols_give_an_error_or_a_network(data):
    content = data.draw(st.sampled_from([TODAY, LEGACY]))
    for _ in range(data.draw(st.integers(1, 3))):
        content = mutated(content, data)
    opened(as_json(content))


TEXT = as_json(TODAY)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_cut_and_changed_text_gives_an_error_or_a_network(data):
    content = bytearray(TEXT)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content) - 1)))
    assert not (opened(bytes(content[:cut])) and cut < len(content))
