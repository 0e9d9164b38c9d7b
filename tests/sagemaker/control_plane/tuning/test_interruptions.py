"""Tuning jobs that are stopped, killed with their server, or stop their own training jobs."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.control_plane.server import control_plane, write_bucket
from tests.sagemaker.control_plane.tuning.requests import (
    STATIC,
    name_of_jobs,
    tuning_job,
    wait_for_end,
    wait_until,
)

pytestmark = pytest.mark.timeout(1800)

ENDLESS = {**STATIC, "epochs": "5000"}


def running(described: dict[str, Any]) -> int:
    return int(described["TrainingJobStatusCounters"]["InProgress"])


def job_statuses(sagemaker: Any, name: str) -> list[str]:
    return [
        sagemaker.describe_training_job(TrainingJobName=job)["TrainingJobStatus"]
        for job in name_of_jobs(sagemaker, name)
    ]


def test_a_tuning_job_goes_on_when_the_server_is_killed(tmp_path: Path) -> None:
    write_bucket(tmp_path)
    with control_plane(tmp_path, "--slots", "1") as server:
        sagemaker = server.client("sagemaker")
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("survivor", most=3, parallel=2))
        wait_until(sagemaker, "survivor", lambda job: job["TrainingJobStatusCounters"]["Completed"] == 1)
        before = name_of_jobs(sagemaker, "survivor")
        server.kill()
    forget_last_training_job(tmp_path, "survivor")
    with control_plane(tmp_path, "--slots", "1") as server:
        sagemaker = server.client("sagemaker")
        described = wait_for_end(sagemaker, "survivor")
        assert described["HyperParameterTuningJobStatus"] == "Completed", described
        assert described["TrainingJobStatusCounters"]["Completed"] == 3
        names = name_of_jobs(sagemaker, "survivor")
        assert names[: len(before)] == before
        assert job_statuses(sagemaker, "survivor") == ["Completed"] * 3
        jobs = sagemaker.list_training_jobs(NameContains="survivor", MaxResults=100)["TrainingJobSummaries"]
        assert len(jobs) == 3


def forget_last_training_job(data: Path, name: str) -> None:
    """Leave the state as it is in the moment between a trial and its training job: the trial alone is there."""
    with sqlite3.connect(data / "state.sqlite") as database:
        (text,) = database.execute("SELECT document FROM resources WHERE name = ?", (name,)).fetchone()
        document = json.loads(text)
        last = document["trials"][-1]
        assert "summary" not in last
        removed = database.execute("DELETE FROM resources WHERE name = ?", (last["name"],)).rowcount
        assert removed == 1
    database.close()


def test_a_stopped_tuning_job_stops_its_training_jobs(tmp_path: Path) -> None:
    write_bucket(tmp_path)
    with control_plane(tmp_path, "--slots", "1") as server:
        sagemaker = server.client("sagemaker")
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("stopped", static=ENDLESS, parallel=2))
        wait_until(sagemaker, "stopped", lambda job: running(job) == 2)
        with pytest.raises(ClientError, match="is in status InProgress"):
            sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped")
        sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped")
        described = wait_for_end(sagemaker, "stopped")
        assert described["HyperParameterTuningJobStatus"] == "Stopped"
        assert described["TrainingJobStatusCounters"]["Stopped"] == 2
        assert job_statuses(sagemaker, "stopped") == ["Stopped", "Stopped"]
        with pytest.raises(ClientError, match="is in status Stopped"):
            sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped")
        names = name_of_jobs(sagemaker, "stopped")
        sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped")
        with pytest.raises(ClientError, match="can't find a tuning job called stopped"):
            sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped")
        assert sagemaker.describe_training_job(TrainingJobName=names[0])["TrainingJobStatus"] == "Stopped"


def test_early_stopping_ends_what_is_worse_than_the_median(tmp_path: Path) -> None:
    write_bucket(tmp_path)
    ranges = {"CategoricalParameterRanges": [{"Name": "learning_rate", "Values": ["0.05", "1e-09"]}]}
    static = {**STATIC, "mini_batch_size": "12", "epochs": "6"}
    stops_early = {"TrainingJobEarlyStoppingType": "Auto"}
    with control_plane(tmp_path, "--slots", "1") as server:
        sagemaker = server.client("sagemaker")
        request = tuning_job("early", ranges=ranges, static=static, most=2, parallel=1, strategy="Grid", **stops_early)
        sagemaker.create_hyper_parameter_tuning_job(**request)
        described = wait_for_end(sagemaker, "early")
        assert described["HyperParameterTuningJobStatus"] == "Completed", described
        assert described["TrainingJobStatusCounters"]["Completed"] == 1
        assert described["TrainingJobStatusCounters"]["Stopped"] == 1
        assert described["ObjectiveStatusCounters"]["Succeeded"] == 2
        assert described["BestTrainingJob"]["TunedHyperParameters"] == {"learning_rate": "0.05"}
