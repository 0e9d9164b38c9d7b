"""Tuning jobs for tests: requests as the notebooks send them, with trainings of seconds."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.sagemaker.control_plane.server import DEADLINE, IMAGE, ROLE, channel
from tests.sagemaker.job_folder import HYPERPARAMETERS

RANGES = {
    "ContinuousParameterRanges": [{"Name": "learning_rate", "MinValue": "1e-3", "MaxValue": "0.1"}],
    "IntegerParameterRanges": [{"Name": "mini_batch_size", "MinValue": "8", "MaxValue": "16", "ScalingType": "Auto"}],
    "CategoricalParameterRanges": [],
}
CHOICES = {"CategoricalParameterRanges": [{"Name": "optimizer", "Values": ["sgd", "adam"]}]}
OBJECTIVE = {"MetricName": "validation:accuracy", "Type": "Maximize"}
STATIC = {
    name: value
    for name, value in {**HYPERPARAMETERS, "epochs": "2"}.items()
    if name not in ("learning_rate", "mini_batch_size")
}
ENDED = ("Completed", "Failed", "Stopped")


def definition(static: Mapping[str, str] = STATIC, **members: Any) -> dict[str, Any]:
    """A TrainingJobDefinition as the SageMaker SDK sends it."""
    return {
        "StaticHyperParameters": dict(static),
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/output/"},
        "HyperParameterTuningResourceConfig": {
            "InstanceCount": 1, "InstanceType": "ml.p3.2xlarge", "VolumeSizeInGB": 50
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "InputDataConfig": [channel("train"), channel("validation")],
        **members,
    }  # fmt: skip


def tuning_job(
    name: str,
    *,
    ranges: Mapping[str, Any] = RANGES,
    static: Mapping[str, str] = STATIC,
    most: int = 3,
    parallel: int = 2,
    strategy: str = "Bayesian",
    **config: Any,
) -> dict[str, Any]:
    """A CreateHyperParameterTuningJob request with one definition."""
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": OBJECTIVE,
            "ResourceLimits": {"MaxNumberOfTrainingJobs": most, "MaxParallelTrainingJobs": parallel},
            "ParameterRanges": dict(ranges),
            "TrainingJobEarlyStoppingType": "Off",
            **config,
        },
        "TrainingJobDefinition": definition(static),
    }


def several(name: str, definitions: Mapping[str, Mapping[str, Any]], most: int) -> dict[str, Any]:
    """A request with a definition for each name, and its ranges."""
    static = {**STATIC, "epochs": "1", "mini_batch_size": "12"}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "ResourceLimits": {"MaxNumberOfTrainingJobs": most, "MaxParallelTrainingJobs": 2},
        },
        "TrainingJobDefinitions": [
            definition(static, DefinitionName=each, TuningObjective=OBJECTIVE, HyperParameterRanges=dict(ranges))
            for each, ranges in definitions.items()
        ],
    }


def failing(name: str) -> dict[str, Any]:
    """A request whose training jobs all fail: there is no network of this depth."""
    return tuning_job(name, static={**STATIC, "num_layers": "13"}, most=20)


def wait_until(sagemaker: Any, name: str, is_reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask for a tuning job until it is as wanted."""
    deadline = time.monotonic() + 4 * DEADLINE
    while True:
        described: dict[str, Any] = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if is_reached(described):
            return described
        assert described["HyperParameterTuningJobStatus"] not in ENDED, described
        assert time.monotonic() < deadline, described
        time.sleep(0.1)


def wait_for_end(sagemaker: Any, name: str) -> dict[str, Any]:
    return wait_until(sagemaker, name, lambda job: job["HyperParameterTuningJobStatus"] in ENDED)


def name_of_jobs(sagemaker: Any, name: str) -> list[str]:
    """Names of the training jobs of a tuning job, in order; there are no more than 100."""
    page = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, MaxResults=100, SortBy="Name", SortOrder="Ascending"
    )
    assert "NextToken" not in page
    return [job["TrainingJobName"] for job in page["TrainingJobSummaries"]]
