"""A control plane whose objects are in an S3 of another process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from imclass import artifact
from imclass.errors import UserError
from imclass.sagemaker.control_plane.store import remote_buckets
from imclass.sagemaker.control_plane.store.buckets import Place
from imclass.sagemaker.control_plane.store.remote_buckets import RemoteBuckets
from tests.sagemaker.control_plane.hosting.endpoints import (
    PNG,
    ask,
    create_config,
    create_endpoint,
    create_model,
    variant,
    wait_until_gone,
    write_models,
)
from tests.sagemaker.control_plane.server import KEY, SECRET, channel, control_plane, job, wait_for_end, write_bucket
from tests.sagemaker.control_plane.transform.requests import end_of, transform
from tests.sagemaker.s3.server import s3_process

CREDENTIALS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The folder of the S3, and its address."""
    data = tmp_path_factory.mktemp("elsewhere")
    write_bucket(data)
    with s3_process(data / "s3") as (url, _):
        yield data / "s3", url


@pytest.fixture
def buckets(store: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteBuckets:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return RemoteBuckets(store[1], "us-east-1", tmp_path / "cache")


@pytest.mark.timeout(900)
def test_a_job_takes_its_data_from_there_and_brings_its_model(store: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = store
    with control_plane(tmp_path, "--s3-endpoint", url, **CREDENTIALS) as server:
        sagemaker = server.client("sagemaker")
        checkpoints = {"CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints"}}
        sagemaker.create_training_job(**job("far", **checkpoints))
        description = wait_for_end(sagemaker, "far")
        assert description["TrainingJobStatus"] == "Completed", description.get("FailureReason")
        with pytest.raises(ClientError, match=f"keeps its objects at {url}"):
            server.client("s3").list_buckets()
        with pytest.raises(ClientError, match="No S3 objects found under S3 URL"):
            sagemaker.create_training_job(**job("no", InputDataConfig=[channel("train", "s3://bucket/nothing/")]))
    assert artifact.load(folder / "bucket/output/far/output/model.tar.gz")[0].num_classes == 3
    assert (folder / "bucket/checkpoints/metrics.jsonl").exists()
    assert not (tmp_path / "s3").exists()


@pytest.mark.timeout(900)
def test_endpoints_and_transform_jobs_work_with_it(store: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = store
    write_models(folder.parent)
    image = folder / "bucket/images/a.png"
    image.parent.mkdir()
    image.write_bytes(PNG)
    capture = {
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://bucket/captured",
        "CaptureOptions": [{"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }
    with control_plane(tmp_path, "--s3-endpoint", url, **CREDENTIALS) as server:
        sagemaker = server.client("sagemaker")
        create_model(sagemaker, "three")
        create_config(sagemaker, "far", variant("three"), DataCaptureConfig=capture)
        create_endpoint(sagemaker, "far", "far")
        _, probabilities = ask(server.client("sagemaker-runtime"), "far")
        sagemaker.delete_endpoint(EndpointName="far")
        wait_until_gone(sagemaker, "far")
        sagemaker.create_transform_job(**transform("far", ModelName="three"))
        description = end_of(sagemaker, "far")
        assert description["TransformJobStatus"] == "Completed", description.get("FailureReason")
    (captured,) = (folder / "bucket/captured/far/AllTraffic").rglob("*.jsonl")
    assert json.loads(json.loads(captured.read_bytes())["captureData"]["endpointOutput"]["data"]) == probabilities
    answered = json.loads((folder / "bucket/far/output/a.png.out").read_bytes())["prediction"]
    assert answered == pytest.approx(probabilities, abs=1e-6)


def test_objects_as_files(buckets: RemoteBuckets, store: tuple[Path, str], tmp_path: Path) -> None:
    with buckets.pending(Place.of("s3://bucket/mine/a")) as file:
        file.write(b"first")
    (tmp_path / "b").write_bytes(b"other")
    buckets.put(tmp_path / "b", Place.of("s3://bucket/mine/b"))
    found = list(buckets.objects(Place.of("s3://bucket/mine/")))
    assert [(each.key, each.file.read_bytes()) for each in found] == [("mine/a", b"first"), ("mine/b", b"other")]
    kept = found[0].file
    assert found[0].file.samefile(kept)
    with buckets.pending(Place.of("s3://bucket/mine/a")) as file:
        file.write(b"second")
    again = buckets.find(Place.of("s3://bucket/mine/a"))
    assert again is not None
    assert (again.file.read_bytes(), kept.read_bytes()) == (b"second", b"first")
    buckets.remove(Place.of("s3://bucket/mine/a"))
    buckets.remove(Place.of("s3://bucket/mine/a"))
    assert buckets.find(Place.of("s3://bucket/mine/a")) is None
    assert (store[0] / "bucket/mine/b").read_bytes() == b"other"


def test_a_write_that_fails_leaves_nothing(buckets: RemoteBuckets) -> None:
    with pytest.raises(RuntimeError, match="midway"):
        fail_midway(buckets, Place.of("s3://bucket/never"))
    assert buckets.find(Place.of("s3://bucket/never")) is None


def fail_midway(buckets: RemoteBuckets, place: Place) -> None:
    with buckets.pending(place) as file:
        file.write(b"half")
        raise RuntimeError("midway")


def test_what_is_not_there(buckets: RemoteBuckets) -> None:
    assert buckets.exists("bucket")
    assert not buckets.exists("elsewhere")
    assert list(buckets.objects(Place.of("s3://elsewhere/x"))) == []
    assert buckets.find(Place.of("s3://elsewhere/x")) is None
    assert buckets.find(Place.of("s3://bucket")) is None
    with pytest.raises(UserError, match=r"cannot do this: .*NoSuchBucket"), buckets.pending(Place.of("s3://nobody/x")):
        pass


def test_what_no_job_has_goes_after_an_hour(
    buckets: RemoteBuckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_buckets, "SWEEP_SECONDS", 0.0)
    files = [each.file for each in buckets.objects(Place.of("s3://bucket/train/"))]
    (tmp_path / "of-a-job").hardlink_to(files[0])
    for file in files:
        os.utime(file, (0, 0))
    validation = next(buckets.objects(Place.of("s3://bucket/validation/")))
    assert validation.file.exists()
    assert [file.exists() for file in files] == [True] + [False] * (len(files) - 1)


def test_a_server_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_buckets, "RETRIES", 1)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    gone = RemoteBuckets("http://127.0.0.1:9", "us-east-1", tmp_path / "cache")
    with pytest.raises(UserError, match=r"the S3 at http://127\.0\.0\.1:9 cannot do this"):
        gone.exists("bucket")


def test_requests_that_need_it_say_so(tmp_path: Path) -> None:
    with control_plane(tmp_path, "--s3-endpoint", "http://127.0.0.1:9", **CREDENTIALS) as server:
        with pytest.raises(ClientError, match="ValidationException") as caught:
            server.client("sagemaker").create_training_job(**job("far"))
        assert "the S3 at http://127.0.0.1:9 cannot do this" in caught.value.response["Error"]["Message"]


def test_an_endpoint_that_is_no_address(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "imclass", "control-plane", "--port", "0", "--data", str(tmp_path)]
    refused: Any = subprocess.run(
        [*command, "--s3-endpoint", "minio:9000"], capture_output=True, text=True, timeout=60, check=False
    )
    assert refused.returncode == 2
    assert "'minio:9000' is no address of a server" in refused.stderr
