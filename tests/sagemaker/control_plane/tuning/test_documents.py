"""Documents and requests of tuning jobs, without a server."""

from pathlib import Path
from typing import Any

import pytest

from imclass.sagemaker.control_plane.store.log_files import LogWriter
from imclass.sagemaker.control_plane.training.metric_curves import MetricCurve
from imclass.sagemaker.control_plane.tuning.documents import (
    best_summary,
    counters,
    deleted_job,
    new_document,
    new_trial,
    not_improving,
    resources,
    summary_of,
    training_request,
)
from imclass.sagemaker.control_plane.tuning.requests import most_training_jobs, searches
from imclass.tuning.objective import Objective
from imclass.tuning.search import HyperbandEpochs
from tests.sagemaker.control_plane.tuning.requests import CHOICES, STATIC, definition, several, tuning_job

ARN = "arn:aws:sagemaker:us-east-1:000000000000:hyper-parameter-tuning-job/x"


def job(name: str, status: str, value: float | None, ended: float) -> dict[str, Any]:
    """What the state holds of a training job."""
    metrics = [] if value is None else [{"MetricName": "validation:accuracy", "Value": value, "Timestamp": 1.0}]
    return {
        "TrainingJobName": name,
        "TrainingJobArn": ARN,
        "CreationTime": 1.0,
        "TrainingEndTime": ended,
        "status": status,
        "FinalMetricDataList": metrics,
    }


def document_with(*jobs: tuple[str, float | None]) -> dict[str, Any]:
    """A tuning job whose training jobs have ended in this order, with status and value."""
    document = new_document(tuning_job("Tuned"), ARN)
    for number, (status, value) in enumerate(jobs):
        trial = new_trial(document, 0, {"learning_rate": "0.1"})
        document["trials"].append(trial)
        if status != "InProgress":
            trial["summary"] = summary_of(document, trial, job(trial["name"], status, value, 10.0 + number))
            trial["curve"] = []
    return document


def test_counters_and_the_best() -> None:
    document = document_with(
        ("Completed", 0.5), ("Failed", 0.9), ("Stopped", 0.7), ("Completed", None), ("InProgress", None)
    )
    assert counters(document) == {
        "TrainingJobStatusCounters": {
            "Completed": 2, "InProgress": 1, "RetryableError": 0, "NonRetryableError": 1, "Stopped": 1
        },
        "ObjectiveStatusCounters": {"Succeeded": 2, "Pending": 1, "Failed": 2},
    }  # fmt: skip
    summaries = [trial["summary"] for trial in document["trials"][:-1]]
    assert best_summary(summaries, Objective()) is summaries[2]
    assert best_summary(summaries, Objective("validation:accuracy", "Minimize")) is summaries[0]
    assert best_summary(summaries[1:2], Objective()) is None
    assert not_improving(document) == 1
    assert not_improving(document_with(("Failed", None))) == 0


def test_a_training_job_that_was_deleted_counts_as_failed() -> None:
    document = document_with(("InProgress", None))
    trial = document["trials"][0]
    summary = summary_of(document, trial, deleted_job(trial["name"], ARN))
    assert (summary["TrainingJobStatus"], summary["ObjectiveStatus"]) == ("Failed", "Failed")
    assert summary["FailureReason"] == "The training job was deleted."


def test_names_of_training_jobs() -> None:
    document = document_with(*[("Completed", 0.1)] * 12)
    names = [trial["name"] for trial in document["trials"]]
    assert [name[:-9] for name in names] == [f"Tuned-{number:03d}" for number in range(1, 13)]
    assert all(set(name[-8:]) <= set("0123456789abcdef") for name in names)
    assert len(set(names)) == 12


def test_a_training_job_has_checkpoints_of_its_own() -> None:
    request = tuning_job("Tuned")
    request["TrainingJobDefinition"] = definition(CheckpointConfig={"S3Uri": "s3://bucket/checkpoints/"})
    document = new_document(request, ARN)
    made = training_request(document, {"name": "Tuned-001-0", "definition": 0, "values": {"learning_rate": "0.1"}})
    assert made["CheckpointConfig"] == {"S3Uri": "s3://bucket/checkpoints/Tuned-001-0"}
    assert made["HyperParameters"] == {
        **STATIC, "learning_rate": "0.1", "_tuning_objective_metric": "validation:accuracy"
    }  # fmt: skip
    assert made["ResourceConfig"] == {"InstanceCount": 1, "InstanceType": "ml.p3.2xlarge", "VolumeSizeInGB": 50}
    assert "HyperParameterTuningResourceConfig" not in made


def test_resources_in_all_their_forms() -> None:
    old = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5}
    assert resources({"ResourceConfig": old}) == old
    first = {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 9}
    several_types = {"AllocationStrategy": "Prioritized", "InstanceConfigs": [first, old]}
    assert resources({"HyperParameterTuningResourceConfig": several_types}) == first
    assert resources({}) == {}


@pytest.mark.parametrize(
    ("config", "epochs"),
    [
        ({}, HyperbandEpochs(1, 2)),
        ({"MinResource": 2, "MaxResource": 9}, HyperbandEpochs(2, 9)),
        ({"MaxResource": 1}, HyperbandEpochs(1, 1, cuts=True)),
    ],
)
def test_the_epochs_that_hyperband_shares_out(config: dict[str, int], epochs: HyperbandEpochs) -> None:
    strategy = {"StrategyConfig": {"HyperbandStrategyConfig": config}} if config else {}
    (search,) = searches(tuning_job("Tuned", strategy="Hyperband", **strategy))
    search.check()
    assert search.hyperband == epochs


def test_the_seed_is_the_name_s_unless_it_is_given() -> None:
    seeds = [searches(tuning_job(name))[0].seed for name in ("one", "one", "other")]
    assert seeds[0] == seeds[1] != seeds[2]
    assert searches(tuning_job("one", RandomSeed=7))[0].seed == 7


def test_how_many_training_jobs_there_are() -> None:
    assert most_training_jobs(tuning_job("Tuned", most=9)) == 9
    grids = several("Tuned", {"small": CHOICES, "large": CHOICES}, most=4)
    grids["HyperParameterTuningJobConfig"]["Strategy"] = "Grid"
    del grids["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    assert most_training_jobs(grids) == 4


def test_a_curve_follows_a_log_that_grows(tmp_path: Path) -> None:
    file = tmp_path / "job.log"
    curve = MetricCurve("validation:accuracy")
    assert curve.read(file) == ()
    with LogWriter(file) as log:
        log.write(b"Epoch[0] Train-accuracy=0.900000")
        log.write(b"Epoch[0] Validation-accuracy=0.250000")
    assert curve.read(file) == (0.25,)
    with file.open("ab") as half:
        half.write(b"1769817600123 Epoch[1] Validation-acc")
    assert curve.read(file) == (0.25,)
    with file.open("ab") as rest:
        rest.write(b"uracy=0.500000\n")
    assert curve.read(file) == (0.25, 0.5)
    assert curve.read(file) == (0.25, 0.5)
    with LogWriter(tmp_path / "next.log") as log:
        for epoch, value in ((1, "0.500000"), (2, "0.750000")):
            log.write(f"Epoch[{epoch}] Validation-accuracy={value}".encode())
    assert curve.read(tmp_path / "next.log") == (0.25, 0.5, 0.75)
