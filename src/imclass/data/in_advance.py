"""Tells a data set that is read over a network what will be read of it next."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from imclass.data.source import ReadsAhead, Source, innermost, through

GROUPS_TOGETHER = 8
"""So many groups are announced at once: the more, the more of their samples lie side by side."""

Indices = NDArray[np.int64]
Group = TypeVar("Group")


@contextmanager
def in_advance(
    source: Source, order: Iterable[Group], indices_of: Callable[[Group], Indices]
) -> Iterator[Iterator[Group]]:
    """Let a source read ahead while the block runs; a source on this machine needs none of it.

    Args:
        order: the samples that will be read, a group at a time.
        indices_of: the samples of a group.

    Yields:
        The same groups.
    """
    source, places = innermost(source)
    if not isinstance(source, ReadsAhead):
        yield iter(order)
        return
    try:
        yield _announced(source, order, lambda group: through(places, indices_of(group)))
    finally:
        source.forget()


def _announced(source: ReadsAhead, order: Iterable[Group], indices_of: Callable[[Group], Indices]) -> Iterator[Group]:
    groups = iter(order)
    waiting: deque[Group] = deque()
    while True:
        while not waiting or source.wants_more:
            new = list(islice(groups, GROUPS_TOGETHER))
            if not new:
                break
            source.announce(np.concatenate([indices_of(group) for group in new]))
            waiting.extend(new)
        if not waiting:
            return
        yield waiting.popleft()
