"""`FIELDS`: the facts about every hyperparameter, read off the `Hyperparameters` model.

Help texts, error messages and the documentation are made from these, so that they cannot disagree with what
is checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from imclass.hyperparameters.schema import LARGEST_INTEGER, Hyperparameters, TunableRange

Kind = Literal["integer", "number", "boolean", "choice", "integers", "image_shape", "text"]

TUNING_OBJECTIVE = "_tuning_objective_metric"

_NOUN_OF_KIND: Mapping[Kind, str] = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "a switch",
    "choice": "one of",
    "integers": "integers separated by commas such as 10,20",
    "image_shape": "channels,height,width such as 3,224,224",
    "text": "text that is not empty",
}


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """What is known about one hyperparameter.

    Attributes:
        name: as users write it (`_tuning_objective_metric` has a leading underscore).
        attribute: as `Hyperparameters` calls it.
        kind: integer, number, boolean, choice, integers (a list), image_shape or text.
        choices: the values of a choice, else empty.
        minimum, maximum: bounds of an integer or a number; None where there is no bound to speak of.
        exclusive_minimum, exclusive_maximum: whether the bound itself is refused.
        range_text: the allowed values in words, such as "0 to 1"; empty when the kind says it all.
        default: None (or an empty list) when it is not set.
        optional: whether it may stay not set.
        help: one or two sentences.
        original: whether Amazon's algorithm has it.
        tunable: the original's recommended tuning range, if any.
    """

    name: str
    attribute: str
    kind: Kind
    choices: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    exclusive_minimum: bool
    exclusive_maximum: bool
    range_text: str
    default: object
    optional: bool
    help: str
    original: bool
    tunable: TunableRange | None

    @property
    def requirement(self) -> str:
        """What a value must be, as error messages say it: "an integer, at least 1"."""
        noun = _NOUN_OF_KIND[self.kind]
        if self.kind == "choice":
            return f"{noun} {self.range_text}"
        return f"{noun}, {self.range_text}" if self.range_text else noun

    @property
    def default_text(self) -> str:
        """The default as users write it; "not set" when there is none."""
        return self.display(self.default)

    def display(self, value: object) -> str:
        """Write a value of this hyperparameter for people: whole floats without ".0", None as "not set"."""
        if value in (None, ()):
            return "not set"
        if self.kind == "number":
            return f"{value:g}"
        if isinstance(value, bool) and self.range_text == "True or False":
            return str(value)
        return text_of(value)


def text_of(value: object) -> str:
    """Write a value as SageMaker sends it: 0 or 1 for booleans, lists with commas, shortest exact floats.

    >>> text_of((3, 224, 224)), text_of(True), text_of(1e-08)
    ('3,224,224', '1', '1e-08')
    """
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    return str(value)


def _facts(attribute: str, info: FieldInfo) -> FieldFacts:
    annotation, optional = _without_none(info.annotation)
    assert isinstance(info.json_schema_extra, dict), f"{attribute} is declared by _original or _extension"
    extra: dict[str, Any] = info.json_schema_extra
    kind = _kind(attribute, annotation)
    choices = get_args(annotation) if kind == "choice" else ()
    lower, exclusive_minimum = _bound(info, "ge", "gt")
    upper, exclusive_maximum = _bound(info, "le", "lt")
    upper = None if upper == LARGEST_INTEGER else upper
    interval = _interval(lower, upper, exclusive_minimum, exclusive_maximum)
    return FieldFacts(
        name=TUNING_OBJECTIVE if attribute == "tuning_objective_metric" else attribute,
        attribute=attribute,
        kind=kind,
        choices=choices,
        minimum=lower,
        maximum=upper,
        exclusive_minimum=exclusive_minimum,
        exclusive_maximum=exclusive_maximum,
        range_text=extra["values"] or ("0 or 1" if kind == "boolean" else ", ".join(choices) or interval),
        default=info.default,
        optional=optional,
        help=info.description or "",
        original=extra["original"],
        tunable=TunableRange(**extra["tunable"]) if extra["tunable"] else None,
    )


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, UnionType):
        (inner,) = (part for part in get_args(annotation) if part is not type(None))
        return inner, True
    return annotation, False


def _kind(attribute: str, annotation: Any) -> Kind:
    if get_origin(annotation) is Literal:
        return "choice"
    if get_origin(annotation) is tuple:
        return "image_shape" if attribute == "image_shape" else "integers"
    kinds: Mapping[Any, Kind] = {bool: "boolean", int: "integer", float: "number", str: "text"}
    return kinds[annotation]


def _bound(info: FieldInfo, inclusive: str, exclusive: str) -> tuple[float | None, bool]:
    for constraint in info.metadata:
        if hasattr(constraint, inclusive):
            return getattr(constraint, inclusive), False
        if hasattr(constraint, exclusive):
            return getattr(constraint, exclusive), True
    return None, False


def _interval(minimum: float | None, maximum: float | None, exclusive_minimum: bool, exclusive_maximum: bool) -> str:
    if minimum is None:
        return ""
    if maximum is None:
        return f"above {minimum:g}" if exclusive_minimum else f"at least {minimum:g}"
    lower = f"above {minimum:g}" if exclusive_minimum else f"{minimum:g}"
    upper = f"below {maximum:g}" if exclusive_maximum else f"{maximum:g}"
    return f"{lower} to {upper}"


FIELDS: Mapping[str, FieldFacts] = MappingProxyType(
    {
        facts.name: facts
        for facts in (_facts(attribute, info) for attribute, info in Hyperparameters.model_fields.items())
    }
)
