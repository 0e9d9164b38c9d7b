"""From what users and SageMaker send to one `Hyperparameters`, and back to text.

`parse` reads in four steps: names, values, ranges, combinations. Each step goes on after a problem, so that
one error reports them all.
"""

import difflib
from collections.abc import Mapping, Set

from pydantic import ValidationError

from imclass.errors import HyperparameterError, listing
from imclass.hyperparameters.coerce import BadValueError, Value, coerce
from imclass.hyperparameters.combinations import combination_problems
from imclass.hyperparameters.fields import FIELDS, FieldFacts, text_of
from imclass.hyperparameters.recipes import recipe_defaults
from imclass.hyperparameters.schema import Hyperparameters

_CLOSE_ENOUGH = 0.5
_LONGEST_SHOWN_VALUE = 60


class BadHyperparametersError(HyperparameterError):
    """Everything that is wrong with a set of hyperparameters.

    Attributes:
        problems: one message each, all of them; the error's text shows the first 20.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        heading = "bad hyperparameter" if len(problems) == 1 else f"{len(problems)} bad hyperparameters"
        super().__init__(
            f"{heading}:\n{listing(problems)}",
            fix="imclass train --help lists every hyperparameter with its values.",
        )

    def __reduce__(self) -> tuple[type["BadHyperparametersError"], tuple[tuple[str, ...]]]:
        # The default would hand the parent's arguments to this constructor when another process unpickles it.
        return type(self), (self.problems,)


def parse(raw: Mapping[str, object], *, fine_tuning: bool = False) -> Hyperparameters:
    """Read hyperparameters, given as text or as Python values, by the names in `FIELDS`.

    A given value wins over the recipe's, and the recipe's over the default. None counts as not given.

    Args:
        raw: values by name.
        fine_tuning: whether training starts from weights of the user's own (use_pretrained_model=1 implies
            it); recipes look at it.

    Raises:
        BadHyperparametersError: a HyperparameterError that lists every unknown name, bad value and bad
            combination.
    """
    known, problems = _known_names(raw)
    typed, bad_types = _typed(known)
    given, bad_ranges = _within_range(typed, known)
    bad_names = bad_types.keys() | bad_ranges.keys()
    problems += [(bad_types | bad_ranges)[name] for name in known if name in bad_names]

    hyperparameters = _completed(given, fine_tuning)
    problems += combination_problems(hyperparameters, _unsure(given, bad_names))
    if problems:
        raise BadHyperparametersError(tuple(problems))
    return hyperparameters


def to_strings(hyperparameters: Hyperparameters) -> dict[str, str]:
    """Write hyperparameters as SageMaker sends them, all values as text; what is not set is left out.

    `parse` reads them back to an equal object.
    """
    values = {facts.name: getattr(hyperparameters, facts.attribute) for facts in FIELDS.values()}
    strings = {name: text_of(value) for name, value in values.items() if value not in (None, ())}
    # The original documents 0 and 1 for every other switch, but True and False for this one.
    return strings | {"early_stopping": str(hyperparameters.early_stopping)}


def _known_names(raw: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    known = {name: value for name, value in raw.items() if name in FIELDS}
    problems = [_unknown_name(name) for name in raw if name not in FIELDS]
    return known, problems


def _unknown_name(name: object) -> str:
    text = str(name)
    nearest = difflib.get_close_matches(text.lower().replace("-", "_"), FIELDS, n=1, cutoff=_CLOSE_ENOUGH)
    advice = f"; did you mean {nearest[0]}?" if nearest else ", and no name is like it"
    return f"{_shown(text)}: unknown name{advice}"


def _typed(known: Mapping[str, object]) -> tuple[dict[str, Value], dict[str, str]]:
    """Split into values of the right type by name, and problems by name."""
    typed: dict[str, Value] = {}
    problems: dict[str, str] = {}
    for name, value in known.items():
        try:
            coerced = coerce(FIELDS[name], value)
        except BadValueError as error:
            problems[name] = _bad_value(FIELDS[name], value, str(error))
        else:
            if coerced is not None:
                typed[name] = coerced
    return typed, problems


def _within_range(typed: Mapping[str, Value], known: Mapping[str, object]) -> tuple[dict[str, Value], dict[str, str]]:
    """Split into good values by attribute, and problems by name: the schema itself is the judge."""
    problems: dict[str, str] = {}
    try:
        Hyperparameters.model_validate({FIELDS[name].attribute: value for name, value in typed.items()})
    except ValidationError as error:
        name_of = {facts.attribute: facts.name for facts in FIELDS.values()}
        for detail in error.errors(include_url=False):
            name = name_of[str(detail["loc"][0])]
            reason = str(detail["ctx"]["error"]) if detail["type"] == "value_error" else ""
            problems.setdefault(name, _bad_value(FIELDS[name], known[name], reason))
    good = {FIELDS[name].attribute: value for name, value in typed.items() if name not in problems}
    return good, problems


def _bad_value(facts: FieldFacts, value: object, reason: str) -> str:
    explanation = f" ({reason})" if reason else ""
    return f"{facts.name}={_shown(value)}: must be {facts.requirement}{explanation}"


def _shown(value: object) -> str:
    text = repr(value[: _LONGEST_SHOWN_VALUE + 1]) if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST_SHOWN_VALUE else f"{text[:_LONGEST_SHOWN_VALUE]}..."


def _completed(given: Mapping[str, Value], fine_tuning: bool) -> Hyperparameters:
    """Add the recipe's values to those that were given, and the defaults to both."""
    plain = Hyperparameters.model_validate(given)
    defaults = recipe_defaults(plain.recipe, plain.image_shape[1], fine_tuning or plain.use_pretrained_model, given)
    return Hyperparameters.model_validate({**defaults, **given})


def _unsure(given: Mapping[str, Value], bad_names: Set[str]) -> Set[str]:
    """Name what no combination may be judged by: bad values, and what a recipe would have set beside them."""
    if not bad_names:
        return frozenset()
    recipe_counts = given.get("recipe", "sagemaker") != "sagemaker" or "recipe" in bad_names
    not_given = Hyperparameters.model_fields.keys() - given.keys()
    return bad_names | not_given if recipe_counts else bad_names
