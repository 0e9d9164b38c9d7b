"""CloudWatch Logs' operations, on what jobs print.

A page of events holds up to 10,000 of them, or 1 MiB. The tokens of a page name offsets in the file of the stream:
`f/OFFSET` for what follows it, `b/OFFSET` for what comes before. At the end of a stream the forward token stays the
same, by which clients know it.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from imclass.sagemaker.control_plane.api_errors import ApiError
from imclass.sagemaker.control_plane.log_files import Event, read_events
from imclass.sagemaker.control_plane.plane import Operation, Plane, Values

MOST_EVENTS = 10_000
MOST_BYTES = 1 << 20
EVENT_BYTES = 26
"""What an event counts beyond its message, as AWS has it."""
TOKEN = re.compile(r"([fb])/(\d{1,18})")
DEFAULT_STREAMS = 50


def describe_log_groups(plane: Plane, request: Values) -> Values:
    """The groups that have streams."""
    prefix = request.get("logGroupNamePrefix", "")
    groups = [group for group in plane.logs.groups() if group.startswith(prefix)]
    return {"logGroups": [{"logGroupName": name, "arn": plane.account.log_group_arn(name)} for name in groups]}


def describe_log_streams(plane: Plane, request: Values) -> Values:
    """The streams of a group, by name; without a token for more, after which the SageMaker SDK would ask forever."""
    group = _group(request)
    if not plane.logs.has_group(group):
        raise _missing("log group")
    names = plane.logs.streams(group, request.get("logStreamNamePrefix", ""))
    if request.get("descending"):
        names.reverse()
    return {"logStreams": [_stream(plane, group, name) for name in names[: request.get("limit", DEFAULT_STREAMS)]]}


def get_log_events(plane: Plane, request: Values) -> Values:
    """One page of a stream, whose events are in the order in which they came."""
    file = plane.logs.file(_group(request), request["logStreamName"])
    if file is None or not file.exists():
        raise _missing("log stream")
    limit = request.get("limit", MOST_EVENTS)
    direction, offset = _place(request, file)
    if direction == "f":
        wanted = _in_time(read_events(file, offset), request)
        events = list(_first(wanted, limit))
    else:
        events = _last(_in_time(read_events(file, 0, offset), request), limit)
    begin, end = (events[0].offset, events[-1].end) if events else (offset, offset)
    return {
        "events": [
            {"timestamp": event.timestamp, "message": event.message, "ingestionTime": event.timestamp}
            for event in events
        ],
        "nextForwardToken": f"f/{end}",
        "nextBackwardToken": f"b/{begin}",
    }


def _place(request: Values, file: Path) -> tuple[str, int]:
    """Direction and offset at which a page begins."""
    token = request.get("nextToken")
    if token is None:
        return ("f", 0) if request.get("startFromHead") else ("b", file.stat().st_size)
    found = TOKEN.fullmatch(token)
    if found is None or not _is_between_events(file, int(found[2])):
        raise ApiError("InvalidParameterException", "The specified nextToken is invalid.")
    return found[1], int(found[2])


def _is_between_events(file: Path, offset: int) -> bool:
    if offset == 0:
        return True
    with file.open("rb") as stream:
        stream.seek(offset - 1)
        return stream.read(1) == b"\n"


def _in_time(events: Iterable[Event], request: Values) -> Iterator[Event]:
    start, end = request.get("startTime", 0), request.get("endTime")
    for event in events:
        if end is not None and event.timestamp >= end:
            return
        if event.timestamp >= start:
            yield event


def _size(event: Event) -> int:
    return event.end - event.offset + EVENT_BYTES


def _first(events: Iterable[Event], limit: int) -> Iterator[Event]:
    size = 0
    for number, event in enumerate(events):
        size += _size(event)
        if number == limit or (number and size > MOST_BYTES):
            return
        yield event


def _last(events: Iterable[Event], limit: int) -> list[Event]:
    kept: deque[Event] = deque()
    size = 0
    for event in events:
        kept.append(event)
        size += _size(event)
        while len(kept) > limit or (len(kept) > 1 and size > MOST_BYTES):
            size -= _size(kept.popleft())
    return list(kept)


def _stream(plane: Plane, group: str, name: str) -> dict[str, object]:
    file = plane.logs.file(group, name)
    assert file is not None
    first = next(read_events(file), None)
    times = {} if first is None else {
        "creationTime": first.timestamp,
        "firstEventTimestamp": first.timestamp,
        "lastIngestionTime": round(file.stat().st_mtime * 1000),
    }  # fmt: skip
    return {"logStreamName": name, "arn": f"{plane.account.log_group_arn(group)}:log-stream:{name}", **times}


def _group(request: Values) -> str:
    """The name of the group, which may be given as its ARN."""
    text = str(request.get("logGroupName") or request.get("logGroupIdentifier") or "")
    return text.removesuffix(":*").rpartition(":log-group:")[2]


def _missing(what: str) -> ApiError:
    return ApiError("ResourceNotFoundException", f"The specified {what} does not exist.")


OPERATIONS: dict[str, Operation] = {
    "DescribeLogGroups": describe_log_groups,
    "DescribeLogStreams": describe_log_streams,
    "GetLogEvents": get_log_events,
}
