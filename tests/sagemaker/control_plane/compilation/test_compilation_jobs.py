"""Compilation jobs through boto3, and what they compile in its container."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from imclass.inference import Predictor
from tests.conftest import save_random_model
from tests.sagemaker.control_plane.hosting.endpoints import (
    ask,
    create_config,
    create_endpoint,
    variant,
    wait_until_gone,
)
from tests.sagemaker.control_plane.server import ROLE, Server, control_plane
from tests.sagemaker.control_plane.transform.requests import (
    add_model,
    compilation,
    encoded,
    end_of,
    lines,
    pixels,
    results,
    transform,
    write_objects,
)

pytestmark = pytest.mark.timeout(900)  # several processes that import PyTorch, on perhaps two cores

MODEL = "s3/bucket/model/model.tar.gz"
COMPILED = "s3://bucket/compiled/model-ml_m4.tar.gz"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("plane")
    (data / MODEL).parent.mkdir(parents=True)
    save_random_model((data / MODEL).parent).rename(data / MODEL)
    write_objects(
        data,
        {
            "image/a.png": encoded(0),
            "array/a.json": json.dumps(pixels(0).tolist()).encode(),
            "broken/model.tar.gz": b"no model",
        },
    )
    with control_plane(data, "--slots", "2") as running:
        yield running


@pytest.fixture(scope="module")
def finished(sagemaker: Any) -> dict[str, Any]:
    """The description of a job at its end."""
    arn = sagemaker.create_compilation_job(**compilation("Neo-1"))["CompilationJobArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:000000000000:compilation-job/neo-1"
    return end_of(sagemaker, "Neo-1", "compilation")


def test_the_description_tells_where_the_model_is(server: Server, finished: dict[str, Any]) -> None:
    assert finished["CompilationJobStatus"] == "COMPLETED"
    assert finished["FailureReason"] == ""
    assert finished["ModelArtifacts"] == {"S3ModelArtifacts": COMPILED}
    assert finished["InferenceImage"].endswith("/image-classification-neo:latest")
    assert finished["CreationTime"] <= finished["CompilationStartTime"] <= finished["CompilationEndTime"]
    with tarfile.open(server.data / "s3" / COMPILED.removeprefix("s3://")) as archive:
        assert archive.getnames() == ["compiled.bin", "compiled.xml"]
    said = lines(server.client("logs"), "/aws/sagemaker/CompilationJobs", "Neo-1")
    assert said[0] == "Compiling for ml_m4 with OpenVINO"


def test_the_compiled_model_answers_images_and_arrays_as_the_original(
    server: Server, sagemaker: Any, finished: dict[str, Any]
) -> None:
    add_model(server.data, "digits", COMPILED)
    sagemaker.create_transform_job(**transform("images", "s3://bucket/image/"))
    sagemaker.create_transform_job(**transform("arrays", "s3://bucket/array/", ContentType="application/json"))
    expected = Predictor.load(server.data / MODEL).predict([encoded(0)])[0]
    for name, key in (("images", "a.png.out"), ("arrays", "a.json.out")):
        assert end_of(sagemaker, name)["TransformJobStatus"] == "Completed"
        np.testing.assert_allclose(json.loads(results(server.data, name)[key])["prediction"], expected, atol=1e-4)


def test_an_endpoint_of_the_compiled_model_takes_images_and_arrays(
    server: Server, sagemaker: Any, finished: dict[str, Any]
) -> None:
    compiled = {"Image": finished["InferenceImage"], "ModelDataUrl": COMPILED}
    sagemaker.create_model(ModelName="compiled", ExecutionRoleArn=ROLE, PrimaryContainer=compiled)
    create_config(sagemaker, "compiled", variant("compiled"))
    create_endpoint(sagemaker, "compiled", "compiled")
    runtime, expected = server.client("sagemaker-runtime"), Predictor.load(server.data / MODEL).predict([encoded(0)])[0]
    for content_type, body in (
        ("application/x-image", encoded(0)),
        ("application/json", json.dumps(pixels(0).tolist())),
    ):
        _, answered = ask(runtime, "compiled", ContentType=content_type, Accept="application/json", Body=body)
        np.testing.assert_allclose(answered, expected, atol=1e-4)
    sagemaker.delete_endpoint(EndpointName="compiled")
    wait_until_gone(sagemaker, "compiled")


def test_jobs_are_listed_and_deleted(sagemaker: Any, finished: dict[str, Any]) -> None:
    (found,) = sagemaker.list_compilation_jobs(NameContains="neo", SortBy="Name")["CompilationJobSummaries"]
    assert found["CompilationJobArn"] == finished["CompilationJobArn"]
    assert found["CompilationTargetDevice"] == "ml_m4"
    with pytest.raises(sagemaker.exceptions.ResourceInUse):
        sagemaker.create_compilation_job(**compilation("Neo-1"))
    with pytest.raises(ClientError, match="is in status COMPLETED"):
        sagemaker.stop_compilation_job(CompilationJobName="Neo-1")
    sagemaker.delete_compilation_job(CompilationJobName="Neo-1")
    with pytest.raises(sagemaker.exceptions.ResourceNotFound):
        sagemaker.describe_compilation_job(CompilationJobName="Neo-1")


def test_platforms_have_their_own_archive_unless_they_are_stopped(server: Server, sagemaker: Any) -> None:
    asked = compilation("platform", TargetPlatform={"Os": "LINUX", "Arch": "X86_64"})
    asked["InputConfig"] |= {"Framework": "PYTORCH", "DataInputConfig": "[[1, 3, 16, 16]]"}
    sagemaker.create_compilation_job(**asked)
    description = sagemaker.describe_compilation_job(CompilationJobName="platform")
    assert description["ModelArtifacts"]["S3ModelArtifacts"] == "s3://bucket/compiled/model-LINUX_X86_64.tar.gz"
    sagemaker.stop_compilation_job(CompilationJobName="platform")
    assert end_of(sagemaker, "platform", "compilation")["CompilationJobStatus"] == "STOPPED"
    assert not (server.data / "s3/bucket/compiled/model-LINUX_X86_64.tar.gz").exists()


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("shape", {"DataInputConfig": '{"data": [1, 3, 32, 32]}'}, "the model says that its image shape is 3,16,16"),
        ("broken", {"S3Uri": "s3://bucket/broken/model.tar.gz"}, "ClientError: model.tar.gz: the file is not a gzip"),
    ],
)
def test_why_a_model_cannot_be_compiled(
    server: Server, sagemaker: Any, name: str, change: dict[str, str], reason: str
) -> None:
    asked = compilation(name, TargetDevice="ml_c5")
    asked["InputConfig"] |= change
    asked["OutputConfig"]["S3OutputLocation"] = f"s3://bucket/{name}-compiled"
    sagemaker.create_compilation_job(**asked)
    description = end_of(sagemaker, name, "compilation")
    assert description["CompilationJobStatus"] == "FAILED"
    assert reason in description["FailureReason"]
    assert description["FailureReason"].endswith(", exit code: 2")
    assert str(server.data) not in description["FailureReason"]
    assert not Path(server.data, f"s3/bucket/{name}-compiled").exists()


@pytest.mark.parametrize(
    ("input_change", "output", "message"),
    [
        ({"Framework": "XGBOOST"}, {}, "InputConfig.Framework must be one of MXNET, PYTORCH, not XGBOOST"),
        ({"DataInputConfig": '{"data": [3, 16]}'}, {}, "InputConfig.DataInputConfig must be JSON such as"),
        ({"S3Uri": "s3://bucket/nothing"}, {}, "there is no object s3://bucket/nothing"),
        ({}, {"TargetDevice": "ml_inf1"}, "TargetDevice ml_inf1 is not supported"),
        ({}, {"TargetPlatform": {"Os": "LINUX", "Arch": "ARM64"}}, "TargetPlatform LINUX ARM64 is not supported"),
        (
            {},
            {"TargetPlatform": {"Os": "LINUX", "Arch": "X86_64", "Accelerator": "NVIDIA"}},
            "TargetPlatform.Accelerator NVIDIA is not supported",
        ),
        ({}, {"TargetDevice": "ml_m4", "CompilerOptions": "{'a': 1}"}, "CompilerOptions is not supported"),
        ({}, {"S3OutputLocation": "s3://elsewhere/x"}, "either TargetDevice or TargetPlatform"),
        ({}, {"S3OutputLocation": "s3://elsewhere/x"}, "the bucket elsewhere does not exist"),
    ],
)
def test_what_cannot_be_compiled_is_refused_at_once(
    sagemaker: Any, input_change: dict[str, str], output: dict[str, Any], message: str
) -> None:
    asked = compilation("refused", **output)
    asked["InputConfig"] |= input_change
    with pytest.raises(ClientError, match="ValidationException") as caught:
        sagemaker.create_compilation_job(**asked)
    assert message in caught.value.response["Error"]["Message"]
