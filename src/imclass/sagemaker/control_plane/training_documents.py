"""The document of a training job: what Describe tells, and how it changes.

Members that begin with a small letter are ours: `status` (TrainingJobStatus), `slot`, `logStream`.
"""

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imclass.sagemaker.control_plane.buckets import Place
from imclass.sagemaker.control_plane.log_files import read_events
from imclass.sagemaker.control_plane.state import Document

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
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}

METRICS = {
    "train:accuracy": r"Epoch\[\d+\] Train-accuracy=([0-9.]+)",
    "validation:accuracy": r"Epoch\[\d+\] Validation-accuracy=([0-9.]+)",
}
"""By name, the expressions that find them in the log."""

LONGEST_REASON = 1024  # characters of FailureReason
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
        document["TrainingStartTime"] = now


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
        seconds = max(1, round(now - document["TrainingStartTime"])) * document["ResourceConfig"]["InstanceCount"]
        document |= {"TrainingEndTime": now, "TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}


def failure_reason(failure: Path, exit_status: int) -> str:
    """What the container wrote to `output/failure`, with its exit status, as AWS tells it."""
    ending = f", exit code: {exit_status}"
    if failure.exists():
        with failure.open("rb") as file:
            text = file.read(4 * LONGEST_REASON).decode("utf-8", "replace").strip()
    else:
        text = "AlgorithmError: the container ended without saying why; its log may tell"
    return f"{text[: LONGEST_REASON - len(ending)]}{ending}"


def final_metrics(log_file: Path) -> list[dict[str, Any]]:
    """FinalMetricDataList: the last value of each metric in a log, in the precision that AWS keeps."""
    expressions = {name: re.compile(regex) for name, regex in METRICS.items()}
    last: dict[str, dict[str, Any]] = {}
    for event in read_events(log_file):
        for name, expression in expressions.items():
            if found := expression.search(event.message):
                value = float(np.float32(found[1]))
                last[name] = {"MetricName": name, "Value": value, "Timestamp": event.timestamp / 1000}
    return [last[name] for name in sorted(last)]
