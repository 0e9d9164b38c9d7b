"""Finds out which residual network a graph is: the names of its nodes do not matter, every connection does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from imclass.errors import ArtifactError
from imclass.models.layout import (
    DEEPEST_SMALL,
    FIRST_SMALL_BOTTLENECK,
    LARGE_UNITS,
    SMALL_IMAGE_HEIGHT,
    SMALL_STEM_HEIGHT,
    Layout,
    layout_of,
)
from imclass.models.mxnet.blueprint import ARRAYS, DATA, SIGMOID, SOFTMAX, STATISTICS, Head, Operator, operators
from imclass.models.mxnet.graph import VARIABLE, Graph, Node
from imclass.models.mxnet.meaning import kind, meaning

IDENTITY: Final = "_copy"
USUAL_HEIGHT: Final = 224
NEAREST: Final = 3  # so many depths are compared, since a graph that is not ours may have lost a layer or won one
MOST_CLASSES: Final = 2**31 - 1

# One image height for each case of the original's rule.
HEIGHTS: Final = (SMALL_IMAGE_HEIGHT, SMALL_STEM_HEIGHT, SMALL_STEM_HEIGHT + 1)

NOT_OURS: Final = (
    "imclass reads the residual networks of SageMaker's image classification and of MXNet's example script "
    "(symbols/resnet.py); other networks need MXNet itself."
)


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a graph is.

    Attributes:
        num_layers: depth.
        layout: units, widths and stem.
        head: classes, softmax or sigmoid, float16, name of the last layer.
        arrays: MXNet's name of every tensor ("arg:fc1_weight") by imclass's ("fc1.weight"), in imclass's order.
    """

    num_layers: int
    layout: Layout
    head: Head
    arrays: Mapping[str, str]

    def fits(self, height: int) -> bool:
        """Whether imclass builds this network for an image height in pixels."""
        return layout_of(self.num_layers, height) == self.layout

    @property
    def heights(self) -> str:
        """The image heights in pixels for which the original builds this network, in words."""
        if self.layout.large_stem:
            return f"a height of {SMALL_STEM_HEIGHT + 1} or more"
        if self._is_large:
            return f"a height of {SMALL_IMAGE_HEIGHT + 1} to {SMALL_STEM_HEIGHT}"
        return f"a height of up to {SMALL_IMAGE_HEIGHT}"

    @property
    def usual_height(self) -> int:
        """A height in pixels that the network is often built for."""
        if self.layout.large_stem:
            return USUAL_HEIGHT
        return SMALL_STEM_HEIGHT if self._is_large else SMALL_IMAGE_HEIGHT

    @property
    def _is_large(self) -> bool:
        return LARGE_UNITS.get(self.num_layers) == self.layout.units


@dataclass(frozen=True, slots=True)
class _Found:
    """An operator of a graph with its inputs sorted out, identities left away.

    Attributes:
        node: as the file has it.
        inputs: positions of operators; `DATA` for the first variable of the network.
        arrays: names of the variables behind the operators among its inputs.
    """

    node: Node
    inputs: tuple[int, ...]
    arrays: tuple[str, ...]


def recognise(graph: Graph, where: str = "-symbol.json") -> Recognised:
    """Find out which network a graph is.

    Raises:
        ArtifactError: it is not one of ours; the message names the first operator that differs.
    """
    found = _sorted_out(graph, where)
    head = _head(found)
    # The same depth means up to three networks, by image height; one that differs late is the one that was meant.
    candidates = [(depth, layout_of(depth, height)) for depth in _likely_depths(found) for height in HEIGHTS]
    differences = []
    for depth, layout in dict.fromkeys(candidates):
        expected = _without_identities(operators(layout, head))
        difference = _first_difference(found, expected)
        if difference is None:
            return Recognised(depth, layout, head, _array_names(found, expected, where))
        differences.append(difference)
    _, what = max(differences, key=lambda difference: difference[0])
    raise _not_ours(what, where)


# ---------------------------------------------------------------------------------------- putting in order


def _sorted_out(graph: Graph, where: str) -> list[_Found]:
    """The operators that the output depends on, in the order in which MXNet visits them from the output."""
    if len(graph.heads) != 1 or graph.heads[0][1] != 0:
        raise _not_ours(f"it has {len(graph.heads)} outputs instead of one", where)
    found: list[_Found] = []
    positions: dict[int, int] = {}  # of operators, by node
    for index in _visited(graph):
        node = graph.nodes[index]
        if node.op == VARIABLE:
            continue
        second = [graph.nodes[source].name for source, output in node.inputs if output != 0]
        if second:
            raise _not_ours(f"{_title(node)} takes another output of {second[0]!r} than the first", where)
        sources = [source for source, _ in node.inputs]
        if kind(node.op) == IDENTITY and len(sources) == 1:
            # What takes the output of an identity might as well take its input.
            positions[index] = positions.get(sources[0], DATA)
            continue
        inputs = [positions[source] for source in sources if graph.nodes[source].op != VARIABLE]
        variables = [graph.nodes[source].name for source in sources if graph.nodes[source].op == VARIABLE]
        if not inputs and variables:
            inputs, variables = [DATA], variables[1:]
        positions[index] = len(found)
        found.append(_Found(node, tuple(inputs), tuple(variables)))
    return found


def _visited(graph: Graph) -> Iterator[int]:
    """Nodes in depth-first order from the output, each after its inputs."""
    # A node waits on the stack until its inputs are done; recursion would end at Python's limit.
    done: set[int] = set()
    stack = [(graph.heads[0][0], False)]
    while stack:
        index, ready = stack.pop()
        if index in done:
            continue
        if ready:
            done.add(index)
            yield index
        else:
            stack.append((index, True))
            stack += [(source, False) for source, _ in reversed(graph.nodes[index].inputs) if source not in done]


def _without_identities(expected: list[Operator]) -> list[Operator]:
    """The same operators, numbered as `_sorted_out` numbers them."""
    if expected[0].op != IDENTITY:
        return expected
    return [
        Operator(one.op, one.name, one.attributes, tuple(position - 1 for position in one.inputs), one.module)
        for one in expected[1:]
    ]


# ---------------------------------------------------------------------------------- what is to be expected


def _head(found: list[_Found]) -> Head:
    """What the graph itself says of its end. Where it says nothing of use, comparison will find the difference."""
    last = [one.node for one in found if kind(one.node.op) == "FullyConnected"][-1:]
    number = meaning("FullyConnected", last[0].attributes)["num_hidden"] if last else None
    whole = isinstance(number, float) and number.is_integer() and 1 <= number <= MOST_CLASSES
    return Head(
        num_classes=int(number) if isinstance(number, float) and whole else 1,
        multi_label=bool(found) and kind(found[-1].node.op) == SIGMOID,
        float16=bool(found) and kind(found[0].node.op) == "Cast",
        name=last[0].name if last else "fc1",
    )


def _likely_depths(found: list[_Found]) -> list[int]:
    """The depths nearest to the number of layers with weights, shortcuts left out; of one of ours, it is the first."""
    sums = [one for one in found if kind(one.node.op) == "elemwise_add"]
    shortcuts = {one.inputs[-1] for one in sums if one.inputs and kind(found[one.inputs[-1]].node.op) == "Convolution"}
    kinds = [kind(one.node.op) for one in found]
    layers = kinds.count("Convolution") + kinds.count("FullyConnected") - len(shortcuts)
    return sorted(_depths(), key=lambda depth: abs(depth - layers))[:NEAREST]


def _depths() -> list[int]:
    basic = range(8, FIRST_SMALL_BOTTLENECK, 6)
    bottleneck = range(FIRST_SMALL_BOTTLENECK, DEEPEST_SMALL + 1, 9)
    return sorted({*LARGE_UNITS, *basic, *bottleneck})


# ---------------------------------------------------------------------------------------------- comparison


def _first_difference(found: list[_Found], expected: list[Operator]) -> tuple[int, str] | None:
    """Position and description of the first operator that is not as expected."""
    for position, (one, wanted) in enumerate(zip(found, expected, strict=False)):
        difference = _difference(one, wanted, found)
        if difference:
            return position, f"{_title(one.node)} {difference}"
    if len(found) > len(expected):
        return len(expected), f"{_title(found[len(expected)].node)} comes behind the end of a ResNet"
    if len(found) < len(expected):
        missing = expected[len(found)]
        return len(found), f"it ends where {missing.name!r} ({missing.op}) should follow"
    return None


def _difference(one: _Found, wanted: Operator, found: list[_Found]) -> str | None:
    if kind(one.node.op) != wanted.op:
        return f"stands where a ResNet has {wanted.name!r} ({wanted.op})"
    have, want = meaning(one.node.op, one.node.attributes), meaning(wanted.op, wanted.attributes)
    for name, value in want.items():
        if have.get(name) != value:
            return f"has {name} = {_shown(have.get(name))} where a ResNet has {_shown(value)}"
    if one.inputs != wanted.inputs:
        names = [repr(found[position].node.name) if position != DATA else "the image" for position in one.inputs]
        return f"takes the outputs of {', '.join(names) or 'nothing'}, which is not how a ResNet is connected"
    arrays = len(ARRAYS.get(wanted.op, ()))
    # An output layer takes the labels too; statistics had no variables up to MXNet 0.8.
    allowed = (0, 1) if wanted.op in (SOFTMAX, SIGMOID) else (arrays, 2) if wanted.op == "BatchNorm" else (arrays,)
    if len(one.arrays) not in allowed:
        return f"takes {len(one.arrays)} arrays where a ResNet has {allowed[0]}"
    return None


def _array_names(found: list[_Found], expected: list[Operator], where: str) -> dict[str, str]:
    """Whose arrays are whose, for graphs without a difference."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for one, wanted in zip(found, expected, strict=True):
        # Without variables, statistics are called after their operator.
        missing = [f"{one.node.name}_{suffix}" for suffix in list(wanted.arrays)[len(one.arrays) :]]
        for (theirs, ours), variable in zip(wanted.arrays.items(), [*one.arrays, *missing], strict=False):
            name = f"{'aux' if theirs in STATISTICS else 'arg'}:{variable}"
            if name in taken:
                raise _not_ours(f"{_title(one.node)} shares the array {variable!r} with another operator", where)
            taken.add(name)
            names[f"{wanted.module}.{ours}"] = name
    return names


def _shown(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "nothing" if value is None else str(value)


def _title(node: Node) -> str:
    return f"{node.name!r} ({node.op})"


def _not_ours(what: str, where: str) -> ArtifactError:
    return ArtifactError(f"this network is not one that imclass has: {what}", where=where, fix=NOT_OURS)
