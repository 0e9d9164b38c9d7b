"""CloudWatch's metrics of training jobs, in JSON as boto3 asks, and as a form as older clients do."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore import xform_name
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from imclass.sagemaker.control_plane.api.service_models import service_model
from imclass.sagemaker.control_plane.store.log_files import LogFolder, LogWriter
from imclass.sagemaker.control_plane.training.metrics import final_metrics, host_logs
from tests.sagemaker.control_plane.server import GROUP, Server, control_plane

START = 1_700_000_040  # begins a minute
VALUES = (0.25, 0.5, 0.75)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def write_job(data: Path) -> None:
    """A job of two attempts with an epoch each 40 seconds, as it is in the log."""
    folder = data / f"logs{GROUP}/job-1"
    folder.mkdir(parents=True)
    lines = [
        f"{(START + 40 * number) * 1000} [11/14/2023 INFO] Epoch[{number}] Validation-accuracy={value}\n"
        f"{(START + 40 * number) * 1000} [11/14/2023 INFO] Epoch[{number}] Train-accuracy={value / 2}\n"
        for number, value in enumerate(VALUES)
    ]
    (folder / "algo-1-1700000001.log").write_text("".join(lines[:2]))
    (folder / "algo-1-1700000090.log").write_text(lines[2])
    (folder / "algo-2-1700000001.log").write_text(lines[0].replace("0.25", "0.125"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("plane")
    write_job(data)
    with control_plane(data) as running:
        yield running


@pytest.fixture(scope="module")
def cloudwatch(server: Server) -> Any:
    return server.client("cloudwatch")


def query(stat: str = "Average", period: int = 60, **members: Any) -> dict[str, Any]:
    metric = {
        "Namespace": GROUP,
        "MetricName": "validation:accuracy",
        "Dimensions": [{"Name": "TrainingJobName", "Value": "job-1"}],
        **members,
    }
    return {"Id": "q1", "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}


def request(*queries: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"MetricDataQueries": list(queries), "StartTime": at(START - 60), "EndTime": at(START + 600), **members}


@pytest.mark.parametrize(
    ("stat", "period", "expected"),
    [
        ("Average", 60, [0.375, 0.75]),
        ("Maximum", 60, [0.5, 0.75]),
        ("Minimum", 60, [0.25, 0.75]),
        ("SampleCount", 60, [2.0, 1.0]),
        ("Sum", 600, [1.5]),
        ("Average", 1, list(VALUES)),
    ],
)
def test_statistics_of_periods(cloudwatch: Any, stat: str, period: int, expected: list[float]) -> None:
    (result,) = cloudwatch.get_metric_data(**request(query(stat, period), ScanBy="TimestampAscending"))[
        "MetricDataResults"
    ]
    assert (result["Id"], result["Label"], result["StatusCode"]) == ("q1", "validation:accuracy", "Complete")
    assert result["Values"] == expected
    assert result["Timestamps"][0] == at(START // period * period)


def test_newest_first_unless_asked_otherwise(cloudwatch: Any) -> None:
    (result,) = cloudwatch.get_metric_data(**request(query(period=1)))["MetricDataResults"]
    assert result["Values"] == list(VALUES[::-1])


def test_hosts_times_and_metrics_of_nobody(cloudwatch: Any) -> None:
    found = cloudwatch.get_metric_data(
        **request(
            {**query(period=1, Dimensions=[{"Name": "Host", "Value": "job-1/algo-2"}]), "Id": "host", "Label": "mine"},
            {**query(MetricName="train:accuracy", period=1), "Id": "train"},
            {**query(Dimensions=[{"Name": "Host", "Value": "job-2/algo-1"}]), "Id": "nobody"},
            {**query(Namespace="AWS/EC2"), "Id": "other"},
            {**query(), "Id": "hidden", "ReturnData": False},
            EndTime=at(START + 80),
        )
    )["MetricDataResults"]
    assert [(each["Id"], each["Label"], each["Values"]) for each in found] == [
        ("host", "mine", [0.125]),
        ("train", "train:accuracy", [0.25, 0.125]),
        ("nobody", "validation:accuracy", []),
        ("other", "validation:accuracy", []),
    ]


@pytest.mark.parametrize(
    "wrong", [{"Id": "e", "Expression": "q1 * 2"}, query("p99"), query("Median")], ids=["expression", "p99", "Median"]
)
def test_what_is_not_offered(cloudwatch: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        cloudwatch.get_metric_data(**request(wrong))


def statistics() -> dict[str, Any]:
    """What the SageMaker SDK's TrainingJobAnalytics asks for."""
    return {
        "Namespace": GROUP,
        "MetricName": "train:accuracy",
        "Dimensions": [{"Name": "TrainingJobName", "Value": "job-1"}],
        "StartTime": at(START - 60),
        "EndTime": at(START + 600),
        "Period": 60,
        "Statistics": ["Average", "Maximum"],
    }


def test_statistics_as_the_sdk_asks_for_them(cloudwatch: Any) -> None:
    found = cloudwatch.get_metric_statistics(**statistics())
    assert found["Label"] == "train:accuracy"
    assert [(point["Timestamp"], point["Average"], point["Maximum"]) for point in found["Datapoints"]] == [
        (at(START), 0.1875, 0.25),
        (at(START + 60), 0.375, 0.375),
    ]


@pytest.mark.parametrize(
    ("operation", "asked"),
    [("GetMetricStatistics", statistics()), ("GetMetricData", request(query(period=1), ScanBy="TimestampAscending"))],
)
def test_forms_of_older_clients(server: Server, cloudwatch: Any, operation: str, asked: dict[str, Any]) -> None:
    model = service_model("cloudwatch").operation_model(operation)
    form = create_serializer("query").serialize_to_request(asked, model)["body"]
    sent = AWSRequest("POST", server.url, data=urlencode(form).encode())
    sent.headers["Content-Type"] = "application/x-www-form-urlencoded"
    response = URLLib3Session().send(sent.prepare())
    assert response.status_code == 200, response.content
    content = {"body": response.content, "headers": response.headers, "status_code": 200}
    parsed = create_parser("query").parse(content, model.output_shape)
    expected = getattr(cloudwatch, xform_name(operation))(**asked)
    for answer in (parsed, expected):
        answer.pop("ResponseMetadata")
    assert parsed == expected


@pytest.mark.parametrize(
    "form",
    ["MetricDataQueries=1", "MetricDataQueries.member.x.Id=a", "StartTime=yesterday", "StartTime.a=1&StartTime=2"],
)
def test_forms_that_are_none(server: Server, form: str) -> None:
    sent = AWSRequest("POST", server.url, data=f"Action=GetMetricData&Version=2010-08-01&{form}".encode())
    sent.headers["Content-Type"] = "application/x-www-form-urlencoded"
    response = URLLib3Session().send(sent.prepare())
    assert response.status_code == 400
    assert b"SerializationException" in response.content


def test_the_last_values_of_all_attempts(tmp_path: Path) -> None:
    write_job(tmp_path)
    found = final_metrics(host_logs(LogFolder(tmp_path / "logs"), "job-1"))
    assert [(each["MetricName"], each["Value"]) for each in found] == [
        ("train:accuracy", 0.375),
        ("validation:accuracy", 0.75),
    ]


def test_lines_without_text_are_events(tmp_path: Path) -> None:
    with LogWriter(tmp_path / "x.log") as log:
        log.write(b"\n")
    assert (tmp_path / "x.log").read_bytes().endswith(b"  \n")
