"""What a command tells the shell.

0    done
1    a fault of imclass itself, with its traceback
2    something that the user can put right: a wrong option, bad data, a damaged model
130  stopped by Ctrl-C
143  stopped by SIGTERM
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from imclass.cli import messages
from imclass.errors import UserError

USER_ERROR = 2
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


@contextmanager
def errors_reported() -> Iterator[None]:
    """Turn what the user can mend, and Ctrl-C, into a message and an exit status. Other exceptions pass through."""
    try:
        yield
    except UserError as error:
        messages.error(str(error))
        raise typer.Exit(USER_ERROR) from error
    except KeyboardInterrupt as error:
        messages.error("stopped by Ctrl-C")
        raise typer.Exit(INTERRUPTED) from error


def end_on_sigterm() -> None:
    """Let SIGTERM end the process as an exception would: files are closed and temporary ones removed on the way."""
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)
