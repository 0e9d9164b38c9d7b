"""One option for every hyperparameter, made from the table of hyperparameters.

Values stay the strings that were typed: `hyperparameters.parse` reads them together with those of a file, so that
all errors are reported at once and every spelling that a file may use works as an option too.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape

from imclass.hyperparameters import FIELDS, FieldFacts

ORIGINAL_PANEL = "Original hyperparameters"
EXTENSION_PANEL = "Extensions"

_METAVARS = {
    "boolean": "0|1",
    "image_shape": "C,H,W",
    "integer": "INTEGER",
    "integers": "N,N,...",
    "number": "NUMBER",
    "text": "TEXT",
}

CommandFunction = Callable[..., None]


def with_hyperparameter_options(function: CommandFunction) -> CommandFunction:
    """Add an option for every hyperparameter to a command.

    Args:
        function: takes `hyperparameters`, a dictionary that gets the options that were given, as typed; its other
            parameters stay options and arguments of the command.
    """
    signature = inspect.signature(function)
    own = [parameter for name, parameter in signature.parameters.items() if name != "hyperparameters"]
    generated = [_parameter(facts) for facts in FIELDS.values() if _is_option(facts)]
    names = [parameter.name for parameter in generated]

    @functools.wraps(function)
    def command(**values: Any) -> None:
        given = {name: values.pop(name) for name in names}
        function(hyperparameters=chosen(given), **values)

    # Typer reads the signature of a command and its annotations, not the way that it was written.
    parameters = [*own, *generated]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def chosen(options: Mapping[str, str | None]) -> dict[str, str]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _is_option(facts: FieldFacts) -> bool:
    # Names such as _tuning_objective_metric are written by tuning jobs into their files, not typed by people.
    return not facts.name.startswith("_")


def _parameter(facts: FieldFacts) -> inspect.Parameter:
    option = typer.Option(
        "--" + facts.name.replace("_", "-"),
        metavar=_metavar(facts),
        help=_help(facts),
        autocompletion=_completion(facts),
        rich_help_panel=ORIGINAL_PANEL if facts.original else EXTENSION_PANEL,
    )
    return inspect.Parameter(
        facts.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )


def _metavar(facts: FieldFacts) -> str:
    if facts.kind == "choice":
        return "|".join(facts.choices)
    return _METAVARS[facts.kind]


def _help(facts: FieldFacts) -> str:
    allowed = f" Allowed: {facts.range_text}." if facts.kind in ("integer", "number") and facts.range_text else ""
    return escape(f"{facts.help}{allowed} Default: {facts.default_text}.")


def _completion(facts: FieldFacts) -> Callable[[str], list[str]]:
    values = ("0", "1") if facts.kind == "boolean" else facts.choices
    return lambda incomplete: [value for value in values if value.startswith(incomplete)]
