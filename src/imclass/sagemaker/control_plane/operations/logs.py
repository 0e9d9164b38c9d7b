"""CloudWatch Logs' operations, on what jobs print.

A page of events holds up to 10,000 of them, or 1 MiB. The tokens of a page name offsets in the file of the stream:
`f/OFFSET` for what follows it, `b/OFFSET` for what comes before. At the end of a stream the forward token stays the
same, by which clients know it.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from imclass.sagemaker.control_plane.api.errors import ApiError
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane, Values
from imclass.sagemaker.control_plane.store.log_files import Event, read_events

MOST_EVENTS = 10_000
MOST_BYTES = 1 << 20
EVENT_BYTES = 26
"""What an event counts beyond its message, as AWS has it."""
TOKEN = re.compile(r"([fb])/(\d{1,18})")
DEFAULT_GROUPS = DEFAULT_STREAMS = 50


def describe_log_groups(plane: Plane, request: Values) -> Values:
    """The groups that have streams, by name."""
    prefix, part = request.get("logGroupNamePrefix", ""), request.get("logGroupNamePattern", "").lower()
    if prefix and part:
        raise invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
    after = request.get("nextToken", "")
    groups = [
        group for group in plane.logs.groups() if group.startswith(prefix) and part in group.lower() and group > after
    ]
    limit = request.get("limit", DEFAULT_GROUPS)
    more = {"nextToken": groups[limit - 1]} if len(groups) > limit else {}
    return {"logGroups": [_described_group(plane, name) for name in groups[:limit]], **more}


def _described_group(plane: Plane, name: str) -> dict[str, object]:
    arn = plane.account.log_group_arn(name)
    return {"logGroupName": name, "arn": f"{arn}:*", "logGroupArn": arn, "metricFilterCount": 0}


def describe_log_streams(plane: Plane, request: Values) -> Values:
    """The streams of a group, by name, or by the time of the last event.

    Of the streams of one job, whose prefix is `JOB/`, there is no second page: the SageMaker SDK would ask for it for
    ever, without sending the token.
    """
    group, prefix = group_of(request), request.get("logStreamNamePrefix", "")
    if not plane.logs.has_group(group):
        raise missing("log group")
    names = plane.logs.streams(group, prefix)
    if request.get("orderBy") == "LastEventTime":
        if prefix:
            raise invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
        names.sort(key=lambda name: _modified(plane, group, name))
    if request.get("descending"):
        names.reverse()
    start, limit = _start(request), request.get("limit", DEFAULT_STREAMS)
    more = {"nextToken": str(start + limit)} if len(names) > start + limit and not prefix.endswith("/") else {}
    return {"logStreams": [_stream(plane, group, name) for name in names[start : start + limit]], **more}


def _start(request: Values) -> int:
    token = str(request.get("nextToken", "0"))
    if not (token.isascii() and token.isdecimal() and len(token) < 10):
        raise invalid("The specified nextToken is invalid.")
    return int(token)


def _modified(plane: Plane, group: str, name: str) -> float:
    file = plane.logs.file(group, name)
    assert file is not None
    return file.stat().st_mtime


def get_log_events(plane: Plane, request: Values) -> Values:
    """One page of a stream, whose events are in the order in which they came."""
    file = plane.logs.file(group_of(request), request["logStreamName"])
    if file is None or not file.exists():
        raise missing("log stream")
    limit = request.get("limit", MOST_EVENTS)
    direction, offset = _place(request, file)
    if direction == "f":
        wanted = in_time(read_events(file, offset), request)
        events = list(_first(wanted, limit))
    else:
        events = _last(in_time(read_events(file, 0, offset), request), limit)
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
        raise invalid("The specified nextToken is invalid.")
    return found[1], int(found[2])


def _is_between_events(file: Path, offset: int) -> bool:
    if offset == 0:
        return True
    with file.open("rb") as stream:
        stream.seek(offset - 1)
        return stream.read(1) == b"\n"


def in_time(events: Iterable[Event], request: Values) -> Iterator[Event]:
    start, end = request.get("startTime", 0), request.get("endTime")
    for event in events:
        if end is not None and event.timestamp >= end:
            return
        if event.timestamp >= start:
            yield event


def event_size(event: Event) -> int:
    return event.end - event.offset + EVENT_BYTES


def _first(events: Iterable[Event], limit: int) -> Iterator[Event]:
    size = 0
    for number, event in enumerate(events):
        size += event_size(event)
        if number == limit or (number and size > MOST_BYTES):
            return
        yield event


def _last(events: Iterable[Event], limit: int) -> list[Event]:
    kept: deque[Event] = deque()
    size = 0
    for event in events:
        kept.append(event)
        size += event_size(event)
        while len(kept) > limit or (len(kept) > 1 and size > MOST_BYTES):
            size -= event_size(kept.popleft())
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


def group_of(request: Values) -> str:
    """The name of the group, which may be given as its ARN."""
    text = str(request.get("logGroupName") or request.get("logGroupIdentifier") or "")
    return text.removesuffix(":*").rpartition(":log-group:")[2]


def invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)


def missing(what: str) -> ApiError:
    return ApiError("ResourceNotFoundException", f"The specified {what} does not exist.")


OPERATIONS: dict[str, Operation] = {
    "DescribeLogGroups": describe_log_groups,
    "DescribeLogStreams": describe_log_streams,
    "GetLogEvents": get_log_events,
}
