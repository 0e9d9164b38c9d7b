"""Endpoints through boto3: a real control plane, real server processes, real models."""

import base64
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from imclass.inference.predictor import load
from tests.sagemaker.control_plane.hosting.endpoints import (
    PNG,
    ask,
    container,
    create_config,
    create_endpoint,
    create_model,
    processes_of,
    variant,
    wait_for_processes,
    wait_for_status,
    wait_until,
    wait_until_gone,
    write_models,
)
from tests.sagemaker.control_plane.server import IMAGE, ROLE, Server, control_plane

pytestmark = pytest.mark.timeout(900)  # several processes that import PyTorch, on perhaps two cores

ARN = "arn:aws:sagemaker:us-east-1:000000000000"
CAPTURE = {
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://nowhere/captured",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("plane")
    write_models(data)
    with control_plane(data, AWS_SECRET_ACCESS_KEY="the-server's-own") as running:
        yield running
    assert processes_of(running) == []


@pytest.fixture(scope="module")
def digits(sagemaker: Any) -> dict[str, Any]:
    """The description of an endpoint that was made as the notebooks do."""
    create_model(sagemaker, "Digits", Environment={"MINE": "yes"})
    create_config(sagemaker, "digits-config", variant("Digits"))
    sagemaker.create_endpoint(EndpointName="digits", EndpointConfigName="digits-config")
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName="digits", WaiterConfig={"Delay": 0.1, "MaxAttempts": 2400})
    description: dict[str, Any] = sagemaker.describe_endpoint(EndpointName="digits")
    return description


def test_the_description_tells_what_answers(digits: dict[str, Any]) -> None:
    assert digits["EndpointArn"] == f"{ARN}:endpoint/digits"
    assert (digits["EndpointStatus"], digits["EndpointConfigName"]) == ("InService", "digits-config")
    (summary,) = digits["ProductionVariants"]
    (image,) = summary.pop("DeployedImages")
    assert image["SpecifiedImage"] == IMAGE
    assert summary == {
        "VariantName": "AllTraffic",
        "CurrentWeight": 1.0,
        "DesiredWeight": 1.0,
        "CurrentInstanceCount": 1,
        "DesiredInstanceCount": 1,
    }
    assert "FailureReason" not in digits


def test_the_answer_is_the_model_s(server: Server, runtime: Any, digits: dict[str, Any]) -> None:
    name, probabilities = ask(runtime, "digits")
    expected = load(server.data / "s3/bucket/models/three/model.tar.gz").predict([PNG])[0].tolist()
    assert name == "AllTraffic"
    assert probabilities == pytest.approx(expected, abs=1e-6)


def test_the_log_is_the_container_s_own(server: Server, digits: dict[str, Any]) -> None:
    logs = server.client("logs")
    group = "/aws/sagemaker/Endpoints/digits"
    stream = logs.describe_log_streams(logGroupName=group)["logStreams"][0]["logStreamName"]
    assert re.fullmatch(r"AllTraffic/i-[0-9a-f]{17}", stream)
    events = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
    assert events[0]["message"] == "Docker entrypoint called with argument(s): serve"
    assert any("listening on http://127.0.0.1:" in event["message"] for event in events)


def test_the_process_has_no_secret_of_the_server_s_and_serves_nobody_else(
    server: Server, digits: dict[str, Any]
) -> None:
    (process,) = processes_of(server, "digits")
    variables = Path(f"/proc/{process}/environ").read_bytes()
    assert b"MINE=yes" in variables
    assert b"the-server's-own" not in variables
    (token,) = server.data.glob("endpoints/digits/*/AllTraffic/instances/*/token")
    assert token.stat().st_mode & 0o077 == 0
    assert token.read_bytes() not in Path(f"/proc/{process}/cmdline").read_bytes()


def test_a_crashed_process_is_replaced(server: Server, sagemaker: Any, runtime: Any, digits: dict[str, Any]) -> None:
    (process,) = processes_of(server, "digits")
    os.kill(process, signal.SIGKILL)
    ill = wait_until(sagemaker, "digits", lambda each: each["ProductionVariants"][0]["CurrentInstanceCount"] == 0)
    assert ill["EndpointStatus"] in ("InService", "OutOfService")
    wait_for_status(sagemaker, "digits", "OutOfService")
    with pytest.raises(runtime.exceptions.ServiceUnavailable, match="No instance of endpoint digits is healthy"):
        ask(runtime, "digits")
    wait_for_status(sagemaker, "digits", "InService")
    assert len(ask(runtime, "digits")[1]) == 3
    assert processes_of(server, "digits") != [process]


def test_requests_are_captured(server: Server, sagemaker: Any, runtime: Any) -> None:
    create_model(sagemaker, "captured")
    types = {"JsonContentTypes": ["application/json"]}
    capture = {
        **CAPTURE,
        "EnableCapture": True,
        "DestinationS3Uri": "s3://bucket/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": types,
    }
    create_config(sagemaker, "captured", variant("captured"), DataCaptureConfig=capture)
    description = create_endpoint(sagemaker, "captured", "captured")
    assert description["DataCaptureConfig"]["CaptureStatus"] == "Started"
    probabilities = ask(runtime, "captured")[1]
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        ask(runtime, "captured", ContentType="text/plain")
    assert caught.value.response["OriginalStatusCode"] == 415
    sagemaker.delete_endpoint(EndpointName="captured")
    wait_until_gone(sagemaker, "captured")
    (file,) = (server.data / "s3/bucket/captured/captured/AllTraffic").rglob("*.jsonl")
    (line,) = file.read_text().splitlines()  # what was refused is not captured
    data = json.loads(line)["captureData"]
    assert base64.b64decode(data["endpointInput"]["data"]) == PNG
    assert json.loads(data["endpointOutput"]["data"]) == probabilities


def test_lists(sagemaker: Any, digits: dict[str, Any]) -> None:
    (model,) = sagemaker.list_models(NameContains="digits", SortBy="Name")["Models"]
    assert (model["ModelName"], model["ModelArn"]) == ("Digits", f"{ARN}:model/digits")
    (config,) = sagemaker.list_endpoint_configs(NameContains="digits")["EndpointConfigs"]
    assert config["EndpointConfigArn"] == f"{ARN}:endpoint-config/digits-config"
    (endpoint,) = sagemaker.list_endpoints(NameContains="digits", StatusEquals="InService")["Endpoints"]
    assert endpoint["CreationTime"] == digits["CreationTime"]
    assert sagemaker.list_endpoints(StatusEquals="Failed", NameContains="digits")["Endpoints"] == []


def test_descriptions_of_what_an_endpoint_is_made_of(sagemaker: Any, digits: dict[str, Any]) -> None:
    model = sagemaker.describe_model(ModelName="Digits")
    assert model["PrimaryContainer"] == container(Environment={"MINE": "yes"})
    assert (model["ExecutionRoleArn"], model["EnableNetworkIsolation"]) == (ROLE, False)
    config = sagemaker.describe_endpoint_config(EndpointConfigName="digits-config")
    assert config["ProductionVariants"] == [variant("Digits", InitialVariantWeight=1.0)]


def test_tags(sagemaker: Any, digits: dict[str, Any]) -> None:
    for kind, name in (("model", "digits"), ("endpoint-config", "digits-config"), ("endpoint", "digits")):
        arn = f"{ARN}:{kind}/{name}"
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": kind}])
        assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": kind}]


def test_names_are_taken(sagemaker: Any, digits: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match=f'Cannot create already existing model "{ARN}:model/digits"'):
        create_model(sagemaker, "Digits")
    with pytest.raises(ClientError, match="Cannot create already existing endpoint configuration"):
        create_config(sagemaker, "digits-config", variant("Digits"))
    with pytest.raises(ClientError, match=f'Cannot create already existing endpoint "{ARN}:endpoint/digits"'):
        sagemaker.create_endpoint(EndpointName="digits", EndpointConfigName="digits-config")


def test_what_does_not_exist(sagemaker: Any) -> None:
    for call, kind, members in (
        ("describe_model", "model", {"ModelName": "No"}),
        ("delete_model", "model", {"ModelName": "No"}),
        ("describe_endpoint_config", "endpoint configuration", {"EndpointConfigName": "No"}),
        ("delete_endpoint_config", "endpoint configuration", {"EndpointConfigName": "No"}),
        ("describe_endpoint", "endpoint", {"EndpointName": "No"}),
        ("delete_endpoint", "endpoint", {"EndpointName": "No"}),
        ("create_endpoint", "endpoint configuration", {"EndpointName": "x", "EndpointConfigName": "No"}),
    ):
        arn = f"{ARN}:{kind.replace('uration', '').replace(' ', '-')}/no"
        with pytest.raises(ClientError, match="ValidationException") as caught:
            getattr(sagemaker, call)(**members)
        assert caught.value.response["Error"]["Message"] == f'Could not find {kind} "{arn}".'
    with pytest.raises(ClientError, match='Could not find model "'):
        create_config(sagemaker, "of-nothing", variant("No"))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"Image": "a.b/xgboost:1"},
            "does not run 'a.b/xgboost:1', only images of the repository image-classification",
        ),
        ({"ModelDataUrl": "s3://bucket/nowhere.tar.gz"}, "Could not find model data at s3://bucket/nowhere.tar.gz."),
        ({"ModelDataUrl": "s3://bucket/../x"}, "Could not find model data at s3://bucket/../x."),
        ({"ModelDataUrl": "https://bucket/x"}, "The model data: "),
        ({"Mode": "MultiModel"}, "Mode must be SingleModel"),
        ({"Environment": {"LD_PRELOAD": "x.so", "PATH": "/"}}, "Environment must not hold LD_PRELOAD, PATH"),
        ({"ModelDataUrl": None}, "The container must have a ModelDataUrl"),
    ],
)
def test_models_that_are_refused(sagemaker: Any, members: dict[str, Any], message: str) -> None:
    given = {name: value for name, value in container(**members).items() if value is not None}
    with pytest.raises(ClientError, match="ValidationException") as caught:
        sagemaker.create_model(ModelName="refused", ExecutionRoleArn=ROLE, PrimaryContainer=given)
    assert message in caught.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("variants", "members", "message"),
    [
        ([variant("Digits"), variant("Digits")], {}, "'AllTraffic' is given twice"),
        ([variant("Digits", InitialVariantWeight=0)], {}, "must have an InitialVariantWeight above 0"),
        ([{"VariantName": "v"}], {}, "must have ModelName. The variant 'v' must have InitialInstanceCount"),
        ([variant("Digits", count=65)], {}, "The limit of instances of an endpoint is 64"),
        ([variant("Digits")], {"DataCaptureConfig": CAPTURE}, "the bucket nowhere does not exist"),
        (
            [variant("Digits", ServerlessConfig={"MemorySizeInMB": 1024, "MaxConcurrency": 1})],
            {"AsyncInferenceConfig": {"OutputConfig": {}}},
            "AsyncInferenceConfig is not supported. The variant 'AllTraffic' has a ServerlessConfig",
        ),
    ],
)
def test_configurations_that_are_refused(
    sagemaker: Any, digits: dict[str, Any], variants: list[dict[str, Any]], members: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError) as caught:
        create_config(sagemaker, "refused", *variants, **members)
    assert message in caught.value.response["Error"]["Message"]


def test_a_bad_archive_is_told(server: Server, sagemaker: Any) -> None:
    (server.data / "s3/bucket/models/bad.tar.gz").write_bytes(b"not an archive")
    create_model(sagemaker, "bad", ModelDataUrl="s3://bucket/models/bad.tar.gz")
    create_config(sagemaker, "bad", variant("bad"))
    sagemaker.create_endpoint(EndpointName="bad", EndpointConfigName="bad")
    failed = wait_for_status(sagemaker, "bad", "Failed")
    assert failed["FailureReason"].startswith("Failed to download model data for the container")
    assert "not a gzip file" in failed["FailureReason"]
    sagemaker.delete_endpoint(EndpointName="bad")
    wait_until_gone(sagemaker, "bad")


def test_an_archive_without_a_model_is_told(server: Server, sagemaker: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    archive = server.data / "s3/bucket/models/empty.tar.gz"
    subprocess.run(["tar", "-czf", archive, "-C", tmp_path, "notes.txt"], check=True)
    create_model(sagemaker, "empty", ModelDataUrl="s3://bucket/models/empty.tar.gz")
    create_config(sagemaker, "empty", variant("empty"))
    sagemaker.create_endpoint(EndpointName="empty", EndpointConfigName="empty")
    failed = wait_for_status(sagemaker, "empty", "Failed")
    assert failed["FailureReason"].startswith(
        "The primary container for production variant AllTraffic did not pass the ping health check. Please check "
        "CloudWatch logs for this endpoint. It ended with status 2."
    )
    assert "there is no model.json in it" in failed["FailureReason"]
    logs = server.client("logs").describe_log_streams(logGroupName="/aws/sagemaker/Endpoints/empty")
    assert len(logs["logStreams"]) == 1
    assert processes_of(server, "empty") == []


def test_an_endpoint_outlives_its_configuration_and_its_model(server: Server, sagemaker: Any, runtime: Any) -> None:
    """In the order in which the SageMaker SDK deletes."""
    create_model(sagemaker, "brief")
    create_config(sagemaker, "brief", variant("brief", count=2))
    create_endpoint(sagemaker, "brief", "brief")
    assert len(processes_of(server, "brief")) == 2
    sagemaker.delete_model(ModelName="brief")
    sagemaker.delete_endpoint_config(EndpointConfigName="brief")
    assert len(ask(runtime, "brief")[1]) == 3
    os.kill(processes_of(server, "brief")[0], signal.SIGKILL)  # the next one finds its model too
    assert len(ask(runtime, "brief")[1]) == 3  # the other one answers meanwhile
    wait_until(sagemaker, "brief", lambda each: each["ProductionVariants"][0]["CurrentInstanceCount"] == 1)
    wait_until(sagemaker, "brief", lambda each: each["ProductionVariants"][0]["CurrentInstanceCount"] == 2)
    sagemaker.delete_endpoint(EndpointName="brief")
    wait_until_gone(sagemaker, "brief")
    wait_for_processes(server, "brief", 0)
    assert not (server.data / "endpoints/brief").exists()
    with pytest.raises(ClientError, match="Endpoint brief of account 000000000000 not found"):
        ask(runtime, "brief")


def test_a_deleted_name_is_free_again(server: Server, sagemaker: Any, digits: dict[str, Any]) -> None:
    create_endpoint(sagemaker, "again", "digits-config")
    sagemaker.delete_endpoint(EndpointName="again")
    wait_until_gone(sagemaker, "again")
    sagemaker.create_endpoint(EndpointName="again", EndpointConfigName="digits-config")
    sagemaker.delete_endpoint(EndpointName="again")  # while it is being created
    wait_until_gone(sagemaker, "again")
    wait_for_processes(server, "again", 0)
