r"""CloudWatch Logs' filter patterns for lines of text, and the operation that searches streams with them.

::

    ERROR loss         both words
    "loss is nan"      the words as they stand, spaces and all
    -DEBUG             not this one
    ?ERROR ?WARN       one of them
    %Epoch\[\d+\]%     a regular expression

Upper and lower case are told apart. Patterns for JSON and for columns ({...} and [...]) are not offered.
"""

import base64
import heapq
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from zlib import crc32

from imclass.sagemaker.control_plane.operations.logs import (
    MOST_BYTES,
    MOST_EVENTS,
    event_size,
    group_of,
    in_time,
    invalid,
    missing,
)
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane, Values
from imclass.sagemaker.control_plane.store.log_files import Event, read_events

TERM = re.compile(r'\s*([-?]?)(?:"((?:[^"\\]|\\.)*)"|%((?:[^%\\]|\\.)+)%|([^\s"%]+))(?=\s|$)')

Matches = Callable[[str], bool]


@dataclass(frozen=True, order=True)
class Place:
    """Where an event is among those of all streams: they are in this order."""

    timestamp: int
    stream: str
    offset: int


def filter_log_events(plane: Plane, request: Values) -> Values:
    """One page of the events of several streams that match a pattern, in the order in which they came."""
    group = group_of(request)
    if not plane.logs.has_group(group):
        raise missing("log group")
    matches = parse_pattern(request.get("filterPattern", ""))
    after = _read_token(request["nextToken"]) if "nextToken" in request else None
    events = heapq.merge(
        *(_events(plane, group, stream, request) for stream in _streams(plane, group, request)),
        key=lambda each: each[0],
    )
    wanted = ((place, event) for place, event in events if (after is None or place > after) and matches(event.message))
    found = list(_page(wanted, request.get("limit", MOST_EVENTS)))
    more = {"nextToken": _token(found[-1][0])} if found and next(wanted, None) is not None else {}
    return {"events": [_answer(place, event) for place, event in found], "searchedLogStreams": [], **more}


def _streams(plane: Plane, group: str, request: Values) -> list[str]:
    names = request.get("logStreamNames")
    if names is not None and "logStreamNamePrefix" in request:
        raise invalid("logStreamNames and logStreamNamePrefix cannot be given together.")
    if names is None:
        return plane.logs.streams(group, request.get("logStreamNamePrefix", ""))
    for name in names:
        file = plane.logs.file(group, name)
        if file is None or not file.exists():
            raise missing("log stream")
    return sorted(set(names))


def _events(plane: Plane, group: str, stream: str, request: Values) -> Iterator[tuple[Place, Event]]:
    file = plane.logs.file(group, stream)
    assert file is not None
    for event in in_time(read_events(file), request):
        yield Place(event.timestamp, stream, event.offset), event


def _page(events: Iterator[tuple[Place, Event]], limit: int) -> Iterator[tuple[Place, Event]]:
    """As many as fit; the page is full when one more has been looked at."""
    size = 0
    for place, event in islice(events, limit):
        yield place, event
        size += event_size(event)
        if size > MOST_BYTES:
            return


def _answer(place: Place, event: Event) -> dict[str, object]:
    return {
        "logStreamName": place.stream,
        "timestamp": event.timestamp,
        "message": event.message,
        "ingestionTime": event.timestamp,
        "eventId": f"{event.timestamp:020d}{crc32(place.stream.encode()):016d}{place.offset:020d}",
    }


def parse_pattern(pattern: str) -> Matches:
    """What a pattern says of a message.

    Raises:
        ApiError: it is none of those that are offered.
    """
    text = pattern.strip()
    if text[:1] in ("{", "["):
        raise invalid("Patterns for JSON and for columns are not offered, only words.")
    needed: list[Matches] = []
    optional: list[Matches] = []
    start = 0
    while start < len(text):
        found = TERM.match(text, start)
        if found is None:
            raise invalid(f"Invalid filter pattern: {text[start:]!r}")
        sign, quoted, expression, word = found.groups()
        matches = _term(quoted, expression, word)
        if sign == "?":
            optional.append(matches)
        else:
            needed.append(_negated(matches) if sign == "-" else matches)
        start = found.end()
    return lambda message: (
        all(matches(message) for matches in needed) and (not optional or any(matches(message) for matches in optional))
    )


def _term(quoted: str | None, expression: str | None, word: str | None) -> Matches:
    if expression is None:
        text = word if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        return lambda message: str(text) in message
    try:
        compiled = re.compile(expression)
    except re.error as error:
        raise invalid(f"Invalid filter pattern: {error}") from error
    return lambda message: compiled.search(message) is not None


def _negated(matches: Matches) -> Matches:
    return lambda message: not matches(message)


def _token(place: Place) -> str:
    content = json.dumps([place.timestamp, place.stream, place.offset])
    return base64.urlsafe_b64encode(content.encode()).decode()


def _read_token(token: str) -> Place:
    try:
        timestamp, stream, offset = json.loads(base64.urlsafe_b64decode(token))
        return Place(int(timestamp), str(stream), int(offset))
    except (ValueError, TypeError) as error:
        raise invalid("The specified nextToken is invalid.") from error


OPERATIONS: dict[str, Operation] = {"FilterLogEvents": filter_log_events}
