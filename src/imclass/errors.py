"""Errors that users can cause, and can mend.

Every message says what was wrong, where (file, line, byte offset, key) and what to do about it. Anything that is
not a `UserError` is a fault of imclass itself: the command line prints its traceback and exits with status 1,
while a `UserError` is printed as one message and exits with status 2.
"""

from collections.abc import Sequence


class UserError(Exception):
    """Something that the user can put right.

    Args:
        what: what was wrong, one sentence or several lines, without a trailing full stop.
        where: the place: a file with a line or a byte offset, a key, the name of an option.
        fix: what to do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what = what
        self.where = where
        self.fix = fix
        super().__init__(what, where, fix)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"\n{self.fix}" if self.fix else ""
        return f"{place}{self.what}{advice}"


class HyperparameterError(UserError):
    """One or more hyperparameters have an unknown name, a bad value or do not fit together."""


class DataError(UserError):
    """A data set cannot be read: a missing or damaged container, bad list lines, labels out of range."""


class ImageError(UserError):
    """One image cannot be read. Runs count and name these, and go on while they stay under a limit."""


class ArtifactError(UserError):
    """A model file cannot be opened, is not what it should be, or does not fit what was asked."""


def listing(problems: Sequence[str], limit: int = 20) -> str:
    """Join problems into an indented list of lines, of which at most `limit` are shown and the rest counted."""
    lines = [f"  - {problem}" for problem in problems[:limit]]
    if len(problems) > limit:
        lines.append(f"  ... and {len(problems) - limit} more")
    return "\n".join(lines)
