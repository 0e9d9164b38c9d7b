"""Everything but training: each service through boto3, and requests that no client of ours would send."""

import hashlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from imclass.sagemaker.control_plane.api.service_models import service_model
from imclass.sagemaker.control_plane.api.validation import expression
from imclass.sagemaker.control_plane.application import LARGEST_BODY, OPERATIONS
from imclass.sagemaker.control_plane.store.log_files import LogWriter
from tests.sagemaker.control_plane.server import GROUP, KEY, SECRET, Server, control_plane

STREAM = "job-1/algo-1-1795437330"
LINES = 25


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("plane")
    with LogWriter(data / f"logs{GROUP}/{STREAM}.log") as log:
        for number in range(LINES):
            log.write(b"line %d\tof \xc3\xa4 job\r\n" % number)
    secret = data / "secret.txt"
    secret.write_text(f"{SECRET}\n")
    with control_plane(data, "--access-key", KEY, "--secret-key-file", str(secret)) as running:
        yield running


def post(server: Server, body: bytes, **headers: str) -> tuple[int, bytes]:
    """Send a request that is not signed."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        connection.request("POST", "/", body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_the_caller_is_the_role(server: Server) -> None:
    identity = server.client("sts").get_caller_identity()
    assert identity["Account"] == "000000000000"
    assert identity["Arn"] == "arn:aws:sts::000000000000:assumed-role/imclass/SageMaker"
    role = server.client("iam").get_role(RoleName="imclass")["Role"]
    assert role["Arn"] == "arn:aws:iam::000000000000:role/imclass"
    assumed = server.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="notebook", DurationSeconds=900)
    assert assumed["AssumedRoleUser"]["Arn"].endswith(":assumed-role/imclass/notebook")


@pytest.mark.parametrize(
    ("service", "call", "code", "status"),
    [
        ("sagemaker", "list_training_jobs", "InvalidSignatureException", 400),
        ("logs", "describe_log_groups", "InvalidSignatureException", 400),
        ("sts", "get_caller_identity", "SignatureDoesNotMatch", 403),
    ],
)
def test_a_wrong_secret_is_refused(server: Server, service: str, call: str, code: str, status: int) -> None:
    client = server.client(service, secret="another-secret-of-somebody")
    with pytest.raises(ClientError, match=code) as caught:
        getattr(client, call)()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_signed_requests_of_s3(server: Server) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="photos")
    s3.put_object(Bucket="photos", Key="a b/ä.txt", Body=b"content", Metadata={"colour": "red"})
    found = s3.get_object(Bucket="photos", Key="a b/ä.txt")
    assert found["Body"].read() == b"content"
    assert found["ETag"] == f'"{hashlib.md5(b"content").hexdigest()}"'
    assert found["Metadata"] == {"colour": "red"}
    assert (server.data / "s3/photos/a b/ä.txt").read_bytes() == b"content"
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        server.client("s3", secret="another-secret-of-somebody").put_object(Bucket="photos", Key="x", Body=b"")
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        server.client("s3", key="AKIDANOTHER").list_buckets()


def test_requests_to_endpoints_are_signed(server: Server) -> None:
    asked = {"EndpointName": "none", "Body": bytes(range(256)), "ContentType": "image/png", "CustomAttributes": "a=b"}
    with pytest.raises(ClientError, match="Endpoint none of account 000000000000 not found"):
        server.client("sagemaker-runtime").invoke_endpoint(**asked)
    with pytest.raises(ClientError, match="InvalidSignatureException") as caught:
        server.client("sagemaker-runtime", secret="another-secret-of-somebody").invoke_endpoint(**asked)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_another_key_is_refused(server: Server) -> None:
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        server.client("sagemaker", key="AKIDANOTHER").list_training_jobs()


def test_a_request_without_signature_is_refused(server: Server) -> None:
    status, body = post(server, b"{}", X_Amz_Target="SageMaker.ListTrainingJobs")
    assert status == 400
    assert json.loads(body)["__type"] == "AccessDeniedException"


def test_the_secret_is_in_no_log(server: Server) -> None:
    assert SECRET not in (server.data / "server.log").read_text()


def test_an_operation_that_is_not_offered_names_those_that_are(server: Server) -> None:
    with pytest.raises(ClientError, match="UnknownOperationException") as caught:
        server.client("sagemaker").list_notebook_instances()
    message = caught.value.response["Error"]["Message"]
    assert "'ListNotebookInstances'" in message
    assert all(name in message for name in OPERATIONS["sagemaker"])
    with pytest.raises(ClientError, match="UnknownOperationException"):
        server.client("iam").list_users()


def test_a_body_without_end_is_not_read(server: Server) -> None:
    status, body = post(server, b"x" * (LARGEST_BODY + 1), X_Amz_Target="SageMaker.ListTrainingJobs")
    assert status == 413
    assert json.loads(body)["__type"] == "SerializationException"


def test_unknown_jobs_are_answered_as_aws_does(server: Server) -> None:
    sagemaker = server.client("sagemaker")
    for call in (sagemaker.describe_training_job, sagemaker.stop_training_job, sagemaker.delete_training_job):
        with pytest.raises(ClientError) as caught:
            call(TrainingJobName="nobody")
        assert caught.value.response["Error"]["Code"] == "ValidationException"
        assert caught.value.response["Error"]["Message"] == "Requested resource not found."
    assert sagemaker.list_training_jobs()["TrainingJobSummaries"] == []
    with pytest.raises(ClientError, match="NextToken is not one of this server's"):
        sagemaker.list_training_jobs(NextToken="bm9uZQ==")
    with pytest.raises(ClientError, match="ResourceNotFound"):
        sagemaker.list_tags(ResourceArn="arn:aws:sagemaker:us-east-1:000000000000:training-job/nobody")


def test_all_that_is_wrong_is_told_at_once(server: Server) -> None:
    sagemaker = server.client("sagemaker")
    with pytest.raises(ClientError, match="ValidationException") as caught:
        sagemaker.create_training_job(
            TrainingJobName="under_score",
            RoleArn="arn:aws:iam::000000000000:role/imclass",
            OutputDataConfig={"S3OutputPath": "ftp://bucket"},
        )
    assert caught.value.response["Error"]["Message"] == (
        "2 validation errors detected: Value 'under_score' at 'trainingJobName' failed to satisfy constraint: Member "
        "must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}; Value 'ftp://bucket' at "
        "'outputDataConfig.s3OutputPath' failed to satisfy constraint: Member must satisfy regular expression pattern: "
        "(https|s3)://([^/]+)/?(.*)"
    )


def test_streams_of_a_group(logs: Any) -> None:
    assert [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]] == [GROUP]
    for prefix, found in (("job-1/", [STREAM]), ("job-1/algo-2", []), ("job", [STREAM]), ("../", [])):
        streams = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=prefix)["logStreams"]
        assert [stream["logStreamName"] for stream in streams] == found
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.describe_log_streams(logGroupName="/aws/sagemaker/TransformJobs")


def test_pages_of_events_from_the_head(logs: Any) -> None:
    texts, token, pages = [], {}, 0
    while True:
        page = logs.get_log_events(logGroupName=GROUP, logStreamName=STREAM, startFromHead=True, limit=10, **token)
        if not page["events"]:
            break
        texts += [event["message"] for event in page["events"]]
        token, pages = {"nextToken": page["nextForwardToken"]}, pages + 1
    assert pages == 3
    assert texts == [f"line {number}#011of ä job" for number in range(LINES)]
    assert page["nextForwardToken"] == token["nextToken"]


def test_pages_of_events_from_the_tail(logs: Any) -> None:
    page = logs.get_log_events(logGroupName=GROUP, logStreamName=STREAM, limit=10)
    assert [event["message"].split("#")[0] for event in page["events"]] == [f"line {n}" for n in range(15, 25)]
    before = logs.get_log_events(
        logGroupName=GROUP, logStreamName=STREAM, limit=10, nextToken=page["nextBackwardToken"]
    )
    assert [event["message"].split("#")[0] for event in before["events"]] == [f"line {n}" for n in range(5, 15)]
    times = [event["timestamp"] for event in before["events"] + page["events"]]
    assert times == sorted(times)
    late = logs.get_log_events(logGroupName=GROUP, logStreamName=STREAM, startFromHead=True, startTime=times[-1] + 1000)
    assert late["events"] == []


@pytest.mark.parametrize("stream", ["job-1/algo-1-1", "../../state", "job-1", "/etc/passwd", "job-1/../job-1/x"])
def test_streams_that_do_not_exist(logs: Any, stream: str) -> None:
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log stream does not exist"):
        logs.get_log_events(logGroupName=GROUP, logStreamName=stream)


@pytest.mark.parametrize("token", ["f/7", "f/99999999", "x"])
def test_tokens_of_nobody(logs: Any, token: str) -> None:
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.get_log_events(logGroupName=GROUP, logStreamName=STREAM, nextToken=token)


def test_one_data_folder_has_one_server(server: Server) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "imclass", "control-plane", "--port", "0", "--data", str(server.data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 2
    assert "another control plane uses this data folder" in second.stderr


def test_a_public_address_needs_credentials(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "imclass", "control-plane", "--port", "0", "--host", "0.0.0.0", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 2
    assert "anyone there could run jobs" in refused.stderr


def test_the_model_of_each_service_has_its_operations_and_expressions() -> None:
    for service, operations in OPERATIONS.items():
        model = service_model(service)
        for name in operations:
            shape = model.operation_model(name).input_shape
            waiting, seen = [shape] if shape else [], set()
            while waiting:
                each = waiting.pop()
                if each.name in seen:
                    continue
                seen.add(each.name)
                if pattern := each.metadata.get("pattern"):
                    expression(pattern)
                waiting += getattr(each, "members", {}).values()
                waiting += [getattr(each, part) for part in ("member", "key", "value") if hasattr(each, part)]
