"""A command group that imports a command only when it is the one to run.

`imclass --help` and the completion of command names need names and one line each. Those are registered with the
group; the module of a command, with everything that it imports, is loaded once its name has been typed.
"""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from imclass.cli.exit_status import errors_reported

CONTEXT_SETTINGS = {"help_option_names": ["--help", "-h"]}


class LazyGroup(TyperGroup):
    """Finds the command `NAME` as the function `command` of the module `imclass.cli.NAME`, `-` being `_` there."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name is None or command is None:
            return name, command, rest
        return name, load(name), rest

    def invoke(self, ctx: Any) -> Any:
        with errors_reported():
            return super().invoke(ctx)


def load(name: str) -> Any:
    """The command `name`, built from its module; without arguments it shows its help, if it needs any."""
    module = import_module(f"imclass.cli.{name.replace('-', '_')}")
    function: Callable[..., None] = module.command
    builder = typer.Typer(add_completion=False)
    builder.command(
        name,
        help=_unwrapped(function.__doc__ or ""),
        context_settings=CONTEXT_SETTINGS,
        no_args_is_help=getattr(module, "NEEDS_ARGUMENTS", True),
    )(function)
    return typer.main.get_command(builder)


def _unwrapped(text: str) -> str:
    """Join the lines of each paragraph, so that help texts fill the width of the terminal."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in paragraphs)
