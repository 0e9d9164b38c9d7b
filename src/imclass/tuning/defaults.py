"""What is searched when nobody says what."""

from collections.abc import Mapping
from dataclasses import replace

from imclass.hyperparameters import parse
from imclass.hyperparameters.combinations import WITHOUT_EFFECT
from imclass.tuning.ranges import IntegerRange, Range, tunable_ranges


def default_ranges(fixed: Mapping[str, object], samples: int) -> tuple[Range, ...]:
    """The original's tunable hyperparameters, without those that are fixed and those that then have no effect.

    Args:
        fixed: hyperparameters that are given; with `optimizer` among them, those of other optimizers are left out.
        samples: number of training images; no batch is larger.

    Raises:
        HyperparameterError: something is wrong with them.
    """
    settings = parse(fixed)
    idle = {name for need in WITHOUT_EFFECT if "optimizer" in fixed and not need.met(settings) for name in need.names}
    chosen = (one for one in tunable_ranges() if one.name not in fixed and one.name not in idle)
    return tuple(_within(one, samples) for one in chosen)


def _within(one: Range, samples: int) -> Range:
    if one.name != "mini_batch_size":
        return one
    assert isinstance(one, IntegerRange)
    return replace(one, minimum=min(one.minimum, samples), maximum=min(one.maximum, samples))
