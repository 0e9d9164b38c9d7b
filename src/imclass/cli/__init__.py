"""The command line: `imclass train`, `imclass evaluate`, `imclass predict`, `imclass serve`, `imclass pack` and more.

Every command is one module of this folder. Modules import what they need inside their functions, so that help and
completion answer at once.
"""

from typing import Annotated

import typer

from imclass.cli.exit_status import end_on_sigterm
from imclass.cli.lazy_group import CONTEXT_SETTINGS, LazyGroup

_EXAMPLES = """
[bold]Examples[/bold]

  imclass train photos --output run1

  imclass evaluate run1/model.tar.gz more-photos

  imclass predict run1/model.tar.gz cat.jpg holiday/

imclass COMMAND --help explains a command with all its options.
"""

app = typer.Typer(
    name="imclass",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings=CONTEXT_SETTINGS,
    epilog=_EXAMPLES,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from imclass.version import VERSION

        print(f"imclass {VERSION}")
        raise typer.Exit


@app.callback()
def _imclass(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Train, evaluate and use image classifiers, with the data formats and hyperparameters of SageMaker."""


def _listed(name: str, summary: str) -> None:
    """List a command; `LazyGroup` brings the real one from its module when it is called."""
    app.command(name, short_help=summary)(lambda: None)


_listed("train", "Train a classifier on a folder of images, RecordIO files, lists or a manifest.")
_listed("tune", "Find good hyperparameters by training many times.")
_listed("evaluate", "Measure a model on labelled images.")
_listed("report", "Make a page of all there is to know of a trained model.")
_listed("compare", "Put training runs side by side.")
_listed("predict", "Name the classes of images.")
_listed("transform", "Write the probabilities of all images of a data set to files.")
_listed("serve", "Answer HTTP requests with a model.")
_listed("control-plane", "Be the SageMaker of code that was written for it.")
_listed("convert", "Write a model in the format of another program.")
_listed("pack", "Pack images into RecordIO files, as im2rec does.")
_listed("inspect", "Look for what is wrong with a data set, and for what suits it.")
_listed("unpack", "Turn RecordIO files into class folders and a .lst file.")


def main() -> None:
    """Run the command line and end the process with its exit status (see `exit_status`)."""
    end_on_sigterm()
    app(prog_name="imclass")
