"""What the commands say on standard error, and how they write results on standard output.

Results are made for two readers: a person at a terminal gets tables, a program or a file gets one line a fact with
its fields separated by tabs. Standard output carries results only, so that it can be piped.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def is_main_process() -> bool:
    """Whether this process speaks for the run: of the processes that torchrun starts only the one of rank 0 does."""
    return os.environ.get("RANK", "0") == "0"


def error(message: str) -> None:
    """Print an error. Processes other than the first say which one they are."""
    speaker = "" if is_main_process() else f" (process {os.environ['RANK']})"
    _write(f"imclass: error{speaker}: {message}\n")


def warning(message: str) -> None:
    """Print a warning, from the first process only."""
    if is_main_process():
        _write(f"imclass: warning: {message}\n")


def note(message: str) -> None:
    """Print something worth knowing, from the first process only."""
    if is_main_process():
        _write(f"imclass: {message}\n")


def _write(text: str) -> None:
    # In one piece, so that the messages of several processes do not run into each other.
    sys.stderr.write(text)
    sys.stderr.flush()


def to_terminal() -> bool:
    """Whether standard output is read by a person."""
    return sys.stdout.isatty()


def tab_separated(*fields: object) -> str:
    """One line of fields. Backslashes, tabs and line ends inside a field are written as `\\\\`, `\\t`, `\\n`, `\\r`."""
    return "\t".join(_escaped(printable(field)) for field in fields)


def printable(field: object) -> str:
    """Text that any stream takes: bytes of a file name that are not UTF-8 become replacement characters."""
    return str(field).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _escaped(field: str) -> str:
    for character, written in (("\\", r"\\"), ("\t", r"\t"), ("\n", r"\n"), ("\r", r"\r")):
        field = field.replace(character, written)
    return field


class _Warnings(logging.Handler):
    """Logged warnings in the form of all messages of the command line."""

    def emit(self, record: logging.LogRecord) -> None:
        tell = error if record.levelno >= logging.ERROR else warning
        tell(record.getMessage())


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Show on standard error what the rooms log as warnings while the block runs."""
    logger = logging.getLogger("imclass")
    handler = _Warnings(logging.WARNING)
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = propagate
        logger.removeHandler(handler)
