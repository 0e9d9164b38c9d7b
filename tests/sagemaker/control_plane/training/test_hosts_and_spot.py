"""Jobs on several hosts, and spot jobs that are interrupted, as real processes."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from imclass import artifact
from tests.sagemaker.control_plane.server import (
    GROUP,
    LONG,
    Server,
    channel,
    control_plane,
    job,
    pids_of,
    wait_for_end,
    wait_for_line,
    wait_until,
    write_bucket,
)
from tests.sagemaker.job_folder import DEADLINE, HYPERPARAMETERS, write_records

pytestmark = pytest.mark.timeout(900)  # several processes that import PyTorch, on perhaps two cores

TWO_HOSTS = {"ResourceConfig": {"InstanceCount": 2, "InstanceType": "ml.p3.2xlarge", "VolumeSizeInGB": 50}}
SHARED = {**HYPERPARAMETERS, "mini_batch_size": "6", "kv_store": "dist_sync", "epochs": "2"}
SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 900, "MaxWaitTimeInSeconds": 1800},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("plane")
    write_bucket(data)
    for number in (1, 2):
        records = write_records(data / f"s3/bucket/halves/{number}.rec", 12, first=12 * number)
        records.with_suffix(".idx").unlink()  # it would be sent as data
    with control_plane(data, "--slots", "2") as running:
        yield running


def interrupted(server: Server, name: str) -> "subprocess.CompletedProcess[str]":
    """What a user types."""
    port = str(urlsplit(server.url).port)
    command = [sys.executable, "-m", "imclass", "control-plane", "interrupt", name, "--port", port]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def stream_messages(logs: Any, stream: str) -> list[str]:
    page = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True)
    return [event["message"] for event in page["events"]]


def streams(logs: Any, name: str) -> list[str]:
    found = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
    return [stream["logStreamName"] for stream in found]


def test_two_hosts_train_together_on_their_shares(server: Server, sagemaker: Any, logs: Any) -> None:
    train = channel("train", "s3://bucket/halves/", InputMode="Pipe")
    train["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    asked = job("two-hosts", SHARED, InputDataConfig=[train, channel("validation")], **TWO_HOSTS)
    sagemaker.create_training_job(**asked)
    description = wait_for_end(sagemaker, "two-hosts")
    assert description["TrainingJobStatus"] == "Completed", description.get("FailureReason")
    first, second = streams(logs, "two-hosts")
    assert (first.split("-")[-2], second.split("-")[-2]) == ("1", "2")
    for stream in (first, second):
        lines = stream_messages(logs, stream)
        assert any("2 processes on 2 machines" in line for line in lines), lines
        assert sum("Validation-accuracy=" in line for line in lines) == 2
    seconds = (description["TrainingEndTime"] - description["TrainingStartTime"]).total_seconds()
    assert description["TrainingTimeInSeconds"] == 2 * round(seconds)
    model = server.data / "s3/bucket/output/two-hosts/output/model.tar.gz"
    assert artifact.load(model)[0].num_classes == 3


def test_a_failure_of_one_host_is_the_job_s(server: Server, sagemaker: Any) -> None:
    train = channel("train", "s3://bucket/halves/1.rec")
    train["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    asked = job("half", SHARED, InputDataConfig=[train, channel("validation")], **TWO_HOSTS)
    sagemaker.create_training_job(**asked)
    description = wait_for_end(sagemaker, "half")
    assert description["TrainingJobStatus"] == "Failed"
    assert description["FailureReason"].startswith("ClientError: "), description["FailureReason"]
    assert "algo-2/ml/input/data/train" in description["FailureReason"]
    assert pids_of("half") == []


def test_a_job_waits_for_all_its_hosts_and_a_spot_job_not_for_ever(sagemaker: Any, logs: Any) -> None:
    sagemaker.create_training_job(**job("wide", {**SHARED, "epochs": "5000"}, **TWO_HOSTS))
    stopping = {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 2}
    sagemaker.create_training_job(**job("patient", LONG, EnableManagedSpotTraining=True, StoppingCondition=stopping))
    description = wait_for_end(sagemaker, "patient")
    assert (description["TrainingJobStatus"], description["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert "TrainingStartTime" not in description
    wait_for_line(logs, sagemaker, "wide", "Epoch[0] Validation-accuracy")
    assert len(pids_of("wide")) >= 6, "a keeper, a container and a worker on each host"
    sagemaker.stop_training_job(TrainingJobName="wide")
    assert wait_for_end(sagemaker, "wide")["TrainingJobStatus"] == "Stopped"
    assert pids_of("wide") == []


def test_an_interrupted_spot_job_goes_on_from_its_checkpoints(server: Server, sagemaker: Any, logs: Any) -> None:
    asked = job(
        "spot",
        {**HYPERPARAMETERS, "epochs": "40"},
        CheckpointConfig={"S3Uri": "s3://bucket/spot-checkpoints"},
        **SPOT,
    )
    sagemaker.create_training_job(**asked)
    wait_for_line(logs, sagemaker, "spot", "Epoch[1] Validation-accuracy")
    found = interrupted(server, "spot")
    assert found.returncode == 0, found.stderr
    again = wait_until(sagemaker, "spot", lambda job: _statuses(job).count("Training") == 2)
    assert _statuses(again)[:6] == ["Starting", "Downloading", "Training", "Interrupted", "Starting", "Downloading"]
    description = wait_for_end(sagemaker, "spot")
    assert description["TrainingJobStatus"] == "Completed", description.get("FailureReason")
    assert description["BillableTimeInSeconds"] <= description["TrainingTimeInSeconds"]
    first, second = streams(logs, "spot")
    before, after = (stream_messages(logs, stream) for stream in (first, second))
    assert any("Resuming" in line for line in after), after
    epochs = [int(number) for number in re.findall(r"Epoch\[(\d+)\] Validation-accuracy=", "\n".join(before + after))]
    assert epochs == list(range(40)), "no epoch was lost, none was trained twice"
    assert len(description["FinalMetricDataList"]) == 2


def test_hosts_and_their_pipes_outlive_the_server(tmp_path: Path) -> None:
    write_bucket(tmp_path)
    (tmp_path / "s3/bucket/train/train.idx").unlink()
    channels = [channel("train", InputMode="Pipe"), channel("validation")]
    with control_plane(tmp_path, "--slots", "2") as server:
        sagemaker = server.client("sagemaker")
        sagemaker.create_training_job(**job("both", SHARED, InputDataConfig=channels, **TWO_HOSTS))
        wait_for_line(server.client("logs"), sagemaker, "both", "Docker entrypoint")
        server.kill()
    with control_plane(tmp_path, "--slots", "2") as server:
        description = wait_for_end(server.client("sagemaker"), "both")
        assert description["TrainingJobStatus"] == "Completed", description.get("FailureReason")
        for stream in streams(server.client("logs"), "both"):
            lines = stream_messages(server.client("logs"), stream)
            assert sum("Docker entrypoint" in line for line in lines) == 1


def test_a_job_whose_slots_are_gone_fails_and_lets_others_by(tmp_path: Path) -> None:
    write_bucket(tmp_path)
    with control_plane(tmp_path, "--slots", "2") as server:
        sagemaker = server.client("sagemaker")
        sagemaker.create_training_job(**job("first", LONG))
        wait_until(sagemaker, "first", lambda job: job["SecondaryStatus"] == "Training")
        sagemaker.create_training_job(**job("wide", SHARED, **TWO_HOSTS))
        wait_until(sagemaker, "wide", lambda job: job["SecondaryStatus"] == "Pending")
    with control_plane(tmp_path, "--slots", "1") as server:
        sagemaker = server.client("sagemaker")
        description = wait_for_end(sagemaker, "wide")
        assert description["TrainingJobStatus"] == "Failed"
        assert "needs 2 slots at once, and the server has 1" in description["FailureReason"]
        sagemaker.stop_training_job(TrainingJobName="first")
        wait_for_end(sagemaker, "first")


def test_an_interruption_outlives_the_server(tmp_path: Path) -> None:
    write_bucket(tmp_path)
    checkpoints = {"CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints"}}
    with control_plane(tmp_path, "--slots", "1") as server:
        sagemaker = server.client("sagemaker")
        sagemaker.create_training_job(**job("spot", {**HYPERPARAMETERS, "epochs": "12"}, **SPOT, **checkpoints))
        wait_for_line(server.client("logs"), sagemaker, "spot", "Docker entrypoint")
        assert interrupted(server, "spot").returncode == 0
        server.kill()
    with control_plane(tmp_path, "--slots", "1") as server:
        description = wait_for_end(server.client("sagemaker"), "spot")
        assert description["TrainingJobStatus"] == "Completed", description.get("FailureReason")
        assert _statuses(description).count("Interrupted") == 1
        deadline = time.monotonic() + DEADLINE
        while (tmp_path / "jobs/spot").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("plain", "The training job plain was created without EnableManagedSpotTraining."),
        ("nobody", "Requested resource not found."),
        ("under_score", "failed to satisfy constraint"),
    ],
)
def test_what_cannot_be_interrupted(server: Server, sagemaker: Any, name: str, message: str) -> None:
    if name == "plain":
        sagemaker.create_training_job(**job("plain", LONG))
    found = interrupted(server, name)
    assert found.returncode == 2
    assert message in found.stderr
    if name == "plain":
        sagemaker.stop_training_job(TrainingJobName="plain")
        wait_for_end(sagemaker, "plain")


def test_nobody_to_interrupt_anything(tmp_path: Path) -> None:
    nowhere = Server(tmp_path, subprocess.Popen(["true"]), "http://127.0.0.1:9")
    nowhere.process.wait()
    found = interrupted(nowhere, "spot")
    assert found.returncode == 2
    assert "the control plane does not answer" in found.stderr


def _statuses(description: dict[str, Any]) -> list[str]:
    return [each["Status"] for each in description["SecondaryStatusTransitions"]]
