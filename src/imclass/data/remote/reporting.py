"""Tells a person who waits how far a download is: a bar on a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_BETWEEN_LINES = 10.0

Advance = Callable[[int, int], None]
"""Called with the files and the bytes that became done."""


@contextmanager
def reported(name: str, files: int, size: int, quiet: bool) -> Iterator[Advance]:
    """Report on standard error while the block runs.

    Args:
        name: what is fetched.
        files: number of files to come.
        size: bytes to come.
        quiet: say nothing.
    """
    if quiet:
        yield lambda files, size: None
    elif sys.stderr.isatty():
        with _bar(name, size) as advance:
            yield advance
    else:
        lines = _Lines(name, files, size)
        yield lines.advance
        lines.close()


@contextmanager
def _bar(name: str, size: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(f"fetching {name}"), total=size)
        yield lambda files, size: bar.advance(task, size)


class _Lines:
    def __init__(self, name: str, files: int, size: int) -> None:
        self._name, self._files, self._size = name, files, size
        self._files_done = self._size_done = 0
        self._began = self._last = time.monotonic()

    def advance(self, files: int, size: int) -> None:
        self._files_done += files
        self._size_done += size
        if time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            _print(
                f"fetching {self._name}: {self._files_done:,} of {self._files:,} files, "
                f"{megabytes(self._size_done)} of {megabytes(self._size)}"
            )

    def close(self) -> None:
        seconds = time.monotonic() - self._began
        _print(f"fetched {self._name}: {self._files_done:,} files, {megabytes(self._size_done)}, in {seconds:.1f} s")


def megabytes(size: int) -> str:
    """A number of bytes in MB."""
    return f"{size / 1e6:,.1f} MB"


def _print(text: str) -> None:
    sys.stderr.write(f"imclass: {text}\n")
    sys.stderr.flush()
