"""Transform jobs through boto3: a real server, real containers, real results."""

import gzip
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from imclass.inference import Predictor
from tests.conftest import save_random_model
from tests.sagemaker.control_plane.server import DEADLINE, Server, control_plane, pids_of
from tests.sagemaker.control_plane.transform.requests import (
    add_model,
    encoded,
    end_of,
    lines,
    pixels,
    results,
    transform,
    write_objects,
)
from tests.sagemaker.job_folder import write_records

pytestmark = pytest.mark.timeout(900)  # several processes that import PyTorch, on perhaps two cores

GROUP = "/aws/sagemaker/TransformJobs"
IMAGES = {f"images/{name}.png": encoded(seed) for seed, name in enumerate(("a", "sub/b", "sub/c.d", "sub"))}
MANY = 1000
"""Images that take longer than the second after which the first results are in S3."""
BAD = {"some-bad/1.png": encoded(1), "some-bad/2.png": b"no image", "some-bad/3.png": encoded(3)}


def write_bucket(data: Path) -> Path:
    """A bucket with a model, images, and other inputs."""
    folder = data / "s3/bucket/model"
    folder.mkdir(parents=True)
    save_random_model(folder).rename(folder / "model.tar.gz")
    records = write_records(data / "s3/bucket/records/all.rec", 2)
    rows = [{"id": seed, "image": pixels(seed).tolist()} for seed in range(3)]
    other = {
        "packed/a.png.gz": gzip.compress(encoded(0)),
        "packed-records/all.rec.gz": gzip.compress(records.read_bytes()),
        "rows/rows.jsonl": "".join(f"{json.dumps(row)}\n" for row in rows).encode(),
        "manifests/some.json": json.dumps([{"prefix": "s3://bucket/images/"}, "sub/b.png", "a.png"]).encode(),
        "manifests/gone.json": json.dumps([{"prefix": "s3://bucket/images/"}, "a.png", "z.png"]).encode(),
        "same/x/xy": encoded(0),
        "same/xy": encoded(1),
        "large/large.png": bytes(2 << 20),
        "broken/model.tar.gz": b"no archive",
    }
    write_objects(data, IMAGES | BAD | other)
    return folder / "model.tar.gz"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("plane")
    write_bucket(data)
    with control_plane(data, "--slots", "2", AWS_SECRET_ACCESS_KEY="the-server's-own") as running:
        add_model(data, "digits")
        yield running


@pytest.fixture(scope="module")
def finished(sagemaker: Any) -> dict[str, Any]:
    """The description of a job, as the notebooks ask for it, at its end."""
    arn = sagemaker.create_transform_job(**transform("Batch--1"))["TransformJobArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:000000000000:transform-job/batch--1"
    waiter = sagemaker.get_waiter("transform_job_completed_or_stopped")
    waiter.wait(TransformJobName="Batch--1", WaiterConfig={"Delay": 0.1, "MaxAttempts": 2400})
    description: dict[str, Any] = sagemaker.describe_transform_job(TransformJobName="Batch--1")
    return description


@pytest.fixture(scope="module")
def predicted(server: Server) -> Predictor:
    return Predictor.load(server.data / "s3/bucket/model/model.tar.gz")


def test_each_object_has_one_result_and_nothing_else_is_there(
    server: Server, finished: dict[str, Any], predicted: Predictor
) -> None:
    assert finished["TransformJobStatus"] == "Completed"
    found = results(server.data, "Batch--1")
    assert sorted(found) == ["a.png.out", "sub.png.out", "sub/b.png.out", "sub/c.d.png.out"]
    for key, image in IMAGES.items():
        result = json.loads(found[f"{key.removeprefix('images/')}.out"])
        expected = predicted.predict([image])[0]
        assert list(result) == ["prediction"]
        np.testing.assert_allclose(result["prediction"], expected, atol=1e-6)


def test_the_description_has_what_was_asked_for(finished: dict[str, Any]) -> None:
    asked = transform("Batch--1")
    assert {name: finished[name] for name in asked} == asked
    assert finished["CreationTime"] <= finished["TransformStartTime"] <= finished["TransformEndTime"]
    assert "FailureReason" not in finished


def test_the_logs_are_the_container_s_and_the_data_s(server: Server, finished: dict[str, Any]) -> None:
    logs = server.client("logs")
    streams = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="Batch--1/", limit=50)["logStreams"]
    container, data = (stream["logStreamName"] for stream in streams)
    assert data == f"{container}/data-log"
    assert lines(logs, GROUP, container)[0] == "Docker entrypoint called with argument(s): serve"
    (said,) = lines(logs, GROUP, data)
    assert said.endswith(":[sagemaker logs]: MaxConcurrentTransforms=16, MaxPayloadInMB=6, BatchStrategy=SINGLE_RECORD")


def test_jobs_are_listed_and_tagged(sagemaker: Any, finished: dict[str, Any]) -> None:
    (found,) = sagemaker.list_transform_jobs(NameContains="batch", StatusEquals="Completed")["TransformJobSummaries"]
    same = ("TransformJobName", "TransformJobArn", "CreationTime", "TransformEndTime", "TransformJobStatus")
    assert {name: found[name] for name in same} == {name: finished[name] for name in same}
    assert sagemaker.list_tags(ResourceArn=finished["TransformJobArn"])["Tags"] == []


def test_a_name_is_taken_for_ever(sagemaker: Any, finished: dict[str, Any]) -> None:
    with pytest.raises(sagemaker.exceptions.ResourceInUse, match="a job with this name already exists"):
        sagemaker.create_transform_job(**transform("Batch--1"))


def test_nothing_of_a_finished_job_is_left_behind(server: Server, finished: dict[str, Any]) -> None:
    deadline = time.monotonic() + DEADLINE
    while (server.data / "transform-jobs/Batch--1").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_bad_object_gets_no_result_and_the_others_do(server: Server, sagemaker: Any) -> None:
    sagemaker.create_transform_job(**transform("bad", "s3://bucket/some-bad/"))
    description = end_of(sagemaker, "bad")
    assert description["TransformJobStatus"] == "Failed"
    assert description["FailureReason"] == (
        "ClientError: See job logs for more information: 1 of 3 objects have no result, '2.png' among them "
        "(ClientError: 400), exit code: 2"
    )
    assert sorted(results(server.data, "bad")) == ["1.png.out", "3.png.out"]
    logs = server.client("logs")
    streams = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="bad/")["logStreams"]
    said = lines(logs, GROUP, streams[-1]["logStreamName"])
    assert said[1].endswith("[sagemaker logs]: bucket/some-bad/2.png: ClientError: 400")
    assert "bucket/some-bad/2.png: Message: the image cannot be read" in said[2]


def test_a_manifest_file_names_the_objects(server: Server, sagemaker: Any) -> None:
    asked = transform("listed", "s3://bucket/manifests/some.json", S3DataType="ManifestFile")
    sagemaker.create_transform_job(**asked)
    assert end_of(sagemaker, "listed")["TransformJobStatus"] == "Completed"
    assert sorted(results(server.data, "listed")) == ["a.png.out", "sub/b.png.out"]


def test_records_have_results_one_behind_the_other(server: Server, sagemaker: Any) -> None:
    asked = transform("records", "s3://bucket/records/all.rec", SplitType="RecordIO", AssembleWith="Line")
    sagemaker.create_transform_job(**asked, DataProcessing={"JoinSource": "Input"})
    packed = transform("packed", "s3://bucket/packed-records/all", SplitType="RecordIO", CompressionType="Gzip")
    sagemaker.create_transform_job(**packed, ModelClientConfig={"InvocationsMaxRetries": 0})
    assert end_of(sagemaker, "records")["TransformJobStatus"] == "Completed"
    rows = [json.loads(line) for line in results(server.data, "records")["all.rec.out"].splitlines()]
    assert [(row["key"], row["id"], row["label"]) for row in rows] == [
        ("all.rec", number, number % 3) for number in range(6)
    ]
    assert end_of(sagemaker, "packed")["TransformJobStatus"] == "Completed"
    [(name, content)] = results(server.data, "packed").items()
    assert name == "all.rec.gz.out"
    assert content.count(b"}{") == len(rows) - 1
    answers = json.loads(b"[" + content.replace(b"}{", b"},{") + b"]")
    for answer, row in zip(answers, rows, strict=True):  # computed in batches of other sizes
        assert answer["prediction"] == pytest.approx(row["SageMakerOutput"]["prediction"], abs=1e-6)


def test_lines_are_filtered_joined_and_filtered_again(server: Server, sagemaker: Any, predicted: Predictor) -> None:
    asked = transform(
        "filtered",
        "s3://bucket/rows/",
        ContentType="application/json",
        SplitType="Line",
        AssembleWith="Line",
        Accept="application/jsonlines",
        DataProcessing={
            "InputFilter": "$.image",
            "JoinSource": "Input",
            "OutputFilter": "$['id','SageMakerOutput']",
        },
    )
    sagemaker.create_transform_job(**asked)
    assert end_of(sagemaker, "filtered")["TransformJobStatus"] == "Completed"
    rows = [json.loads(line) for line in results(server.data, "filtered")["rows.jsonl.out"].splitlines()]
    assert [row["id"] for row in rows] == [0, 1, 2]
    for seed, row in enumerate(rows):
        expected = predicted.predict([encoded(seed)])[0]
        np.testing.assert_allclose(row["SageMakerOutput"]["prediction"], expected, atol=1e-6)


def test_an_object_may_not_be_larger_than_a_payload(sagemaker: Any) -> None:
    sagemaker.create_transform_job(**transform("large", "s3://bucket/large/", MaxPayloadInMB=1))
    description = end_of(sagemaker, "large")
    assert description["TransformJobStatus"] == "Failed"
    assert "1 of 1 objects have no result, 'large.png' among them" in description["FailureReason"]


def test_the_container_decides_about_types(sagemaker: Any) -> None:
    sagemaker.create_transform_job(**transform("csv", ContentType="text/csv"))
    assert "(ClientError: 415)" in end_of(sagemaker, "csv")["FailureReason"]


def test_a_model_that_does_not_open_is_the_reason(server: Server, sagemaker: Any) -> None:
    add_model(server.data, "broken", "s3://bucket/broken/model.tar.gz")
    add_model(server.data, "wrong", environment={"IMCLASS_SERVE_OPTIONS": "--backend none"})
    sagemaker.create_transform_job(**transform("broken") | {"ModelName": "broken"})
    sagemaker.create_transform_job(**transform("wrong") | {"ModelName": "wrong"})
    assert "ClientError: the model's archive: it cannot be unpacked" in end_of(sagemaker, "broken")["FailureReason"]
    reason = end_of(sagemaker, "wrong")["FailureReason"]
    assert reason.startswith("AlgorithmError: the container ended with exit status 2: ")


def test_what_a_manifest_names_must_be_there(sagemaker: Any) -> None:
    asked = transform("gone", "s3://bucket/manifests/gone.json", S3DataType="ManifestFile")
    sagemaker.create_transform_job(**asked)
    reason = end_of(sagemaker, "gone")["FailureReason"]
    assert "some objects of the manifest file are not there\n  - z.png" in reason
    sagemaker.create_transform_job(**transform("same", "s3://bucket/same/x"))
    reason = end_of(sagemaker, "same")["FailureReason"]
    assert "bucket/same/x/xy and bucket/same/xy" in reason


def test_jobs_go_on_when_the_server_is_killed_and_can_be_stopped(tmp_path: Path) -> None:
    write_bucket(tmp_path)
    write_objects(tmp_path, {f"many/{number:04d}.png": encoded(number % 7) for number in range(MANY)})
    with control_plane(tmp_path, "--slots", "1") as server:
        sagemaker = server.client("sagemaker")
        add_model(tmp_path, "digits")
        sagemaker.create_transform_job(**transform("survivor", "s3://bucket/many/", MaxConcurrentTransforms=1))
        sagemaker.create_transform_job(**transform("queued"))
        wait_for_first_result(tmp_path, "survivor")
        server.kill()
    with control_plane(tmp_path, "--slots", "1") as server:
        sagemaker = server.client("sagemaker")
        assert end_of(sagemaker, "survivor")["TransformJobStatus"] == "Completed"
        assert end_of(sagemaker, "queued")["TransformJobStatus"] == "Completed"
        assert len(results(tmp_path, "survivor")) == MANY
        sagemaker.create_transform_job(**transform("stopped", "s3://bucket/many/", MaxConcurrentTransforms=1))
        wait_for_first_result(tmp_path, "stopped")
        sagemaker.stop_transform_job(TransformJobName="stopped")
        assert end_of(sagemaker, "stopped")["TransformJobStatus"] == "Stopped"
        assert 0 < len(results(tmp_path, "stopped")) < MANY
        with pytest.raises(ClientError, match="is in status Stopped"):
            sagemaker.stop_transform_job(TransformJobName="stopped")
        deadline = time.monotonic() + DEADLINE
        while pids_of("stopped", "TRANSFORM"):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_container_that_dies_is_the_reason(tmp_path: Path) -> None:
    write_bucket(tmp_path)
    write_objects(tmp_path, {f"many/{number:04d}.png": encoded(number % 7) for number in range(MANY)})
    with control_plane(tmp_path) as server:
        sagemaker = server.client("sagemaker")
        add_model(tmp_path, "digits")
        sagemaker.create_transform_job(**transform("dying", "s3://bucket/many/", MaxConcurrentTransforms=1))
        wait_for_first_result(tmp_path, "dying")
        for pid in pids_of("dying", "TRANSFORM"):
            if b"imclass\0serve" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        description = end_of(sagemaker, "dying")
        assert description["TransformJobStatus"] == "Failed"
        assert description["FailureReason"].startswith("AlgorithmError: the container ended with exit status -9")


def wait_for_first_result(data: Path, name: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not results(data, name):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ModelName": "nobody"}, 'Could not find model "arn:aws:sagemaker:us-east-1:000000000000:model/nobody".'),
        ({"MaxPayloadInMB": 7}, "MaxConcurrentTransforms * MaxPayloadInMB must not be more than 100 MB"),
        ({"MaxPayloadInMB": 101}, "MaxPayloadInMB must not be more than 100"),
        ({"MaxPayloadInMB": 0}, "MaxPayloadInMB 0 is not supported"),
        ({"SplitType": "TFRecord"}, "SplitType TFRecord is not supported"),
        ({"SplitType": "Line", "BatchStrategy": "MultiRecord"}, "the algorithm takes one image a request"),
        ({"S3DataType": "AugmentedManifestFile"}, "S3DataType AugmentedManifestFile is not supported"),
        ({"S3OutputPath": "s3://elsewhere/x"}, "the bucket elsewhere does not exist"),
        ({"S3OutputPath": "https://bucket/x"}, "TransformOutput: 'https://bucket/x' is not s3://BUCKET/KEY"),
        ({"DataProcessing": {"InputFilter": "$.a"}}, "InputFilter selects in JSON"),
        ({"DataProcessing": {"OutputFilter": "a"}}, "DataProcessing.OutputFilter a, column 1: a path begins with $"),
        ({"Environment": {"LD_PRELOAD": "x.so"}}, "Environment must not hold LD_PRELOAD"),
        ({"DataCaptureConfig": {"DestinationS3Uri": "s3://bucket/x"}}, "DataCaptureConfig is not supported"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(sagemaker: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match="ValidationException") as caught:
        sagemaker.create_transform_job(**transform("refused", **change))
    assert message in caught.value.response["Error"]["Message"]
    with pytest.raises(ClientError, match="Requested resource not found"):
        sagemaker.describe_transform_job(TransformJobName="refused")


def test_an_empty_prefix_is_refused(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match='No S3 objects found under S3 URL "s3://bucket/nowhere/"'):
        sagemaker.create_transform_job(**transform("refused", "s3://bucket/nowhere/"))
