"""Images that cannot be read: remembered, reported, and only so many of them tolerated."""

import logging
import threading
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from imclass.errors import DataError, listing

logger = logging.getLogger(__name__)


class BadImage(NamedTuple):
    """An image that cannot be read: the source's name, the sample's key, and why."""

    source: str
    key: str
    reason: str


class BadImages:
    """The unreadable images of a run, each kept once. Safe to use from several threads.

    Args:
        limit: share 0..1 of a source's images that may be unreadable; 0 tolerates none.
    """

    def __init__(self, limit: float) -> None:
        if not 0 <= limit <= 1:
            raise ValueError(f"limit must be in [0, 1], not {limit}")
        self._limit = limit
        self._entries: dict[tuple[str, str], BadImage] = {}
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def entries(self) -> list[BadImage]:
        """All of them, in the order in which they were found."""
        with self._lock:
            return list(self._entries.values())

    def merge(self, entries: Iterable[BadImage]) -> None:
        """Take over what another process found, without logging it again."""
        with self._lock:
            for entry in entries:
                if (entry.source, entry.key) not in self._entries:
                    self._entries[entry.source, entry.key] = entry
                    self._counts[entry.source] += 1

    def add(self, source_name: str, key: str, reason: str) -> None:
        """Remember an unreadable image, and log it if it is new."""
        with self._lock:
            if (source_name, key) in self._entries:
                return
            self._entries[source_name, key] = BadImage(source_name, key, reason)
            self._counts[source_name] += 1
        logger.warning("%s: image %s cannot be read and is left out: %s", source_name, key, reason)

    def check(self, source_name: str, total: int) -> None:
        """Check a source that has `total` images against the limit.

        Raises:
            DataError: more images than the limit allows are unreadable so far; lists up to 20 of them.
        """
        with self._lock:
            count = self._counts[source_name]
            if count <= self._limit * total:
                return
            bad = [entry for entry in self._entries.values() if entry.source == source_name]
        images = "image" if count == 1 else "images"
        problems = listing([f"{entry.key}: {entry.reason}" for entry in bad])
        raise DataError(
            f"{count} {images} of {total} cannot be read; bad_image_limit {self._limit:g} allows "
            f"{int(self._limit * total)}\n{problems}",
            where=source_name,
            fix="Mend the images, take them out of the data set, or raise bad_image_limit.",
        )
