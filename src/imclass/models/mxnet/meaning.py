"""What the attributes of an operator mean, whichever way a version of MXNet spells them."""

import re
from collections.abc import Callable, Mapping
from typing import Final

Meaning = dict[str, object]

# Names that operators had, or have beside the usual one.
ALIASES: Final = {
    "_Plus": "elemwise_add",
    "_plus": "elemwise_add",
    "_add": "elemwise_add",
    "broadcast_add": "elemwise_add",
    "broadcast_plus": "elemwise_add",
    "identity": "_copy",
    "flatten": "Flatten",
    "cast": "Cast",
    "Softmax": "SoftmaxOutput",
}


def _truth(text: str) -> bool | str:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _pair(text: str) -> tuple[int, ...] | str:
    """ "(3, 3)", also as Python 2 wrote long numbers: "(3L, 3L)"; none at all stands for the default of two sides."""
    if not re.fullmatch(r"[(\[]?\s*\d{1,9}L?\s*(,\s*\d{1,9}L?\s*)*,?\s*[)\]]?", text):
        return text
    return tuple(map(int, re.findall(r"\d+", text)))


def _text(text: str) -> str:
    return text


# What decides about the output of an operator: how to read an attribute, and MXNet's default, None where there is none.
_Reader = Callable[[str], object]
_ATTRIBUTES: Final[Mapping[str, Mapping[str, tuple[_Reader, str | None]]]] = {
    "Convolution": {
        "kernel": (_pair, None),
        "stride": (_pair, "(1, 1)"),
        "pad": (_pair, "(0, 0)"),
        "dilate": (_pair, "(1, 1)"),
        "num_filter": (_number, None),
        "num_group": (_number, "1"),
        "no_bias": (_truth, "False"),
    },
    "BatchNorm": {
        "eps": (_number, "1e-3"),
        "momentum": (_number, "0.9"),
        "fix_gamma": (_truth, "True"),
        "use_global_stats": (_truth, "False"),
        "axis": (_number, "1"),
    },
    "Activation": {"act_type": (_text, None)},
    "Pooling": {
        "pool_type": (_text, "max"),
        "global_pool": (_truth, "False"),
        "kernel": (_pair, "()"),
        "stride": (_pair, "(1, 1)"),
        "pad": (_pair, "(0, 0)"),
        "pooling_convention": (_text, "valid"),
    },
    "FullyConnected": {
        "num_hidden": (_number, None),
        "no_bias": (_truth, "False"),
        "flatten": (_truth, "True"),
    },
    "Cast": {"dtype": (_text, None)},
    "SoftmaxOutput": {"multi_output": (_truth, "False"), "preserve_shape": (_truth, "False")},
}

UNUSED_WHEN_GLOBAL: Final = ("kernel", "stride", "pad", "pooling_convention")


def kind(op: str) -> str:
    """The usual name of a kind of operator."""
    return ALIASES.get(op, op)


def meaning(op: str, attributes: Mapping[str, str]) -> Meaning:
    """The attributes that decide about the output, with MXNet's defaults filled in, as numbers where they are numbers.

    A value that cannot be read stays text, and so differs from everything that is expected.
    """
    known = _ATTRIBUTES.get(kind(op), {})
    values: Meaning = {}
    for name, (read, default) in known.items():
        text = attributes.get(name, default)
        # Newer versions write an empty tuple for a default that depends on the number of sides.
        text = default if text in ("()", "[]") else text
        values[name] = None if text is None else read(text)
    if values.get("global_pool") is True:
        values = {name: value for name, value in values.items() if name not in UNUSED_WHEN_GLOBAL}
    return values
