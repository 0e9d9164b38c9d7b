"""Keeps the exporters' talk among developers away from users."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# It tells which packages are missing whose operators no network of ours has.
TALKATIVE: Final = "torch.onnx._internal.exporter._registration"


@contextmanager
def notes_for_developers_left_out() -> Iterator[None]:
    """In the block, announcements of what a later version will do otherwise are not shown; other warnings are."""
    logger = logging.getLogger(TALKATIVE)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for category in (DeprecationWarning, FutureWarning):
                warnings.simplefilter("ignore", category)
            yield
    finally:
        logger.setLevel(level)
