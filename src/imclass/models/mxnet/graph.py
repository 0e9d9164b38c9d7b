"""The graph of a network as MXNet's `-symbol.json` holds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

VARIABLE: Final = "null"  # what MXNet calls the operator of a node that is an input or an array


@dataclass(frozen=True, slots=True)
class Node:
    """One operator, or one variable.

    Attributes:
        op: the operator; `VARIABLE` for a variable.
        name: unique in most graphs; the name of a variable is that of its array.
        attributes: values as text ("(3, 3)", "True", "2e-05"); what is missing has MXNet's default.
        inputs: (node, output of that node), nodes by position in the graph.
    """

    op: str
    name: str
    attributes: Mapping[str, str]
    inputs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in topological order, each after its inputs, and the outputs of the network among them."""

    nodes: tuple[Node, ...]
    heads: tuple[tuple[int, int], ...]
