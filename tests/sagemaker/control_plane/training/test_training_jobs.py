"""Training jobs through boto3: a real server, real processes, real models."""

import hashlib
import os
import signal
import tarfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from botocore.exceptions import ClientError

from imclass import artifact
from tests.sagemaker.control_plane.server import (
    LONG,
    Server,
    channel,
    control_plane,
    job,
    messages,
    pids_of,
    wait_for_end,
    wait_for_line,
    wait_until,
    write_bucket,
)
from tests.sagemaker.job_folder import DEADLINE, HYPERPARAMETERS

pytestmark = pytest.mark.timeout(900)  # several processes that import PyTorch, on perhaps two cores


@pytest.fixture(scope="module")
def finished(server: Server, sagemaker: Any) -> dict[str, Any]:
    """The description of a job that has come to its end."""
    checkpoints = {"CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints"}}
    arn = sagemaker.create_training_job(**job("Digits--1", **checkpoints))["TrainingJobArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:000000000000:training-job/digits--1"
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName="Digits--1", WaiterConfig={"Delay": 0.1, "MaxAttempts": 2400})
    description: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName="Digits--1")
    return description


def test_the_description_tells_the_whole_course(finished: dict[str, Any]) -> None:
    transitions = finished["SecondaryStatusTransitions"]
    assert [each["Status"] for each in transitions] == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert transitions[-1]["StatusMessage"] == "Training job completed"
    assert [each["EndTime"] for each in transitions[:-1]] == [each["StartTime"] for each in transitions[1:]]
    assert finished["TrainingJobStatus"] == finished["SecondaryStatus"] == "Completed"
    assert "FailureReason" not in finished
    assert finished["OutputDataConfig"] == {"S3OutputPath": "s3://bucket/output/", "KmsKeyId": ""}
    assert finished["CreationTime"] <= finished["TrainingStartTime"] < finished["TrainingEndTime"]
    seconds = (finished["TrainingEndTime"] - finished["TrainingStartTime"]).total_seconds()
    assert finished["TrainingTimeInSeconds"] == finished["BillableTimeInSeconds"] == round(seconds)


def test_the_model_and_the_reports_are_in_s3(server: Server, finished: dict[str, Any], tmp_path: Path) -> None:
    assert finished["ModelArtifacts"]["S3ModelArtifacts"] == "s3://bucket/output/Digits--1/output/model.tar.gz"
    output = server.data / "s3/bucket/output/Digits--1/output"
    assert sorted(file.name for file in output.iterdir()) == ["model.tar.gz", "output.tar.gz"]
    description, _ = artifact.load(output / "model.tar.gz")
    assert description.num_classes == 3
    with tarfile.open(output / "output.tar.gz") as archive:
        assert "metrics.jsonl" in archive.getnames()


def test_the_model_is_fetched_with_boto3(server: Server, finished: dict[str, Any], tmp_path: Path) -> None:
    place = urlsplit(finished["ModelArtifacts"]["S3ModelArtifacts"])
    s3 = server.client("s3")
    s3.download_file(place.netloc, place.path[1:], str(tmp_path / "model.tar.gz"))
    described = s3.head_object(Bucket=place.netloc, Key=place.path[1:])
    assert described["ETag"] == f'"{hashlib.md5((tmp_path / "model.tar.gz").read_bytes()).hexdigest()}"'
    assert artifact.load(tmp_path / "model.tar.gz")[0].num_classes == 3


def test_the_last_metrics_are_those_of_the_log(finished: dict[str, Any], logs: Any) -> None:
    lines = [line for line in messages(logs, "Digits--1") if "Epoch[2] Validation-accuracy=" in line]
    metrics = {metric["MetricName"]: metric["Value"] for metric in finished["FinalMetricDataList"]}
    assert sorted(metrics) == ["train:accuracy", "validation:accuracy"]
    assert metrics["validation:accuracy"] == pytest.approx(float(lines[0].rpartition("=")[2]), abs=1e-6)


def test_the_log_is_the_container_s_own(finished: dict[str, Any], logs: Any) -> None:
    lines = messages(logs, "Digits--1")
    assert lines[0] == "Docker entrypoint called with argument(s): train"
    assert "The model is in " in lines[-1]


def test_checkpoints_are_in_s3(server: Server, finished: dict[str, Any]) -> None:
    checkpoints = server.data / "s3/bucket/checkpoints"
    assert (checkpoints / "metrics.jsonl").exists()
    assert not list(checkpoints.rglob("*.tmp"))


def test_nothing_of_a_finished_job_is_left_behind(server: Server, finished: dict[str, Any]) -> None:
    deadline = time.monotonic() + DEADLINE
    while (server.data / "jobs/Digits--1").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert pids_of("Digits--1") == []


def test_a_name_is_taken_for_ever(sagemaker: Any, finished: dict[str, Any]) -> None:
    with pytest.raises(sagemaker.exceptions.ResourceInUse) as caught:
        sagemaker.create_training_job(**job("Digits--1"))
    assert caught.value.response["Error"]["Message"] == (
        "Training job names must be unique within an AWS account and region, and a training job with this name "
        f"already exists ({finished['TrainingJobArn']})"
    )


def test_a_page_of_another_site_changes_nothing(server: Server, finished: dict[str, Any]) -> None:
    model = f"{server.url}/bucket/output/Digits--1/output/model.tar.gz"
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://other.example"}
    with pytest.raises(HTTPError, match="403"):
        urlopen(Request(model, method="DELETE", headers=headers), timeout=DEADLINE)
    with urlopen(model, timeout=DEADLINE) as answer:
        assert answer.status == 200


def test_jobs_are_listed(sagemaker: Any, finished: dict[str, Any]) -> None:
    (found,) = sagemaker.list_training_jobs(NameContains="digits", StatusEquals="Completed")["TrainingJobSummaries"]
    same = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingEndTime", "TrainingJobStatus")
    assert {name: found[name] for name in same} == {name: finished[name] for name in same}
    before = finished["CreationTime"] - timedelta(seconds=2)  # boto3 sends whole seconds
    assert sagemaker.list_training_jobs(CreationTimeBefore=before)["TrainingJobSummaries"] == []
    assert sagemaker.list_training_jobs(CreationTimeAfter=before)["TrainingJobSummaries"] != []


def test_tags_of_a_job(sagemaker: Any, finished: dict[str, Any]) -> None:
    arn = finished["TrainingJobArn"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "1"}, {"Key": "a", "Value": "Größe"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["b"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "Größe"}]
    many = [{"Key": str(number), "Value": ""} for number in range(50)]
    with pytest.raises(sagemaker.exceptions.ResourceLimitExceeded):
        sagemaker.add_tags(ResourceArn=arn, Tags=many)


def test_what_the_user_did_wrong_is_the_reason(sagemaker: Any) -> None:
    sagemaker.create_training_job(**job("wrong", {**HYPERPARAMETERS, "num_classes": "many"}))
    description = wait_for_end(sagemaker, "wrong")
    assert (description["TrainingJobStatus"], description["SecondaryStatus"]) == ("Failed", "Failed")
    assert description["FailureReason"].startswith("ClientError: ")
    assert "num_classes" in description["FailureReason"]
    assert description["FailureReason"].endswith(", exit code: 2")


def test_a_stopped_job_leaves_its_model_and_no_process(server: Server, sagemaker: Any, logs: Any) -> None:
    sagemaker.create_training_job(**job("stopped", LONG, Environment={"MINE": "yes"}))
    wait_for_line(logs, sagemaker, "stopped", "Epoch[0] Validation-accuracy")
    variables = [Path(f"/proc/{pid}/environ").read_bytes() for pid in pids_of("stopped")]
    assert variables
    assert all(b"MINE=yes" in each and b"the-server's-own" not in each for each in variables)
    sagemaker.stop_training_job(TrainingJobName="stopped")
    description = wait_for_end(sagemaker, "stopped")
    assert (description["TrainingJobStatus"], description["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert (server.data / "s3/bucket/output/stopped/output/model.tar.gz").exists()
    with pytest.raises(ClientError, match="is in status Stopped"):
        sagemaker.stop_training_job(TrainingJobName="stopped")


def test_a_job_that_takes_too_long_is_stopped(sagemaker: Any) -> None:
    sagemaker.create_training_job(**job("slow", LONG, StoppingCondition={"MaxRuntimeInSeconds": 2}))
    description = wait_for_end(sagemaker, "slow")
    assert (description["TrainingJobStatus"], description["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_more_hosts_than_places_are_refused(sagemaker: Any) -> None:
    resources = {"InstanceCount": 3, "InstanceType": "ml.m4.xlarge", "VolumeSizeInGB": 1}
    with pytest.raises(sagemaker.exceptions.ResourceLimitExceeded, match="Start it with --slots 3"):
        sagemaker.create_training_job(**job("many", ResourceConfig=resources))


def test_jobs_wait_for_a_place_in_order(tmp_path: Path) -> None:
    write_bucket(tmp_path)
    with control_plane(tmp_path, "--slots", "1") as server:
        sagemaker = server.client("sagemaker")
        for name in ("first", "second", "third"):
            sagemaker.create_training_job(**job(name, LONG))
        wait_until(sagemaker, "first", lambda job: job["SecondaryStatus"] == "Training")
        for name in ("second", "third"):
            waiting = wait_until(sagemaker, name, lambda job: job["SecondaryStatus"] == "Pending")
            message = waiting["SecondaryStatusTransitions"][-1]["StatusMessage"]
            assert message == "Training job waiting for capacity..."
        names, token = [], {}
        while token is not None:
            page = sagemaker.list_training_jobs(MaxResults=2, SortOrder="Ascending", **token)
            names += [each["TrainingJobName"] for each in page["TrainingJobSummaries"]]
            token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
        assert names == ["first", "second", "third"]
        sagemaker.stop_training_job(TrainingJobName="second")
        never_ran = wait_for_end(sagemaker, "second")
        assert never_ran["TrainingJobStatus"] == "Stopped"
        assert "TrainingStartTime" not in never_ran
        sagemaker.stop_training_job(TrainingJobName="first")
        wait_for_end(sagemaker, "first")
        wait_until(sagemaker, "third", lambda job: job["SecondaryStatus"] == "Training")
        sagemaker.stop_training_job(TrainingJobName="third")
        wait_for_end(sagemaker, "third")


def test_a_job_goes_on_when_the_server_is_killed(tmp_path: Path) -> None:
    write_bucket(tmp_path)
    with control_plane(tmp_path, "--slots", "1") as server:
        sagemaker = server.client("sagemaker")
        sagemaker.create_training_job(**job("survivor", {**HYPERPARAMETERS, "epochs": "12"}))
        sagemaker.create_training_job(**job("queued"))
        wait_for_line(server.client("logs"), sagemaker, "survivor", "Docker entrypoint")
        server.kill()
    assert pids_of("survivor")
    with control_plane(tmp_path, "--slots", "1") as server:
        sagemaker = server.client("sagemaker")
        assert wait_for_end(sagemaker, "survivor")["TrainingJobStatus"] == "Completed"
        assert wait_for_end(sagemaker, "queued")["TrainingJobStatus"] == "Completed"
        lines = messages(server.client("logs"), "survivor")
    assert sum("Docker entrypoint" in line for line in lines) == 1
    assert (tmp_path / "s3/bucket/output/survivor/output/model.tar.gz").exists()


def test_a_job_that_lost_its_keeper_fails_with_a_reason(tmp_path: Path) -> None:
    write_bucket(tmp_path)
    with control_plane(tmp_path) as server:
        sagemaker = server.client("sagemaker")
        sagemaker.create_training_job(**job("lost", LONG))
        wait_for_line(server.client("logs"), sagemaker, "lost", "Docker entrypoint")
        for pid in pids_of("lost"):
            if b"keeper" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        description = wait_for_end(sagemaker, "lost")
        assert description["TrainingJobStatus"] == "Failed"
        assert description["FailureReason"].startswith("InternalServerError: We encountered an internal error.")
        deadline = time.monotonic() + DEADLINE
        while pids_of("lost"):
            assert time.monotonic() < deadline, "the job goes on without its keeper"
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"InputDataConfig": [channel("train", "s3://bucket/nowhere/")]}, 'No S3 objects found under S3 URL "s3://bu'),
        ({"OutputDataConfig": {"S3OutputPath": "s3://elsewhere/x"}}, "the bucket elsewhere does not exist"),
        ({"OutputDataConfig": {"S3OutputPath": "s3://..bucket/x"}}, "is not s3://BUCKET/KEY"),
        ({"InputDataConfig": [channel("train"), channel("train")]}, "'train' is given twice"),
        ({"InputDataConfig": [channel("..")]}, "cannot be a folder"),
        ({"Environment": {"LD_PRELOAD": "x.so"}}, "Environment must not hold LD_PRELOAD"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds must be given"),
        (
            {"AlgorithmSpecification": {"TrainingImage": "a.b/xgboost:1", "TrainingInputMode": "File"}},
            "does not run 'a.b/xgboost:1', only images of the repository image-classification",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(sagemaker: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match="ValidationException") as caught:
        sagemaker.create_training_job(**job("refused", **change))
    assert message in caught.value.response["Error"]["Message"]
    with pytest.raises(ClientError, match="Requested resource not found"):
        sagemaker.describe_training_job(TrainingJobName="refused")
