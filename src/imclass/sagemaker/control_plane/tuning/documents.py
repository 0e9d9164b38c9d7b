"""The document of a tuning job: what Describe tells, and how it changes.

Members that begin with a small letter are ours: `status` (HyperParameterTuningJobStatus), `trials` and `ending`.
A trial is there before its training job is, and holds what is needed to make that job:

    {"name": of the training job, "definition": number of its TrainingJobDefinition, "values": {NAME: TEXT, ...}}

and, once the job has ended, `curve` (the objective after each epoch) and `summary`, as List tells it. `ending` is how
the tuning job will end when its last training job has: {"status", "reason"}.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from imclass.hyperparameters.fields import TUNING_OBJECTIVE
from imclass.sagemaker.control_plane.store.buckets import Place
from imclass.sagemaker.control_plane.store.state import Document
from imclass.tuning.objective import Objective

KIND = "hyper-parameter-tuning-job"
IN_PROGRESS, STOPPING = "InProgress", "Stopping"
ACTIVE = (IN_PROGRESS, STOPPING)

PARTS_OF_REQUEST = (
    "HyperParameterTuningJobName",
    "HyperParameterTuningJobConfig",
    "TrainingJobDefinition",
    "TrainingJobDefinitions",
    "WarmStartConfig",
)
PARTS_OF_DEFINITION = (
    "RoleArn",
    "InputDataConfig",
    "VpcConfig",
    "OutputDataConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "RetryStrategy",
    "Environment",
)
"""Which a training job takes over as they are."""

PARTS_OF_SUMMARY = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime",
                    "FailureReason")  # fmt: skip


def new_document(request: Mapping[str, Any], arn: str) -> Document:
    """Of a job that was just asked for."""
    document = {name: request[name] for name in PARTS_OF_REQUEST if name in request}
    return document | {"HyperParameterTuningJobArn": arn, "trials": []}


def definitions(request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The definitions of training jobs of a request or document; one or several."""
    if "TrainingJobDefinition" in request:
        return [request["TrainingJobDefinition"]]
    return list(request.get("TrainingJobDefinitions", []))


def parameter_ranges(request: Mapping[str, Any], definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is searched; of a single definition this is said elsewhere than of several."""
    ranges: Mapping[str, Any] = definition.get(
        "HyperParameterRanges", request["HyperParameterTuningJobConfig"].get("ParameterRanges", {})
    )
    return ranges


def objective_of(request: Mapping[str, Any]) -> Objective:
    """The objective of a request that was checked, the same for all definitions."""
    config = request["HyperParameterTuningJobConfig"]
    written = definitions(request)[0].get("TuningObjective", config.get("HyperParameterTuningJobObjective"))
    return Objective(written["MetricName"], written["Type"])


def new_trial(document: Document, definition: int, values: Mapping[str, str]) -> dict[str, Any]:
    """The next trial of a job; its training job is named as AWS names it."""
    number = len(document["trials"]) + 1
    name = f"{document['HyperParameterTuningJobName']}-{number:03d}-{secrets.token_hex(4)}"
    return {"name": name, "definition": definition, "values": dict(values)}


def training_request(document: Mapping[str, Any], trial: Mapping[str, Any]) -> dict[str, Any]:
    """The CreateTrainingJob request of a trial."""
    definition = definitions(document)[trial["definition"]]
    algorithm = definition["AlgorithmSpecification"]
    request = {part: definition[part] for part in PARTS_OF_DEFINITION if part in definition}
    request |= {
        "TrainingJobName": trial["name"],
        "AlgorithmSpecification": algorithm,
        "ResourceConfig": resources(definition),
        "HyperParameters": {
            **definition.get("StaticHyperParameters", {}),
            **trial["values"],
            TUNING_OBJECTIVE: objective_of(document).metric,
        },
    }
    if "CheckpointConfig" in definition:  # each trial has checkpoints of its own, or they would go on from each other's
        place = Place.of(definition["CheckpointConfig"]["S3Uri"]).below(trial["name"])
        request["CheckpointConfig"] = {**definition["CheckpointConfig"], "S3Uri": str(place)}
    return request


def resources(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The ResourceConfig of a definition, which newer clients call HyperParameterTuningResourceConfig."""
    if "ResourceConfig" in definition:
        return dict(definition["ResourceConfig"])
    newer = definition.get("HyperParameterTuningResourceConfig", {})
    first = newer.get("InstanceConfigs", [{}])[0]
    members = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId")
    return {name: value for name, value in {**newer, **first}.items() if name in members}


def deleted_job(name: str, arn: str) -> Document:
    """What stands for a training job that was deleted before it was known how it had ended."""
    return {
        "TrainingJobName": name,
        "TrainingJobArn": arn,
        "CreationTime": time.time(),
        "status": "Failed",
        "FailureReason": "The training job was deleted.",
    }


def summary_of(document: Mapping[str, Any], trial: Mapping[str, Any], job: Mapping[str, Any]) -> dict[str, Any]:
    """What List tells of a trial.

    Args:
        job: document of its training job.
    """
    objective = objective_of(document)
    summary = {part: job[part] for part in PARTS_OF_SUMMARY if part in job}
    summary |= {"TrainingJobStatus": job["status"], "TunedHyperParameters": trial["values"]}
    name = definitions(document)[trial["definition"]].get("DefinitionName")
    if name is not None:
        summary["TrainingJobDefinitionName"] = name
    value = final_value(job, objective.metric)
    if job["status"] in ACTIVE:
        return summary | {"ObjectiveStatus": "Pending"}
    if value is None:
        return summary | {"ObjectiveStatus": "Failed"}
    final = {"MetricName": objective.metric, "Value": value, "Type": objective.direction}
    return summary | {"FinalHyperParameterTuningJobObjectiveMetric": final, "ObjectiveStatus": "Succeeded"}


def final_value(job: Mapping[str, Any], metric: str) -> float | None:
    """The last value of a metric of a job; None of one that failed, and of one that never came to report it."""
    if job["status"] == "Failed":
        return None
    values = [each["Value"] for each in job.get("FinalMetricDataList", []) if each["MetricName"] == metric]
    return float(values[0]) if values else None


def value_of(summary: Mapping[str, Any]) -> float | None:
    """The objective that a summary tells."""
    final = summary.get("FinalHyperParameterTuningJobObjectiveMetric")
    return None if final is None else float(final["Value"])


def counters(document: Mapping[str, Any]) -> dict[str, Any]:
    """How many training jobs are in which state."""
    summaries = [trial.get("summary") for trial in document["trials"]]
    statuses = ["InProgress" if each is None else each["TrainingJobStatus"] for each in summaries]
    objectives = ["Pending" if each is None else each["ObjectiveStatus"] for each in summaries]
    return {
        "TrainingJobStatusCounters": {
            "Completed": statuses.count("Completed"),
            "InProgress": statuses.count("InProgress"),
            "RetryableError": 0,
            "NonRetryableError": statuses.count("Failed"),
            "Stopped": statuses.count("Stopped"),
        },
        "ObjectiveStatusCounters": {name: objectives.count(name) for name in ("Succeeded", "Pending", "Failed")},
    }


def best_summary(summaries: Sequence[Mapping[str, Any]], objective: Objective) -> Mapping[str, Any] | None:
    """The one with the best value, the first of equals."""
    best: Mapping[str, Any] | None = None
    for summary in summaries:
        value = value_of(summary)
        if value is not None and objective.is_better(value, None if best is None else value_of(best)):
            best = summary
    return best


def own_best(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The summary of the best training job of a tuning job, if one has a value."""
    return best_summary([trial["summary"] for trial in document["trials"] if "summary" in trial],
                        objective_of(document))  # fmt: skip


def not_improving(document: Mapping[str, Any]) -> int:
    """How many training jobs have ended since the best one did."""
    best = own_best(document)
    ended = sorted(
        (trial["summary"] for trial in document["trials"] if "summary" in trial),
        key=lambda summary: summary.get("TrainingEndTime", summary["CreationTime"]),
    )
    return 0 if best is None else len(ended) - 1 - ended.index(best)


def end(document: Document) -> None:
    """End as `ending` says."""
    document["status"] = document["ending"]["status"]
    document["HyperParameterTuningEndTime"] = time.time()
    if document["ending"].get("reason"):
        document["FailureReason"] = document["ending"]["reason"]
