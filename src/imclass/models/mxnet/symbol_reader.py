"""Reads `-symbol.json`, the graph that MXNet saves, in the dialects of all its versions.

    {"nodes": [{"op": "Convolution", "name": "conv0", "attrs": {"kernel": "(3, 3)"}, "inputs": [[6, 0, 0], [7, 0, 0]]},
               ...],
     "arg_nodes": [0, 2], "node_row_ptr": [0, 1], "heads": [[180, 0, 0]], "attrs": {"mxnet_version": ["int", 10901]}}

The operator of a variable is "null". An input or a head is [node, output] or [node, output, version]. The attributes
of a node are called `attrs` since 0.12, `attr` from 0.9 to 0.11, and `param` up to 0.8, where `attr` beside it holds
attributes of the user. Up to 0.8, batch norms have no variables for their statistics. `arg_nodes`, `node_row_ptr`
and the version tell nothing that the nodes do not, so they are not read.
"""

from typing import Any, Final

from pydantic_core import from_json

from imclass.errors import ArtifactError
from imclass.models.mxnet.graph import Graph, Node

COPY_AGAIN: Final = "Copy or download the file again."


def read_symbol(data: bytes, where: str = "-symbol.json") -> Graph:
    """The graph in a file.

    Args:
        data: the whole file.
        where: its name, for messages.

    Raises:
        ArtifactError: the file is not JSON or not a graph; the message names the node.
    """
    try:
        content = from_json(data)
    except ValueError as error:
        raise ArtifactError(f"the file is not JSON: {error}", where=where, fix=COPY_AGAIN) from error
    if not isinstance(content, dict) or not isinstance(content.get("nodes"), list) or not content["nodes"]:
        raise _no_symbol("it has no list of nodes", where)
    nodes = tuple(_node(index, node, where) for index, node in enumerate(content["nodes"]))
    heads = _entries(content.get("heads"), len(nodes))
    if not heads:
        raise _no_symbol("its heads, the outputs of the network, are missing or name no node", where)
    return Graph(nodes, heads)


def _node(index: int, content: Any, where: str) -> Node:
    if not isinstance(content, dict):
        raise _no_symbol(f"node {index} is not an object", where)
    op, name = content.get("op"), content.get("name")
    if not isinstance(op, str) or not isinstance(name, str):
        raise _no_symbol(f"node {index} has no operator or no name", where)
    key = next((key for key in ("attrs", "param", "attr") if key in content), None)
    attributes = content[key] if key else {}
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        raise _no_symbol(f"node {index} ({name!r}) has attributes that are not text", where)
    inputs = _entries(content.get("inputs"), index)
    if inputs is None:
        raise _no_symbol(f"node {index} ({name!r}) has inputs that are not nodes before it", where)
    return Node(op, name, attributes, inputs)


def _entries(content: Any, nodes: int) -> tuple[tuple[int, int], ...] | None:
    """[node, output] or [node, output, version] of nodes below `nodes`; None when this is something else."""
    if not isinstance(content, list):
        return None
    for entry in content:
        if not isinstance(entry, list) or len(entry) not in (2, 3) or not all(type(part) is int for part in entry):
            return None
        if not 0 <= entry[0] < nodes or entry[1] < 0:
            return None
    return tuple((entry[0], entry[1]) for entry in content)


def _no_symbol(what: str, where: str) -> ArtifactError:
    return ArtifactError(f"the file is not an MXNet symbol: {what}", where=where, fix=COPY_AGAIN)
