"""`-symbol.json` as MXNet itself writes it."""

import json
import re

import pytest

from imclass.models.layout import layout_of
from imclass.models.mxnet import Head, read_symbol, recognise, write_symbol
from tests.models.mxnet.files import FOLDERS, symbol_of
from tests.models.mxnet.test_recognition import CASES

# Their numbers tell how many such operators the process had made before.
NUMBERED = re.compile(r"(_plus|flatten|pooling|cast)(\d+)")


def without_numbers(content):
    nodes = [{**node, "name": NUMBERED.sub(r"\1", node["name"])} for node in content["nodes"]]
    return {**content, "nodes": nodes}


@pytest.mark.parametrize("folder", FOLDERS)
def test_symbols_of_mxnet_come_out_with_every_node_attribute_and_index(folder):
    golden = symbol_of(folder).read_bytes()
    recognised = recognise(read_symbol(golden))
    written = json.loads(write_symbol(recognised.layout, recognised.head))
    assert without_numbers(written) == without_numbers(json.loads(golden))
    assert list(written) == list(json.loads(golden))


@pytest.mark.parametrize(("depth", "height"), CASES)
@pytest.mark.parametrize("head", [Head(3), Head(4, multi_label=True, float16=True, name="fc")])
def test_what_is_written_is_recognised(depth, height, head):
    recognised = recognise(read_symbol(write_symbol(layout_of(depth, height), head)))
    assert (recognised.num_layers, recognised.head, recognised.layout) == (depth, head, layout_of(depth, height))


def test_names_are_unique():
    names = [node["name"] for node in json.loads(write_symbol(layout_of(152, 224), Head(10)))["nodes"]]
    assert len(set(names)) == len(names)
