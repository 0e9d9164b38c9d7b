"""What a person sees of a run: a live bar on a terminal, the original's log lines elsewhere."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from imclass.errors import UserError

LINE_FORMAT = "[%(asctime)s %(levelname)s %(thread)d] %(message)s"  # the original's
DATE_FORMAT = "%m/%d/%Y %H:%M:%S"


class Console:
    """Receives figures as a run goes; this plain one shows nothing, because the log lines say it all."""

    def step(self, epoch: int, step: int, steps_per_epoch: int, epochs: int) -> None:
        """After every step: the epoch's number from 0, its steps done, its length, and the epochs of the run."""

    def batch(self, speed: float, loss: float, accuracy: float) -> None:
        """Every 20 batches: images/s, and mean loss and accuracy since the epoch began."""

    def epoch(self, epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        """After each epoch, its line of metrics.jsonl."""


class LiveConsole(Console):
    """One bar for the run, with the time that is left, and one line (train / validation) for each epoch done."""

    def __init__(self, console: RichConsole, progress: Progress) -> None:
        self.console = console
        self.progress = progress
        self.task: TaskID | None = None
        self.figures = ""

    def step(self, epoch: int, step: int, steps_per_epoch: int, epochs: int) -> None:
        done = epoch * steps_per_epoch + step
        if self.task is None:  # time left counts from here, also in a run that goes on
            self.task = self.progress.add_task("", total=epochs * steps_per_epoch, completed=done)
        self.progress.update(self.task, completed=done, description=f"epoch {epoch + 1}/{epochs}{self.figures}")

    def batch(self, speed: float, loss: float, accuracy: float) -> None:
        self.figures = f"  {speed:,.0f} images/s  loss {loss:.4f}  accuracy {accuracy:.2%}"

    def epoch(self, epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        self.console.print(
            f"epoch {epoch + 1}/{epochs}  "
            f"loss {metrics['train_loss']:.4f} / {metrics['validation_loss']:.4f}  "
            f"accuracy {metrics['train_accuracy']:.2%} / [bold]{metrics['validation_accuracy']:.2%}[/bold]  "
            f"{metrics['seconds']:.1f} s",
            highlight=False,
        )


class _LiveHandler(logging.Handler):
    """Prints log records above the bar, except the original's lines, which the bar stands for."""

    def __init__(self, console: RichConsole) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "imclass.original":
            return
        style = {logging.WARNING: "yellow", logging.ERROR: "red"}.get(record.levelno, "")
        self.console.print(record.getMessage(), style=style, markup=False, highlight=False)


def _file_handler(path: Path) -> logging.FileHandler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return logging.FileHandler(path)
    except OSError as error:
        raise UserError(f"the log file cannot be written: {error.strerror}", where=str(path)) from error


@contextmanager
def console(*, quiet: bool, log_file: Path | None, speaks: bool) -> Iterator[Console]:
    """Set the log of a run up, and take it down again.

    Args:
        quiet: show warnings and errors only.
        log_file: all lines are appended to this file as well.
        speaks: False on processes that leave the talking to another one.
    """
    logger = logging.getLogger("imclass")
    before = logger.level, logger.propagate
    handlers: list[logging.Handler] = []
    live = speaks and not quiet and sys.stdout.isatty()
    rich_console = RichConsole() if live else None
    if rich_console:
        handlers.append(_LiveHandler(rich_console))
    else:
        handlers.append(logging.StreamHandler(sys.stdout))
        handlers[0].setFormatter(logging.Formatter(LINE_FORMAT, DATE_FORMAT))
    handlers[0].setLevel(logging.INFO if speaks and not quiet else logging.WARNING)
    if log_file and speaks:
        handlers.append(_file_handler(log_file))
        handlers[-1].setFormatter(logging.Formatter(LINE_FORMAT, DATE_FORMAT))
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in handlers:
        logger.addHandler(handler)
    try:
        if rich_console:
            with Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=rich_console,
                transient=True,
            ) as progress:
                yield LiveConsole(rich_console, progress)
        else:
            yield Console()
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(before[0])
        logger.propagate = before[1]
