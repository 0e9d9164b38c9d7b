"""Help with names that are almost right."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` for the known name most like `name`, or nothing if none is like it."""
    by_lower_case = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f", did you mean {by_lower_case[found[0]]!r}?" if found else ""
