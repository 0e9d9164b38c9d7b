"""What is searched when nobody says what."""

from collections.abc import Mapping

from imclass.hyperparameters import parse
from imclass.hyperparameters.combinations import WITHOUT_EFFECT
from imclass.tuning.ranges import Range, tunable_ranges


def default_ranges(fixed: Mapping[str, object]) -> tuple[Range, ...]:
    """The original's tunable hyperparameters, without those that are fixed and those that then have no effect.

    Args:
        fixed: hyperparameters that are given; with `optimizer` among them, those of other optimizers are left out.

    Raises:
        HyperparameterError: something is wrong with them.
    """
    settings = parse(fixed)
    idle = {name for need in WITHOUT_EFFECT if "optimizer" in fixed and not need.met(settings) for name in need.names}
    return tuple(one for one in tunable_ranges() if one.name not in fixed and one.name not in idle)
