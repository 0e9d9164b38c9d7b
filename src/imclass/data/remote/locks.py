"""Locks between processes, which end with the process that holds them, however it ends."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from imclass.errors import DataError

STALL_SECONDS = 600.0
POLL_SECONDS = 0.1

_held: dict[Path, int] = {}
"""Open files of the locks that this process keeps until it ends."""


@contextmanager
def exclusive(path: Path, stall_seconds: float = STALL_SECONDS) -> Iterator[Callable[[], None]]:
    """Hold a lock while the block runs.

    Whoever waits gives up when the holder shows no sign of life for `stall_seconds`.

    Yields:
        What the holder calls now and then as its sign of life: it sets the time of the file.

    Raises:
        DataError: the holder seems to be stuck, or the file cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", where=str(path)) from error
    try:
        _wait(descriptor, path, stall_seconds)
        os.utime(descriptor)
        yield lambda: os.utime(descriptor)
    finally:
        os.close(descriptor)


def _wait(descriptor: int, path: Path, stall_seconds: float) -> None:
    seen, since = -1, time.monotonic()
    while not _try_lock(descriptor, fcntl.LOCK_EX):
        sign = os.fstat(descriptor).st_mtime_ns
        if sign != seen:
            seen, since = sign, time.monotonic()
        if time.monotonic() - since > stall_seconds:
            raise DataError(
                f"another process fetches the same data and has got nothing for {stall_seconds:g} seconds",
                where=str(path),
                fix="End that process.",
            )
        time.sleep(POLL_SECONDS)


def keep_shared(path: Path) -> None:
    """Tell other processes, until this one ends, that what the lock stands for is in use."""
    if path in _held:
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    if not _try_lock(descriptor, fcntl.LOCK_SH):
        os.close(descriptor)
        raise DataError("another process is removing this", where=str(path), fix="Start again.")
    _held[path] = descriptor


def is_in_use(path: Path) -> bool:
    """Whether this or another process keeps a shared lock."""
    if path in _held:
        return True
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
