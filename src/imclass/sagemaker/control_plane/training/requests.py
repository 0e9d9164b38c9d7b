"""What a CreateTrainingJob request must fulfil beyond the constraints of its members."""

from collections.abc import Iterable, Mapping
from typing import Any

from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.api.errors import ApiError, invalid
from imclass.sagemaker.control_plane.jobs.request_problems import environment_problems, image_problems, place_problems
from imclass.sagemaker.control_plane.store.buckets import Buckets
from imclass.sagemaker.control_plane.training.channel_requests import channel_problems, check_channels

CHECKPOINTS = "/opt/ml/checkpoints"
DAY = 24 * 3600


def completed(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with the defaults of what jobs need."""
    stopping = {"MaxRuntimeInSeconds": DAY, **request.get("StoppingCondition", {})}
    return {**request, "StoppingCondition": stopping}


def check_training_request(request: Mapping[str, Any], buckets: Buckets, account: Account) -> None:
    """Check a complete request whose members fulfil their constraints.

    Raises:
        ApiError: everything that this server cannot do with it.
    """
    algorithm = request.get("AlgorithmSpecification", {})
    problems = [
        *_algorithm_problems(algorithm),
        *_resource_problems(request.get("ResourceConfig", {})),
        *_time_problems(request),
        *channel_problems(request.get("InputDataConfig", []), algorithm.get("TrainingInputMode", "File")),
        *environment_problems(request.get("Environment", {}), "jobs"),
        *_output_problems(request, buckets),
    ]
    if problems:
        raise invalid(" ".join(problems))
    check_channels(request, buckets, account)


def check_capacity(request: Mapping[str, Any], slots: int) -> None:
    """Check that a job has not more hosts than there are places.

    Raises:
        ApiError: it would wait for ever.
    """
    count = request["ResourceConfig"]["InstanceCount"]
    if count > slots:
        raise ApiError(
            "ResourceLimitExceeded",
            f"The server's limit of instances that work at once is {slots}, with a request for {count}. "
            f"Start it with --slots {count} or more.",
        )


def _algorithm_problems(algorithm: Mapping[str, Any]) -> Iterable[str]:
    image = algorithm.get("TrainingImage")
    if image is None:
        yield "AlgorithmSpecification.TrainingImage must be given: this server runs image-classification."
    else:
        yield from image_problems(image)
    if algorithm.get("MetricDefinitions"):
        yield "You can't override the metric definitions for Amazon SageMaker algorithms."
    for name in ("ContainerEntrypoint", "ContainerArguments"):
        if algorithm.get(name):
            yield f"AlgorithmSpecification.{name} cannot be given: jobs run imclass's own command."


def _resource_problems(resources: Mapping[str, Any]) -> Iterable[str]:
    if "InstanceGroups" in resources:
        yield "ResourceConfig.InstanceGroups is not supported; give InstanceType and InstanceCount."
    elif "InstanceCount" not in resources:
        yield "ResourceConfig.InstanceCount must be given."
    elif resources["InstanceCount"] < 1:
        yield "ResourceConfig.InstanceCount must be at least 1."


def _time_problems(request: Mapping[str, Any]) -> Iterable[str]:
    stopping = request["StoppingCondition"]
    wait, runtime = stopping.get("MaxWaitTimeInSeconds"), stopping["MaxRuntimeInSeconds"]
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < runtime:
            yield (
                "MaxWaitTimeInSeconds must be given with EnableManagedSpotTraining, and be at least "
                f"MaxRuntimeInSeconds ({runtime})."
            )
    elif wait is not None:
        yield "MaxWaitTimeInSeconds can only be given with EnableManagedSpotTraining."


def _output_problems(request: Mapping[str, Any], buckets: Buckets) -> Iterable[str]:
    output, checkpoints = request["OutputDataConfig"], request.get("CheckpointConfig")
    yield from place_problems("OutputDataConfig.S3OutputPath", output["S3OutputPath"], buckets)
    if output.get("CompressionType", "GZIP") != "GZIP":
        yield "OutputDataConfig.CompressionType must be GZIP."
    if checkpoints is not None:
        yield from place_problems("CheckpointConfig.S3Uri", checkpoints["S3Uri"], buckets)
        if checkpoints.get("LocalPath", CHECKPOINTS).rstrip("/") != CHECKPOINTS:
            yield f"CheckpointConfig.LocalPath must be {CHECKPOINTS}, where the algorithm writes checkpoints."
