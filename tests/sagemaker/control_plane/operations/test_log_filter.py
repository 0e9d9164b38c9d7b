"""Searching logs: patterns, and pages over several streams."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from imclass.sagemaker.control_plane.api.errors import ApiError
from imclass.sagemaker.control_plane.operations.log_filter import parse_pattern
from tests.sagemaker.control_plane.server import GROUP, Server, control_plane

OTHER = "/aws/sagemaker/Endpoints/mine"


def write_stream(data: Path, group: str, stream: str, *events: tuple[int, str]) -> None:
    file = data / f"logs{group}/{stream}.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{time} {message}\n" for time, message in events))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("plane")
    for host in (1, 2, 3):
        events = [(1000 + 10 * number, f"host {host} step {number}") for number in range(20)]
        write_stream(data, GROUP, f"job-1/algo-{host}-170000000{host}", *events)
    write_stream(data, GROUP, "job-2/algo-1-1700000009", (1005, "ERROR: loss is nan"), (1015, ""))
    write_stream(data, OTHER, "AllTraffic/i-1", (5, "up"))
    with control_plane(data) as running:
        yield running


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        ("", ["ERROR loss is nan", "WARN loss rises", "all is well"]),
        ("loss", ["ERROR loss is nan", "WARN loss rises"]),
        ("loss ERROR", ["ERROR loss is nan"]),
        ('"is nan"', ["ERROR loss is nan"]),
        ("loss -ERROR", ["WARN loss rises"]),
        ("?ERROR ?WARN", ["ERROR loss is nan", "WARN loss rises"]),
        ("error", []),
        (r"%(nan|well)$%", ["ERROR loss is nan", "all is well"]),
        (r'"a \"b\""', []),
    ],
)
def test_patterns(pattern: str, matching: list[str]) -> None:
    matches = parse_pattern(pattern)
    assert [line for line in ("ERROR loss is nan", "WARN loss rises", "all is well") if matches(line)] == matching


@pytest.mark.parametrize("pattern", ["{ $.a = 1 }", "[a, b]", '"open', "%(%", "%open"])
def test_patterns_that_are_not_offered(pattern: str) -> None:
    with pytest.raises(ApiError, match="InvalidParameterException"):
        parse_pattern(pattern)


def test_pages_of_all_streams_in_the_order_of_time(logs: Any) -> None:
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=GROUP, logStreamNamePrefix="job-1/", PaginationConfig={"PageSize": 7}
    )
    sizes, events = [], []
    for page in pages:
        sizes.append(len(page["events"]))
        events += page["events"]
    assert sizes == [7] * 8 + [4]
    assert [event["message"] for event in events] == [
        f"host {host} step {number}" for number in range(20) for host in (1, 2, 3)
    ]
    assert len({event["eventId"] for event in events}) == 60


def test_time_pattern_and_names(logs: Any) -> None:
    found = logs.filter_log_events(
        logGroupName=GROUP,
        logStreamNames=["job-1/algo-2-1700000002", "job-2/algo-1-1700000009"],
        startTime=1005,
        endTime=1020,
        filterPattern="?step ?nan",
    )
    assert [(event["timestamp"], event["message"]) for event in found["events"]] == [
        (1005, "ERROR: loss is nan"),
        (1010, "host 2 step 1"),
    ]
    assert "nextToken" not in found


def test_what_cannot_be_searched(logs: Any) -> None:
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log group"):
        logs.filter_log_events(logGroupName="/aws/sagemaker/TransformJobs")
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log stream"):
        logs.filter_log_events(logGroupName=GROUP, logStreamNames=["job-9/algo-1-1"])
    for wrong in (
        {"logStreamNames": ["a"], "logStreamNamePrefix": "a"},
        {"nextToken": "bm9uZQ=="},
        {"filterPattern": "{ $.a = 1 }"},
    ):
        with pytest.raises(ClientError, match="InvalidParameterException"):
            logs.filter_log_events(logGroupName=GROUP, **wrong)


def test_groups_in_pages(logs: Any) -> None:
    pages = logs.get_paginator("describe_log_groups").paginate(PaginationConfig={"PageSize": 1})
    assert [group["logGroupName"] for page in pages for group in page["logGroups"]] == [OTHER, GROUP]
    for asked, expected in (
        ({"logGroupNamePrefix": "/aws/sagemaker/T"}, [GROUP]),
        ({"logGroupNamePattern": "ENDPOINTS"}, [OTHER]),
        ({"logGroupNamePattern": "lambda"}, []),
    ):
        assert [group["logGroupName"] for group in logs.describe_log_groups(**asked)["logGroups"]] == expected


def test_streams_in_pages_and_by_time(logs: Any) -> None:
    pages = logs.get_paginator("describe_log_streams").paginate(logGroupName=GROUP, PaginationConfig={"PageSize": 3})
    names = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
    assert names == sorted(names)
    assert len(names) == 4
    newest = logs.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", descending=True, limit=1)
    assert newest["logStreams"][0]["logStreamName"] == "job-2/algo-1-1700000009"
    one = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="job-1/", limit=1)
    assert "nextToken" not in one, "the SageMaker SDK would ask for ever"
    with pytest.raises(ClientError, match="InvalidParameterException"):
        logs.describe_log_streams(logGroupName=GROUP, nextToken="x")
