"""The errors of SageMaker that its users know, one row each: the call through boto3 against a real server that wants
signatures, and the code, HTTP status and words that come back.

The rows are those of the fact sheet's table of errors, gathered from AWS's public tracebacks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

from imclass.sagemaker.control_plane.api.sessions import Sessions
from tests.sagemaker.control_plane.hosting.endpoints import (
    container,
    create_config,
    create_model,
    variant,
    wait_for_status,
)
from tests.sagemaker.control_plane.server import (
    KEY,
    ROLE,
    SECRET,
    Server,
    channel,
    control_plane,
    job,
    wait_for_end,
    write_bucket,
)
from tests.sagemaker.control_plane.transform.requests import transform
from tests.sagemaker.control_plane.tuning.requests import tuning_job
from tests.sagemaker.job_folder import HYPERPARAMETERS

pytestmark = pytest.mark.timeout(600)  # a process that imports PyTorch, on perhaps two cores

ARN = "arn:aws:sagemaker:us-east-1:000000000000"
NAME, NOBODY = "Taken", "Nobody"
NO_IMAGES = "s3://bucket/nowhere/"
NO_OBJECTS = (
    f'No S3 objects found under S3 URL "{NO_IMAGES}" given in input data source. Please ensure that the bucket exists '
    "in the selected region (us-east-1), that objects exist under that S3 prefix, and that the role "
    f'"{ROLE}" has "s3:ListBucket" permissions on bucket "bucket".'
)
NO_RESOURCE = "Requested resource not found."
NO_TUNING_JOB = f"Amazon SageMaker can't find a tuning job called {NOBODY}. Type another name."
NAME_PATTERN = "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"


@dataclass(frozen=True)
class Row:
    """A call that is refused.

    Attributes:
        case: what is wrong.
        call: the method of boto3's client of SageMaker.
        code, message: of the answer, whose HTTP status is 400.
    """

    case: str
    call: str
    members: dict[str, Any]
    code: str
    message: str


def unknown(kind: str, *calls: tuple[str, dict[str, Any]]) -> list[Row]:
    """Calls for a model, a configuration or an endpoint that there is not."""
    arn = f"{ARN}:{kind.replace('endpoint configuration', 'endpoint-config')}/{NOBODY.lower()}"
    return [
        Row(f"unknown {kind}", call, members, "ValidationException", f'Could not find {kind} "{arn}".')
        for call, members in calls
    ]


def named(member: str) -> dict[str, str]:
    return {member: NOBODY}


def without(request: dict[str, Any], member: str) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name != member}


def tuning_without_data() -> dict[str, Any]:
    request = tuning_job("other")
    request["TrainingJobDefinition"]["InputDataConfig"] = [channel("train", NO_IMAGES), channel("validation")]
    return request


ROWS = [
    *(
        Row("unknown training job", call, named("TrainingJobName"), "ValidationException", NO_RESOURCE)
        for call in ("describe_training_job", "stop_training_job", "delete_training_job")
    ),
    *(
        Row("unknown transform job", call, named("TransformJobName"), "ValidationException", NO_RESOURCE)
        for call in ("describe_transform_job", "stop_transform_job")
    ),
    Row(
        "duplicate training job", "create_training_job", job(NAME), "ResourceInUse",
        "Training job names must be unique within an AWS account and region, and a training job with this name already "
        f"exists ({ARN}:training-job/taken)",
    ),
    Row(
        "duplicate model", "create_model",
        {"ModelName": NAME, "ExecutionRoleArn": ROLE, "PrimaryContainer": container("broken")},
        "ValidationException", f'Cannot create already existing model "{ARN}:model/taken".',
    ),
    Row(
        "duplicate endpoint configuration", "create_endpoint_config",
        {"EndpointConfigName": NAME, "ProductionVariants": [variant(NAME)]},
        "ValidationException", f'Cannot create already existing endpoint configuration "{ARN}:endpoint-config/taken".',
    ),
    Row(
        "duplicate endpoint", "create_endpoint", {"EndpointName": NAME, "EndpointConfigName": NAME},
        "ValidationException", f'Cannot create already existing endpoint "{ARN}:endpoint/taken".',
    ),
    *unknown(
        "model",
        ("describe_model", named("ModelName")),
        ("delete_model", named("ModelName")),
        ("create_endpoint_config", {"EndpointConfigName": "other", "ProductionVariants": [variant(NOBODY)]}),
        ("create_transform_job", transform("other", ModelName=NOBODY)),
    ),
    *unknown(
        "endpoint configuration",
        ("describe_endpoint_config", named("EndpointConfigName")),
        ("delete_endpoint_config", named("EndpointConfigName")),
        ("create_endpoint", {"EndpointName": "other", "EndpointConfigName": NOBODY}),
        ("update_endpoint", {"EndpointName": NAME, "EndpointConfigName": NOBODY}),
    ),
    *unknown(
        "endpoint",
        ("describe_endpoint", named("EndpointName")),
        ("delete_endpoint", named("EndpointName")),
        ("update_endpoint", {"EndpointName": NOBODY, "EndpointConfigName": NAME}),
    ),
    *(
        Row("unknown tuning job", call, named("HyperParameterTuningJobName"), "ResourceNotFound", NO_TUNING_JOB)
        for call in (
            "describe_hyper_parameter_tuning_job",
            "stop_hyper_parameter_tuning_job",
            "list_training_jobs_for_hyper_parameter_tuning_job",
        )
    ),
    *(
        Row("no objects under the prefix", call, request, "ValidationException", NO_OBJECTS)
        for call, request in (
            ("create_training_job", job("other", InputDataConfig=[channel("train", NO_IMAGES)])),
            ("create_transform_job", transform("other", NO_IMAGES, ModelName=NAME)),
            ("create_hyper_parameter_tuning_job", tuning_without_data()),
        )
    ),
    Row(
        "a name of another pattern", "create_endpoint_config",
        {"EndpointConfigName": "other", "ProductionVariants": [variant("under_score")]}, "ValidationException",
        "1 validation error detected: Value 'under_score' at 'productionVariants.1.member.modelName' failed to satisfy "
        r"constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?",
    ),
    Row(
        "a missing member", "create_training_job", without(job("other"), "RoleArn"), "ValidationException",
        "1 validation error detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null",
    ),
    Row(
        "two wrong members", "create_training_job", {**job("-"), "RoleArn": "role"}, "ValidationException",
        f"2 validation errors detected: Value '-' at 'trainingJobName' failed to satisfy constraint: {NAME_PATTERN}; "
        "Value 'role' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20",
    ),
    Row(
        "more instances than the server has", "create_training_job",
        job("other", ResourceConfig={"InstanceCount": 2, "InstanceType": "ml.p3.2xlarge", "VolumeSizeInGB": 50}),
        "ResourceLimitExceeded",
        "The server's limit of instances that work at once is 1, with a request for 2. Start it with --slots 2 or "
        "more.",
    ),
    Row(
        "more instances than an endpoint may have", "create_endpoint_config",
        {"EndpointConfigName": "other", "ProductionVariants": [variant(NAME, count=65)]}, "ResourceLimitExceeded",
        "The limit of instances of an endpoint is 64 on this server, and 65 were asked for.",
    ),
    Row(
        "unknown compilation job", "describe_compilation_job", named("CompilationJobName"), "ResourceNotFound",
        f"Compilation job {NOBODY} does not exist.",
    ),
]  # fmt: skip

MODELLED = ("ResourceInUse", "ResourceNotFound", "ResourceLimitExceeded")
"""Codes that boto3 makes classes of their own for."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a training job that fails, and an endpoint whose model cannot be opened."""
    data = tmp_path_factory.mktemp("plane")
    write_bucket(data)
    broken = data / "s3/bucket/models/broken/model.tar.gz"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no archive")
    secret = data / "secret.txt"
    secret.write_text(SECRET)
    with control_plane(data, "--slots", "1", "--access-key", KEY, "--secret-key-file", str(secret)) as running:
        sagemaker = running.client("sagemaker")
        sagemaker.create_training_job(**job(NAME, {**HYPERPARAMETERS, "num_layers": "13"}))
        create_model(sagemaker, NAME, "broken")
        create_config(sagemaker, NAME, variant(NAME))
        sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
        yield running


@pytest.fixture(scope="module")
def sagemaker(server: Server) -> Any:
    """A client that leaves all checks to the server."""
    return client(server)


def client(server: Server, service: str = "sagemaker", **members: Any) -> Any:
    config = Config(
        parameter_validation=False, retries={"total_max_attempts": 1}, signature_version=members.pop("signing", None)
    )
    given = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, **members}
    return boto3.client(service, endpoint_url=server.url, region_name="us-east-1", config=config, **given)


def refusal(call: Any, **members: Any) -> tuple[str, int, str]:
    """Code, HTTP status and message."""
    with pytest.raises(ClientError) as caught:
        call(**members)
    response: Any = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.case}: {row.call}")
def test_row(sagemaker: Any, row: Row) -> None:
    expected = getattr(sagemaker.exceptions, row.code) if row.code in MODELLED else ClientError
    with pytest.raises(expected) as caught:
        getattr(sagemaker, row.call)(**row.members)
    assert caught.value.response["Error"] == {"Code": row.code, "Message": row.message}
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_waiters_end_at_once_where_there_is_nothing(sagemaker: Any) -> None:
    for waiter, members in (
        ("training_job_completed_or_stopped", named("TrainingJobName")),
        ("transform_job_completed_or_stopped", named("TransformJobName")),
        ("endpoint_in_service", named("EndpointName")),
    ):
        with pytest.raises(WaiterError, match="ValidationException"):
            sagemaker.get_waiter(waiter).wait(**members)
    sagemaker.get_waiter("endpoint_deleted").wait(**named("EndpointName"))


def test_reasons_of_failures_name_who_is_to_blame_and_the_exit_status(sagemaker: Any) -> None:
    reason = wait_for_end(sagemaker, NAME)["FailureReason"]
    assert reason.startswith("ClientError: ")
    assert "num_layers='13'" in reason
    assert reason.endswith(", exit code: 2")
    assert "model" in wait_for_status(sagemaker, NAME, "Failed")["FailureReason"]


INVALID_TOKEN = "The security token included in the request is invalid."
EXPIRED_TOKEN = "The security token included in the request is expired"


def keys(server: Server, lifetime: timedelta) -> dict[str, str]:
    """Members of a client that works in a session."""
    session = Sessions(SECRET).begin(lifetime)
    return {
        "aws_access_key_id": session.access_key,
        "aws_secret_access_key": session.secret_key,
        "aws_session_token": session.token,
    }


@pytest.mark.parametrize(
    ("service", "call", "denied", "expired", "status"),
    [
        ("sagemaker", "list_training_jobs", "AccessDeniedException", "ExpiredTokenException", 400),
        ("logs", "describe_log_groups", "AccessDeniedException", "ExpiredTokenException", 400),
        ("sts", "get_caller_identity", "AccessDenied", "ExpiredToken", 403),
    ],
)
def test_who_may_not_call(server: Server, service: str, call: str, denied: str, expired: str, status: int) -> None:
    nobody = client(server, service, signing=UNSIGNED)
    assert refusal(getattr(nobody, call)) == (denied, status, "The request is not signed.")
    late = client(server, service, **keys(server, timedelta(seconds=-1)))
    assert refusal(getattr(late, call)) == (expired, status, EXPIRED_TOKEN)


def test_a_key_of_nobody_and_a_wrong_secret(server: Server) -> None:
    stranger = client(server, aws_access_key_id="AKIDANOTHER")
    assert refusal(stranger.list_models)[:2] == ("UnrecognizedClientException", 400)
    forger = client(server, **{**keys(server, timedelta(hours=1)), "aws_access_key_id": "ASIAANOTHER"})
    assert refusal(forger.list_models) == ("UnrecognizedClientException", 400, INVALID_TOKEN)
    wrong = client(server, aws_secret_access_key="another-secret-of-somebody")
    assert refusal(wrong.list_models)[:2] == ("InvalidSignatureException", 400)


def test_endpoints_and_s3_tell_it_in_their_ways(server: Server) -> None:
    late = keys(server, timedelta(seconds=-1))
    asked = {"EndpointName": NAME, "Body": b"x"}
    runtime = client(server, "sagemaker-runtime", **late)
    assert refusal(runtime.invoke_endpoint, **asked) == ("ExpiredTokenException", 403, EXPIRED_TOKEN)
    assert refusal(client(server, "s3", **late).list_buckets) == ("ExpiredToken", 400, EXPIRED_TOKEN)


def test_a_session_may_do_what_its_user_may(server: Server) -> None:
    assumed = server.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="notebook")["Credentials"]
    session = {
        "aws_access_key_id": assumed["AccessKeyId"],
        "aws_secret_access_key": assumed["SecretAccessKey"],
        "aws_session_token": assumed["SessionToken"],
    }
    assert client(server, **session).describe_model(ModelName=NAME)["ModelName"] == NAME
    s3 = client(server, "s3", **session)
    s3.put_object(Bucket="bucket", Key="of-a-session", Body=b"content")
    assert s3.get_object(Bucket="bucket", Key="of-a-session")["Body"].read() == b"content"
