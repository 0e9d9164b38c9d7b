"""One value at a time: from text or a Python value to the type of its hyperparameter.

SageMaker sends every value as text, tuning jobs send floats in any spelling and choices inside JSON quotes,
and Python users pass numbers and lists. All of these are understood; ranges are checked later, by the schema.
"""

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from numbers import Integral, Real

from imclass.hyperparameters.fields import FieldFacts, Kind
from imclass.hyperparameters.schema import LARGEST_INTEGER

Value = bool | int | float | str | tuple[int, ...]

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_NOT_SET = frozenset({"", "none", "null"})
_BRACKETS = ("()", "[]")
_LARGEST_INTEGER_DIGITS = len(str(LARGEST_INTEGER))


class BadValueError(ValueError):
    """A value cannot be understood; the message says why, or is empty when the requirement alone says it."""


def coerce(facts: FieldFacts, value: object) -> Value | None:
    """Give `value` the type of its hyperparameter; None when it means "not set".

    Raises:
        BadValueError: when the value is not understood. Ranges are not checked.
    """
    plain = _unquoted(value) if isinstance(value, str) else value
    if plain is None or (facts.optional and isinstance(plain, str) and plain.lower() in _NOT_SET):
        return None
    return _READERS[facts.kind](facts, plain)


def _unquoted(text: str) -> str:
    """Strip blanks, and the JSON quotes that the SDK's tuner puts around choices: "\\"sgd\\"" becomes sgd."""
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text)).strip()
        except ValueError:
            return text
    return text


def _boolean(facts: FieldFacts, value: object) -> bool:
    if isinstance(value, str):
        if value.lower() in _TRUE | _FALSE:
            return value.lower() in _TRUE
        value = float(value) if _NUMBER.fullmatch(value) else value
    if isinstance(value, Real) and value in (0, 1):
        return bool(value)
    raise BadValueError


def _integer(facts: FieldFacts, value: object) -> int:
    return _whole_number(value)


def _whole_number(value: object) -> int:
    if isinstance(value, bool):
        raise BadValueError
    if isinstance(value, Integral):
        return _within_64_bits(Decimal(int(value)))
    if isinstance(value, Real):
        return _within_64_bits(Decimal(_finite(float(value))))
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        try:
            return _within_64_bits(Decimal(value))
        except InvalidOperation:
            raise BadValueError from None
    raise BadValueError


def _within_64_bits(number: Decimal) -> int:
    # The exponent is looked at first: writing out 1e999999999 would take all memory.
    if number and number.adjusted() >= _LARGEST_INTEGER_DIGITS:
        raise BadValueError("larger than 64 bits")
    if number != number.to_integral_value():
        raise BadValueError
    if abs(int(number)) > LARGEST_INTEGER:
        raise BadValueError("larger than 64 bits")
    return int(number)


def _number(facts: FieldFacts, value: object) -> float:
    if isinstance(value, bool):
        raise BadValueError
    if isinstance(value, str) and not (_NUMBER.fullmatch(value) or _NOT_FINITE.fullmatch(value)):
        raise BadValueError
    if not isinstance(value, (str, Real)):
        raise BadValueError
    try:
        return _finite(float(value))
    except OverflowError:
        raise BadValueError("too large") from None


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise BadValueError("not a finite number")
    return number


def _choice(facts: FieldFacts, value: object) -> str:
    if not isinstance(value, str):
        raise BadValueError
    text = value.lower()
    if "none" in facts.choices and text in _NOT_SET:
        return "none"
    if text in facts.choices:
        return text
    nearest = difflib.get_close_matches(text, facts.choices, n=1)
    raise BadValueError(f"did you mean {nearest[0]}?" if nearest else "")


def _integers(facts: FieldFacts, value: object) -> tuple[int, ...]:
    if isinstance(value, str) and value.lower() in _NOT_SET:
        return ()
    items = _items(value, separators=",")
    return tuple(_whole_number(item) for item in items)


def _image_shape(facts: FieldFacts, value: object) -> tuple[int, ...]:
    items = _items(value, separators=",xX")
    if len(items) != 3:
        raise BadValueError(f"{len(items)} number{'' if len(items) == 1 else 's'} instead of three")
    return tuple(_whole_number(item) for item in items)


def _items(value: object, separators: str) -> Sequence[object]:
    """Split "10, 20", "[10, 20]" or "(10,20)"; lists stay as they are, and one number is a list of one."""
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, str):
        bracketed = len(value) >= 2 and value[0] + value[-1] in _BRACKETS
        inside = value[1:-1].strip() if bracketed else value
        return [part.strip() for part in re.split(f"[{separators}]", inside)] if inside else []
    return [value]


def _text(facts: FieldFacts, value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise BadValueError


_READERS: Mapping[Kind, Callable[[FieldFacts, object], Value]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "choice": _choice,
    "integers": _integers,
    "image_shape": _image_shape,
    "text": _text,
}
