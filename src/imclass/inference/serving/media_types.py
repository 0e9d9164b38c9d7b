"""Content-Type and Accept: `type/subtype;name=value;flag`, RFC 9110 sections 8.3 and 12.5.1."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite


@dataclass(frozen=True)
class MediaType:
    """A media type, or a range of them.

    Attributes:
        name: "type/subtype" in lower case.
        parameters: values by name in lower case; a flag without a value has "".
    """

    name: str
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def quality(self) -> float:
        """The weight 0 to 1 of `q`; 1 without one, 0 when it is not a number."""
        try:
            quality = float(self.parameters.get("q", "1"))
        except ValueError:
            return 0.0
        return min(max(quality, 0.0), 1.0) if isfinite(quality) else 0.0


def parse(text: str) -> MediaType:
    """Split one media type. Case and white space do not matter; values may be quoted."""
    name, *rest = _split(text, ";")
    parameters = {}
    for part in rest:
        key, _, value = part.partition("=")
        if key.strip():
            parameters[key.strip().lower()] = _unquoted(value.strip())
    return MediaType(name.strip().lower(), parameters)


def parse_list(text: str) -> list[MediaType]:
    """Split the comma-separated media ranges of an Accept header, in the order in which they are preferred."""
    ranges = [parse(part) for part in _split(text, ",") if part.strip()]
    return sorted((each for each in ranges if each.quality > 0), key=lambda each: -each.quality)


def _split(text: str, separator: str) -> Iterator[str]:
    """Pieces between separators that are not inside quotes."""
    start, quoted, escaped = 0, False, False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            yield text[start:position]
            start = position + 1
    yield text[start:]


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    characters = iter(value[1:-1])
    return "".join(next(characters, "") if character == "\\" else character for character in characters)
