"""Log lines on standard output, in the form of the original's."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from imclass.training.console import DATE_FORMAT, LINE_FORMAT


@contextmanager
def log_lines() -> Iterator[None]:
    """Print what imclass logs as `[MM/DD/YYYY HH:MM:SS LEVEL thread] message` while the block runs."""
    logger = logging.getLogger("imclass")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(LINE_FORMAT, DATE_FORMAT))
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
