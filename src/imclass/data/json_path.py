"""Paths into JSON values, as SageMaker's batch transform takes them for its filters.

=======================  ==============================================  ============================================
written                  selects                                         result
=======================  ==============================================  ============================================
`$`                      everything                                      the value itself
`.name`, `['name']`      a member of an object                           the member
`[2]`, `[-1]`            an element of an array, the last one for -1     the element
`['a','b']`              several members                                 an object with them, at the end of a path;
                                                                         else their values go on
`[0,2]`, `[1:]`, `*`     several elements; all members or elements       an array
=======================  ==============================================  ============================================

A member or an element that is named and is not there is an error, as in SageMaker; a slice takes what there is.
python-jsonpath reads the paths: it is kept, needs no other package, and tells where in a path each part stands. Of what
it knows beyond the table, recursive descent and filter expressions among it, nothing is accepted.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imclass.errors import DataError

if TYPE_CHECKING:
    from jsonpath.segments import JSONPathSegment
    from jsonpath.selectors import JSONPathSelector

EVERYTHING: Final = "$"
LONGEST: Final = 63
"""Characters, as in SageMaker."""

_DOT_BEFORE_BRACKET: Final = re.compile(r"""('[^']*'|"[^"]*")|\.\[""")
"""Or a quoted name. SageMaker takes `$.a.['b']` for `$.a['b']`; with a space in place of the dot, columns stay."""

_SHAPES: Final = "Paths are made of $, .name, ['a','b'], [0,-1], [1:3] and *, as SageMaker's."


@dataclass(frozen=True, slots=True)
class _Selector:
    """One thing that a part of a path selects.

    Attributes:
        column: where it stands in the path, from 1.
        what: the name of a member, the number of an element, or a slice; None for all.
    """

    column: int
    what: str | int | slice | None

    def of(self, value: object) -> list[object]:
        """What it selects of a value.

        Raises:
            LookupError: it is not there.
        """
        what = self.what
        if isinstance(value, dict):
            if what is None:
                return list(value.values())
            if isinstance(what, str) and what in value:
                return [value[what]]
        if isinstance(value, list):
            if what is None:
                return value
            if isinstance(what, slice):
                return value[what]
            if isinstance(what, int) and -len(value) <= what < len(value):
                return [value[what]]
        raise LookupError(f"column {self.column}: {self._asked} {_named(value)}")

    @property
    def _asked(self) -> str:
        if isinstance(self.what, str):
            return f"there is no member {self.what!r} in"
        if isinstance(self.what, int):
            return f"there is no element {self.what} in"
        return "nothing can be selected in"


class JsonPath:
    """A path.

    Args:
        expression: at most `LONGEST` characters.

    Attributes:
        expression: as given.

    Raises:
        DataError: it is no path of this kind; the column is told.
    """

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self._parts = _parsed(expression)

    @property
    def selects_everything(self) -> bool:
        """Whether the result is always the value itself."""
        return not self._parts

    def select(self, value: object) -> object:
        """What the path selects of a JSON value; the module's table says in which form.

        Raises:
            LookupError: something that the path names is not there; the column of the path is told.
        """
        found = [value]
        for part in self._parts:
            found = [child for parent in found for selector in part for child in selector.of(parent)]
        if all(_selects_one(part) for part in self._parts):
            return found[0]
        names = [selector.what for selector in self._parts[-1] if isinstance(selector.what, str)]
        if len(names) == len(self._parts[-1]) and all(_selects_one(part) for part in self._parts[:-1]):
            return dict(zip(names, found, strict=True))
        return found


def _parsed(expression: str) -> list[list[_Selector]]:
    """The selectors of each part."""
    if not expression.startswith(EVERYTHING):
        raise _problem(expression, 1, "a path begins with $")
    if len(expression) > LONGEST:
        raise _problem(expression, LONGEST + 1, f"a path has {LONGEST} characters at most")
    if expression == EVERYTHING:
        return []
    if expression[1] not in ".[":
        raise _problem(expression, 2, "after $ comes a dot or a bracket")
    from jsonpath import JSONPath, JSONPathEnvironment
    from jsonpath.exceptions import JSONPathError

    try:
        path = JSONPathEnvironment().compile(_DOT_BEFORE_BRACKET.sub(lambda found: found[1] or " [", expression))
    except JSONPathError as error:
        # The end of the path has no place of its own.
        column = len(expression) + 1 if error.token is None or error.token.index < 0 else error.token.index + 1
        raise _problem(expression, column, str(error.args[0])) from error
    if not isinstance(path, JSONPath):
        raise _problem(expression, 1, "one path is wanted, not several")
    return [_part(expression, segment) for segment in path.segments]


def _part(expression: str, segment: "JSONPathSegment") -> list[_Selector]:
    from jsonpath.segments import JSONPathChildSegment

    if not isinstance(segment, JSONPathChildSegment):
        raise _problem(expression, _column(segment), "only children can be selected")
    return [_Selector(_column(selector), _what(expression, selector)) for selector in segment.selectors]


def _what(expression: str, selector: "JSONPathSelector") -> str | int | slice | None:
    from jsonpath.selectors import IndexSelector, NameSelector, SliceSelector, WildcardSelector

    if isinstance(selector, NameSelector):
        return selector.name
    if isinstance(selector, IndexSelector):
        return selector.index
    if isinstance(selector, WildcardSelector):
        return None
    if isinstance(selector, SliceSelector) and selector.slice.step is None:
        return selector.slice
    raise _problem(expression, _column(selector), f"{selector} is not accepted")


def _column(part: "JSONPathSegment | JSONPathSelector") -> int:
    """Where a part of a path begins, from 1."""
    return part.token.index + 1


def _problem(expression: str, column: int, what: str) -> DataError:
    return DataError(f"column {column}: {what}", where=f"path {expression}", fix=_SHAPES)


def _selects_one(part: Sequence[_Selector]) -> bool:
    return len(part) == 1 and isinstance(part[0].what, str | int)


def _named(value: object) -> str:
    """What kind of value it is, and what is in it."""
    if isinstance(value, dict):
        return f"an object with {_some(map(repr, value))}" if value else "an empty object"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return f"{str(value)[:40]!r}"


def _some(names: Iterable[str], limit: int = 5) -> str:
    shown = list(names)
    return ", ".join(shown[:limit]) + (f" and {len(shown) - limit} more" if len(shown) > limit else "")
