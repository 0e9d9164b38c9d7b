"""The document of a training job: what Describe tells, and how it changes.

Members that begin with a small letter are ours: `status` (TrainingJobStatus), `slots` (the places that it has),
`attempt` (from 1; one more after each interruption), `interrupt` (whether an interruption is under way), `logStream`
(of the leading host in this attempt).
"""

import math
import time
from collections.abc import Container, Mapping
from typing import Any

from imclass.sagemaker.control_plane.jobs.failure_reasons import LONGEST_REASON
from imclass.sagemaker.control_plane.store.buckets import Place
from imclass.sagemaker.control_plane.store.state import Document

KIND = "training-job"
MODEL = "model.tar.gz"
OUTPUT = "output.tar.gz"
IN_PROGRESS, STOPPING = "InProgress", "Stopping"
ACTIVE = (IN_PROGRESS, STOPPING)

MESSAGES = {
    "Starting": "Starting the training job",
    "Pending": "Training job waiting for capacity...",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Stopping": "Stopping the training job",
    "Interrupted": "The instances were taken back; the job goes on from its last checkpoint",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job waiting and runtime exceeded MaxWaitTimeInSeconds provided",
}
WAITING = ("Interrupted", "Starting", "Pending")
"""Secondary statuses in which a job costs nothing."""

METRICS = {
    "train:accuracy": r"Epoch\[\d+\] Train-accuracy=([0-9.]+)",
    "validation:accuracy": r"Epoch\[\d+\] Validation-accuracy=([0-9.]+)",
}
"""By name, the expressions that find them in the log."""

PARTS_OF_REQUEST = (
    "HyperParameters",
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "VpcConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "CheckpointConfig",
    "DebugHookConfig",
    "ExperimentConfig",
    "TensorBoardOutputConfig",
    "ProfilerConfig",
    "Environment",
    "RetryStrategy",
)


def new_document(request: Mapping[str, Any], arn: str) -> Document:
    """Of a job that was just asked for."""
    document = {name: request[name] for name in PARTS_OF_REQUEST if name in request}
    document |= {"TrainingJobName": request["TrainingJobName"], "TrainingJobArn": arn}
    document["AlgorithmSpecification"] = {
        **request["AlgorithmSpecification"],
        "MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in METRICS.items()],
        "EnableSageMakerMetricsTimeSeries": False,
    }
    # Estimator.attach reads it without asking whether it is there.
    document["OutputDataConfig"] = {"KmsKeyId": "", **request["OutputDataConfig"]}
    document["ModelArtifacts"] = {"S3ModelArtifacts": str(output_place(document).below(MODEL))}
    document["SecondaryStatusTransitions"] = []
    document["attempt"] = 1
    advance(document, "Starting")
    return document


def output_place(document: Document) -> Place:
    """Where the job's model.tar.gz and output.tar.gz are."""
    return Place.of(document["OutputDataConfig"]["S3OutputPath"]).below(document["TrainingJobName"], "output")


def advance(document: Document, secondary_status: str) -> None:
    """Enter the next stage, unless the job is in it already."""
    if document.get("SecondaryStatus") == secondary_status:
        return
    now = time.time()
    transitions = document["SecondaryStatusTransitions"]
    if transitions:
        transitions[-1]["EndTime"] = now
    transitions.append({"Status": secondary_status, "StartTime": now, "StatusMessage": MESSAGES[secondary_status]})
    document["SecondaryStatus"] = secondary_status
    if secondary_status == "Downloading":
        document.setdefault("TrainingStartTime", now)  # not again after an interruption


def ask_to_stop(document: Document) -> bool:
    """Enter the stage of stopping; False if the job has ended."""
    if document["status"] not in ACTIVE:
        return False
    document["status"] = STOPPING
    advance(document, "Stopping")
    return True


def end(document: Document, status: str, secondary_status: str, reason: str | None = None) -> None:
    """Enter the last stage."""
    advance(document, secondary_status)
    now = document["SecondaryStatusTransitions"][-1]["StartTime"]
    document["SecondaryStatusTransitions"][-1]["EndTime"] = now
    document["status"] = status
    if reason is not None:
        document["FailureReason"] = reason[:LONGEST_REASON]
    if "TrainingStartTime" in document:
        whole, hosts = now - document["TrainingStartTime"], document["ResourceConfig"]["InstanceCount"]
        billable = whole - seconds_in(document, WAITING, since=document["TrainingStartTime"])
        document["TrainingEndTime"] = now
        document["TrainingTimeInSeconds"] = max(1, round(whole)) * hosts
        document["BillableTimeInSeconds"] = max(1, round(billable)) * hosts


def seconds_in(document: Document, statuses: Container[str], since: float = 0.0) -> float:
    """How long a job was in secondary statuses that have ended.

    Args:
        since: only those that began then or later, in seconds since 1970.
    """
    ended = (
        float(each["EndTime"] - each["StartTime"])
        for each in document["SecondaryStatusTransitions"]
        if each["Status"] in statuses and "EndTime" in each and each["StartTime"] >= since
    )
    return sum(ended)


def end_of_waiting(document: Document) -> float:
    """When a spot job is given up, in seconds since 1970; never for other jobs."""
    seconds = document["StoppingCondition"].get("MaxWaitTimeInSeconds")
    return math.inf if seconds is None else float(document["CreationTime"] + seconds)


def deadline(document: Document) -> float:
    """When a job that begins to train now is stopped, in seconds since 1970."""
    left = float(document["StoppingCondition"]["MaxRuntimeInSeconds"]) - seconds_in(document, ("Training",))
    return min(time.time() + left, end_of_waiting(document))


def interrupt(document: Document) -> None:
    """Let a spot job that was interrupted wait for its next attempt."""
    del document["interrupt"], document["slots"]
    document["attempt"] += 1
    advance(document, "Interrupted")
    advance(document, "Starting")
