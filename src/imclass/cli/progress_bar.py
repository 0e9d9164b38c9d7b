"""A bar on standard error for a person who waits."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(
    total: int, quiet: bool, *, already: int = 0, unit: str | None = None
) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs, if standard error is a terminal.

    Args:
        total: number of steps.
        quiet: show none.
        already: steps that were done before.
        unit: of steps, to show how many of them are done a second.

    Yields:
        What to call with the number of steps that became done.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text("" if task.speed is None else f"{task.speed:,.1f} {unit}/s")

    columns = (BarColumn(), MofNCompleteColumn(), *([Rate()] if unit else []), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, completed=already)
        yield lambda done: bar.advance(task, done)
