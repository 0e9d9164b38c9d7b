"""Training jobs on a Ray cluster of two nodes on this machine."""

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imclass import artifact
from imclass.sagemaker.control_plane.jobs.ray_runner import interface_of
from tests.inference.transform.test_ray_cluster import line_from
from tests.sagemaker.control_plane.server import (
    GROUP,
    channel,
    control_plane,
    job,
    pids_of,
    wait_for_end,
    wait_for_line,
    wait_until,
    write_bucket,
)
from tests.sagemaker.job_folder import DEADLINE, HYPERPARAMETERS

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed"),
    pytest.mark.timeout(900),
]

NODES = Path(__file__).parents[3] / "inference/transform/ray_nodes.py"
TWO_HOSTS = {"ResourceConfig": {"InstanceCount": 2, "InstanceType": "ml.p3.2xlarge", "VolumeSizeInGB": 50}}
SHARED = {**HYPERPARAMETERS, "mini_batch_size": "6", "kv_store": "dist_sync"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a cluster whose two nodes have one core each."""
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, str(NODES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield line_from(process, "")
        process.communicate(timeout=DEADLINE)


def options(address: str) -> list[str]:
    return ["--runner", "ray", "--ray-address", address, "--host-cpus", "1"]


def test_hosts_on_two_nodes_outlive_the_server_and_make_room_for_others(address: str, tmp_path: Path) -> None:
    write_bucket(tmp_path)
    (tmp_path / "s3/bucket/train/train.idx").unlink()
    channels = [channel("train", InputMode="Pipe"), channel("validation")]
    with control_plane(tmp_path, *options(address)) as server:
        sagemaker = server.client("sagemaker")
        three = {**TWO_HOSTS["ResourceConfig"], "InstanceCount": 3}
        with pytest.raises(sagemaker.exceptions.ResourceLimitExceeded):
            sagemaker.create_training_job(**job("three", SHARED, ResourceConfig=three))
        sagemaker.create_training_job(**job("two", SHARED, InputDataConfig=channels, **TWO_HOSTS))
        wait_until(sagemaker, "two", lambda job: job["SecondaryStatus"] == "Training")
        sagemaker.create_training_job(**job("next"))
        wait_until(sagemaker, "next", lambda job: job["SecondaryStatus"] == "Pending")
        wait_for_line(server.client("logs"), sagemaker, "two", "Docker entrypoint")
        server.kill()
    with control_plane(tmp_path, *options(address)) as server:
        sagemaker = server.client("sagemaker")
        sagemaker.create_training_job(**job("whole", SHARED, **TWO_HOSTS))  # needs what others had, all of it
        for name in ("two", "next", "whole"):
            description = wait_for_end(sagemaker, name)
            assert description["TrainingJobStatus"] == "Completed", description.get("FailureReason")
            assert artifact.load(tmp_path / f"s3/bucket/output/{name}/output/model.tar.gz")[0].num_classes == 3
        lines = lines_of(server.client("logs"), "two")
    assert len(lines) == 2
    for each in lines.values():
        assert any("2 processes on 2 machines" in line for line in each), each
        assert sum("Docker entrypoint" in line for line in each) == 1


def test_a_job_that_is_stopped_gives_its_node_back(address: str, tmp_path: Path) -> None:
    write_bucket(tmp_path)
    with control_plane(tmp_path, *options(address)) as server:
        sagemaker = server.client("sagemaker")
        sagemaker.create_training_job(**job("long", {**SHARED, "epochs": "5000"}, **TWO_HOSTS))
        wait_for_line(server.client("logs"), sagemaker, "long", "Epoch[0] Validation-accuracy")
        sagemaker.create_training_job(**job("never", SHARED, **TWO_HOSTS))
        wait_until(sagemaker, "never", lambda job: job["SecondaryStatus"] == "Pending")
        sagemaker.stop_training_job(TrainingJobName="never")
        assert "TrainingStartTime" not in wait_for_end(sagemaker, "never")
        sagemaker.stop_training_job(TrainingJobName="long")
        assert wait_for_end(sagemaker, "long")["TrainingJobStatus"] == "Stopped"
        assert (tmp_path / "s3/bucket/output/long/output/model.tar.gz").exists()
        sagemaker.create_training_job(**job("after", SHARED, **TWO_HOSTS))
        assert wait_for_end(sagemaker, "after")["TrainingJobStatus"] == "Completed"
    assert pids_of("long") == pids_of("after") == []


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as bound:  # and nobody listens on it
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        refused = subprocess.run(
            [
                sys.executable,
                "-m",
                "imclass",
                "control-plane",
                "--port",
                "0",
                "--data",
                str(tmp_path),
                *options(address),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert refused.returncode == 2
    assert f"ray {address}: there is no Ray cluster" in refused.stderr


def test_interfaces_by_their_addresses() -> None:
    assert interface_of("127.0.0.1") == "lo"
    assert interface_of("203.0.113.7") == ""


def lines_of(logs: Any, name: str) -> dict[str, list[str]]:
    """What the hosts of a job have printed, by stream."""
    found = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
    pages = {
        stream["logStreamName"]: logs.get_log_events(
            logGroupName=GROUP, logStreamName=stream["logStreamName"], startFromHead=True
        )
        for stream in found
    }
    return {stream: [event["message"] for event in page["events"]] for stream, page in pages.items()}
