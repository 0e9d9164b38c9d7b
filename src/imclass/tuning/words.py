"""Numbers and values for people."""

import math
from collections.abc import Mapping


def shown(values: Mapping[str, str]) -> str:
    """Values in one line, numbers with four digits."""
    return ", ".join(f"{name}={short(text)}" for name, text in values.items())


def short(text: str) -> str:
    """A value, with four digits if it is a number."""
    try:
        number = float(text)
    except ValueError:
        return text
    return f"{number:.4g}" if math.isfinite(number) else text
