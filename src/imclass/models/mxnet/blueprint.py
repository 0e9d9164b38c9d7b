"""The graph of `resnet_v2` as MXNet's example script builds it, operator by operator.

Recognition compares graphs with it, and the writer writes it down.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from imclass.models.layout import Layout

DATA: Final = -1  # the position that stands for the image

BATCH_NORM_ARRAYS: Final = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_var": "running_var",
}
STATISTICS: Final = ("moving_mean", "moving_var")

# Suffixes of the arrays that follow the data among an operator's inputs, and what imclass calls them.
ARRAYS: Final[Mapping[str, Mapping[str, str]]] = {
    "Convolution": {"weight": "weight"},
    "BatchNorm": BATCH_NORM_ARRAYS,
    "FullyConnected": {"weight": "weight", "bias": "bias"},
}

SOFTMAX: Final = "SoftmaxOutput"
SIGMOID: Final = "LogisticRegressionOutput"


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of the network.

    Attributes:
        op: MXNet's kind of operator.
        name: MXNet's name, which its arrays begin with.
        attributes: as the example script sets them.
        inputs: positions of the operators whose outputs it takes; `DATA` for the image.
        module: imclass's name of the layer, for operators that have arrays.
    """

    op: str
    name: str
    attributes: Mapping[str, str]
    inputs: tuple[int, ...]
    module: str = ""

    @property
    def arrays(self) -> dict[str, str]:
        """MXNet's suffixes of its arrays, in their order, and imclass's."""
        return dict(ARRAYS.get(self.op, {}))


@dataclass(frozen=True, slots=True)
class Head:
    """What the end of a network depends on.

    Attributes:
        num_classes: number of outputs.
        multi_label: sigmoid instead of softmax.
        float16: the network computes in float16, between two casts.
        name: name of the last layer: "fc1", or "fc" of networks that the example script fine-tuned.
    """

    num_classes: int
    multi_label: bool = False
    float16: bool = False
    name: str = "fc1"


def operators(layout: Layout, head: Head) -> list[Operator]:
    """The whole network in the order of MXNet's file: each operator after its inputs, the shortcut of a unit last."""
    return _Builder().network(layout, head)


@dataclass
class _Builder:
    """Appends operators; each method gives the position of the last one it added."""

    made: list[Operator] = field(default_factory=list)

    def network(self, layout: Layout, head: Head) -> list[Operator]:
        x = self._add("Cast", "cast0", (DATA,), dtype="float16") if head.float16 else self._add("_copy", "id", (DATA,))
        x = self._stem(self._batch_norm("bn_data", x, fix_gamma=True), layout)
        for stage, (units, width) in enumerate(zip(layout.units, layout.widths[1:], strict=True), start=1):
            for unit in range(1, units + 1):
                x = self._unit(x, stage, unit, width, layout.bottleneck)
        x = self._relu("relu1", self._batch_norm("bn1", x))
        x = self._add("Pooling", "pool1", (x,), global_pool="True", kernel="(7, 7)", pool_type="avg")
        x = self._add("Flatten", "flatten0", (x,))
        x = self._add("FullyConnected", head.name, (x,), module="fc1", num_hidden=str(head.num_classes))
        if head.float16:
            x = self._add("Cast", "cast1", (x,), dtype="float32")
        self._add(SIGMOID if head.multi_label else SOFTMAX, "softmax", (x,))
        return self.made

    def _stem(self, x: int, layout: Layout) -> int:
        if not layout.large_stem:
            return self._convolution("conv0", x, layout.widths[0], 3, 1, pad=1)
        x = self._convolution("conv0", x, layout.widths[0], 7, 2, pad=3)
        x = self._relu("relu0", self._batch_norm("bn0", x))
        sizes = {"kernel": "(3, 3)", "pad": "(1, 1)", "stride": "(2, 2)"}
        return self._add("Pooling", "pooling0", (x,), pool_type="max", **sizes)

    def _unit(self, x: int, stage: int, unit: int, width: int, bottleneck: bool) -> int:
        name, module = f"stage{stage}_unit{unit}", f"stage{stage}.{unit - 1}"
        stride = 2 if stage > 1 and unit == 1 else 1
        # (channels, kernel, stride, pad) of each convolution
        basic = [(width, 3, stride, 1), (width, 3, 1, 1)]
        narrow = [(width // 4, 1, 1, 0), (width // 4, 3, stride, 1), (width, 1, 1, 0)]
        residual = activated = x
        for number, (channels, kernel, step, pad) in enumerate(narrow if bottleneck else basic, start=1):
            norm = self._batch_norm(f"{name}_bn{number}", residual, module=f"{module}.bn{number}")
            relu = self._relu(f"{name}_relu{number}", norm)
            activated = relu if number == 1 else activated
            label = f"conv{number}"
            residual = self._convolution(
                f"{name}_{label}", relu, channels, kernel, step, pad=pad, module=f"{module}.{label}"
            )
        if unit == 1:
            x = self._convolution(f"{name}_sc", activated, width, 1, stride, pad=None, module=f"{module}.sc")
        sums = sum(operator.op == "elemwise_add" for operator in self.made)
        return self._add("elemwise_add", f"_plus{sums}", (residual, x))

    def _convolution(
        self, name: str, x: int, channels: int, kernel: int, stride: int, *, pad: int | None, module: str = ""
    ) -> int:
        sizes = {"kernel": kernel, "pad": pad, "stride": stride}
        pairs = {key: f"({value}, {value})" for key, value in sizes.items() if value is not None}
        attributes = {"no_bias": "True", "num_filter": str(channels), "workspace": "256", **pairs}
        return self._add("Convolution", name, (x,), module=module or name, **attributes)

    def _batch_norm(self, name: str, x: int, *, fix_gamma: bool = False, module: str = "") -> int:
        attributes = {"eps": "2e-05", "fix_gamma": str(fix_gamma), "momentum": "0.9"}
        return self._add("BatchNorm", name, (x,), module=module or name, **attributes)

    def _relu(self, name: str, x: int) -> int:
        return self._add("Activation", name, (x,), act_type="relu")

    def _add(self, op: str, name: str, inputs: tuple[int, ...], *, module: str = "", **attributes: str) -> int:
        self.made.append(Operator(op, name, dict(sorted(attributes.items())), inputs, module))
        return len(self.made) - 1
