"""What the training examples have in common: their arguments, and how they end."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import imclass


def parser(description: str | None) -> argparse.ArgumentParser:
    """Arguments DATA, RUN and `--set NAME=VALUE`, which changes a hyperparameter of the example."""
    arguments = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    arguments.add_argument("data", type=Path, metavar="DATA", help="where the images are")
    arguments.add_argument("run", type=Path, metavar="RUN", help="folder for everything that is written")
    arguments.add_argument(
        "--set",
        type=_name_and_value,
        action="append",
        default=[],
        dest="changes",
        metavar="NAME=VALUE",
        help="another value for one hyperparameter; repeat the option for more",
    )
    return arguments


def _name_and_value(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def run(main: Callable[[], None]) -> None:
    """Run a script, and say without a traceback what the user can put right."""
    try:
        main()
    except (imclass.UserError, OSError) as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
