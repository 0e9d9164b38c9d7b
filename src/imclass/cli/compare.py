"""`imclass compare`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imclass.cli import messages
from imclass.cli.parameters import Device, Quiet, Threads

if TYPE_CHECKING:
    from imclass.reports.comparison import Comparison


def command(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN RUN...",
            help="Output folders of runs; the others are held against the first.",
            show_default=False,
        ),
    ],
    *,
    html_file: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            dir_okay=False,
            help="Write a page with curves, differences and the images whose answer changed.",
            rich_help_panel="Running",
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = 0,
    quiet: Quiet = False,
) -> None:
    """Put training runs side by side.

    [bold]Examples[/bold]

    imclass compare run1 run2

    imclass compare run1 run2 run3 --html compare.html
    """
    if len(runs) == 1:
        raise typer.BadParameter("name two runs or more")

    from imclass.reports.comparison import compare, write_page
    from imclass.reports.subject import Computing

    with messages.warnings_on_stderr():
        comparison = compare(runs, Computing.on(device, threads), quiet=quiet)
        if html_file is not None:
            write_page(comparison, html_file)
    if quiet:
        return
    if messages.to_terminal():
        _print_tables(comparison)
    else:
        for line in plain_lines(comparison):
            print(line)


def plain_lines(comparison: "Comparison") -> Iterator[str]:
    """Lines of fields separated by tabs; the first field says what the others are.

    run, NAME, ACCURACY, LOSS, BEST EPOCH, EPOCHS, SECONDS; different, HYPERPARAMETER, VALUE of each run;
    changed, NAME, LOST, WON, CHANCE; or uncompared, NAME, REASON.
    """
    for run in comparison.runs:
        loss = "" if run.loss is None else f"{run.loss:.6f}"
        fields = (f"{run.accuracy:.6f}", loss, run.epoch, run.epochs, f"{run.seconds:.1f}")
        yield messages.tab_separated("run", run.name, *fields)
    for name, values in comparison.differences:
        yield messages.tab_separated("different", name, *values)
    for pair in comparison.pairs:
        if pair.agreement is None:
            yield messages.tab_separated("uncompared", pair.name, pair.why_not)
        else:
            found = pair.agreement
            yield messages.tab_separated("changed", pair.name, len(found.lost), len(found.won), f"{found.chance:.6f}")


def _print_tables(comparison: "Comparison") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table("run", title="Runs", title_justify="left")
    for column in ("accuracy", "loss", "best epoch", "images/s", "seconds"):
        table.add_column(column, justify="right")
    for run in comparison.runs:
        loss = "" if run.loss is None else f"{run.loss:.4f}"
        epochs, speed = f"{run.epoch} of {run.epochs}", f"{run.images_per_second:,.0f}"
        table.add_row(Text(run.name), f"{run.accuracy:.2%}", loss, epochs, speed, f"{run.seconds:,.0f}")
    console.print(table)
    if comparison.differences:
        table = Table("hyperparameter", title="Differences", title_justify="left")
        for run in comparison.runs:
            table.add_column(Text(run.name))
        for name, values in comparison.differences:
            table.add_row(name, *map(Text, values))
        console.print(table)
    for pair in comparison.pairs:
        words = f"answers are not compared: {pair.why_not}"
        if pair.agreement is not None:
            found = pair.agreement
            words = f"{len(found.lost):,} images lost, {len(found.won):,} won; by chance alone {found.chance:.1%}"
        console.print(Text(f"{pair.name} beside {comparison.runs[0].name}: {words}"))
