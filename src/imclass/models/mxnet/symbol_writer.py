"""Writes `-symbol.json`, the graph of a `resnet_v2` network, as MXNet 1.9.1 saves what the example script builds.

{"nodes": [variables and operators, each variable right before the operator that takes it],
 "arg_nodes": [the variables], "node_row_ptr": [outputs before each node, and all], "heads": [the last node],
 "attrs": {"mxnet_version": ["int", 10901]}}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from imclass.models.layout import Layout
from imclass.models.mxnet.blueprint import DATA, SIGMOID, SOFTMAX, STATISTICS, Head, Operator, operators
from imclass.models.mxnet.graph import VARIABLE

MXNET_VERSION: Final = 10901
INITIAL_STATISTICS: Final = {"moving_mean": '["zero", {}]', "moving_var": '["one", {}]'}


def write_symbol(layout: Layout, head: Head) -> bytes:
    """The bytes of a file: the network of a layout, UTF-8 JSON."""
    writer = _Writer()
    writer.variable("data", {})
    for operator in operators(layout, head):
        writer.operator(operator)
    return json.dumps(writer.content(), indent=2).encode() + b"\n"


@dataclass
class _Writer:
    nodes: list[dict[str, object]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)  # node of each operator
    first_outputs: list[int] = field(default_factory=lambda: [0])

    def variable(self, name: str, attributes: Mapping[str, str]) -> list[int]:
        """Append a variable; gives what an operator lists among its inputs."""
        return [self._append(VARIABLE, name, attributes, []), 0, 0]

    def operator(self, operator: Operator) -> None:
        """Append an operator, after its arrays."""
        inputs = [[0 if source == DATA else self.places[source], 0, 0] for source in operator.inputs]
        for suffix in operator.arrays:
            name = f"{operator.name}_{suffix}"
            if suffix in STATISTICS:
                # The last number tells operators apart that change an array from those that only read it.
                node, output, _ = self.variable(name, {"__init__": INITIAL_STATISTICS[suffix], **operator.attributes})
                inputs.append([node, output, 1])
            else:
                inputs.append(self.variable(name, operator.attributes))
        if operator.op in (SOFTMAX, SIGMOID):
            inputs.append(self.variable(f"{operator.name}_label", {}))
        self.places.append(self._append(operator.op, operator.name, operator.attributes, inputs))

    def content(self) -> dict[str, object]:
        return {
            "nodes": self.nodes,
            "arg_nodes": [index for index, node in enumerate(self.nodes) if node["op"] == VARIABLE],
            "node_row_ptr": self.first_outputs,
            "heads": [[self.places[-1], 0, 0]],
            "attrs": {"mxnet_version": ["int", MXNET_VERSION]},
        }

    def _append(self, op: str, name: str, attributes: Mapping[str, str], inputs: list[list[int]]) -> int:
        node: dict[str, object] = {"op": op, "name": name}
        if attributes:
            node["attrs"] = dict(attributes)
        self.nodes.append({**node, "inputs": inputs})
        self.first_outputs.append(self.first_outputs[-1] + _outputs(op, attributes))
        return len(self.nodes) - 1


def _outputs(op: str, attributes: Mapping[str, str]) -> int:
    """Number of outputs of an operator, hidden ones included."""
    if op == "BatchNorm":
        return 3
    # MXNet's usual build for CPUs keeps the places of the maxima; no version reads the count back.
    return 2 if op == "Pooling" and attributes["pool_type"] == "max" else 1
