"""What a CreateTrainingJob request must fulfil beyond the constraints of its members."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from imclass.sagemaker.control_plane.account import Account
from imclass.sagemaker.control_plane.api_errors import invalid, no_objects
from imclass.sagemaker.control_plane.buckets import Buckets, Place

IMAGE = re.compile(r"(?:[^/@]+/)?image-classification(?:-neo)?(?::[^/@]+|@sha256:[0-9a-f]{64})?")
CHECKPOINTS = "/opt/ml/checkpoints"
DAY = 24 * 3600
INPUT_MODES = ("File", "FastFile")
RESERVED_VARIABLES = re.compile(r"PATH|HOME|PYTHON.*|LD_.*|SAGEMAKER_BASE_DIR")
"""With these, a job could run programs of its own outside a container."""


def completed(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with the defaults of what jobs need."""
    stopping = {"MaxRuntimeInSeconds": DAY, **request.get("StoppingCondition", {})}
    return {**request, "StoppingCondition": stopping}


def check_training_request(request: Mapping[str, Any], buckets: Buckets, account: Account) -> None:
    """Check a complete request whose members fulfil their constraints.

    Raises:
        ApiError: everything that this server cannot do with it.
    """
    problems = [
        *_algorithm_problems(request.get("AlgorithmSpecification", {})),
        *_resource_problems(request.get("ResourceConfig", {})),
        *_time_problems(request),
        *_channel_problems(request.get("InputDataConfig", [])),
        *_environment_problems(request.get("Environment", {})),
        *_output_problems(request, buckets),
    ]
    if problems:
        raise invalid(" ".join(problems))
    mode = request["AlgorithmSpecification"]["TrainingInputMode"]
    for channel in request.get("InputDataConfig", []):
        check_channel(channel, mode, request["RoleArn"], buckets, account)


def _algorithm_problems(algorithm: Mapping[str, Any]) -> Iterable[str]:
    image = algorithm.get("TrainingImage")
    if image is None:
        yield "AlgorithmSpecification.TrainingImage must be given: this server runs image-classification."
    elif IMAGE.fullmatch(image) is None:
        yield (
            f"This server does not run {image!r}, only images of the repository image-classification, such as "
            "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1."
        )
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
    elif resources["InstanceCount"] != 1:
        yield "ResourceConfig.InstanceCount must be 1: this server does not run jobs on several hosts."


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


def _channel_problems(channels: list[Mapping[str, Any]]) -> Iterable[str]:
    names = [channel["ChannelName"] for channel in channels]
    for name in sorted({name for name in names if names.count(name) > 1 or set(name) <= {"."}}):
        yield f"The channel name {name!r} is given twice, or cannot be a folder."


def _environment_problems(environment: Mapping[str, str]) -> Iterable[str]:
    reserved = sorted(name for name in environment if RESERVED_VARIABLES.fullmatch(name))
    if reserved:
        yield f"Environment must not hold {', '.join(reserved)}: jobs are processes of this machine."


def _output_problems(request: Mapping[str, Any], buckets: Buckets) -> Iterable[str]:
    output, checkpoints = request["OutputDataConfig"], request.get("CheckpointConfig")
    yield from _place_problems("OutputDataConfig.S3OutputPath", output["S3OutputPath"], buckets)
    if output.get("CompressionType", "GZIP") != "GZIP":
        yield "OutputDataConfig.CompressionType must be GZIP."
    if checkpoints is not None:
        yield from _place_problems("CheckpointConfig.S3Uri", checkpoints["S3Uri"], buckets)
        if checkpoints.get("LocalPath", CHECKPOINTS).rstrip("/") != CHECKPOINTS:
            yield f"CheckpointConfig.LocalPath must be {CHECKPOINTS}, where the algorithm writes checkpoints."


def _place_problems(member: str, address: str, buckets: Buckets) -> Iterable[str]:
    try:
        place = Place.of(address)
    except ValueError as error:
        yield f"{member}: {error}."
        return
    if not buckets.exists(place.bucket):
        yield f"{member}: the bucket {place.bucket} does not exist."


def channel_mode(channel: Mapping[str, Any], mode_of_job: str) -> str:
    return str(channel.get("InputMode", mode_of_job))


def check_channel(channel: Mapping[str, Any], mode_of_job: str, role: str, buckets: Buckets, account: Account) -> None:
    """Check one channel, and that it has data.

    Raises:
        ApiError: its data cannot be had.
    """
    name, mode = channel["ChannelName"], channel_mode(channel, mode_of_job)
    source = channel["DataSource"].get("S3DataSource")
    if source is None:
        raise invalid(f"The channel {name!r} has no S3DataSource, the only source that this server reads.")
    if source["S3DataType"] != "S3Prefix":
        raise invalid(f"The channel {name!r} has the S3DataType {source['S3DataType']}; this server reads S3Prefix.")
    if mode not in INPUT_MODES:
        raise invalid(f"The channel {name!r} has the input mode {mode}; this server offers {', '.join(INPUT_MODES)}.")
    for member in ("CompressionType", "RecordWrapperType"):
        if channel.get(member, "None") != "None":
            raise invalid(f"The channel {name!r} has a {member}, which has no meaning in {mode} mode.")
    uri = source["S3Uri"]
    try:
        place = Place.of(uri)
    except ValueError as error:
        raise invalid(f"The channel {name!r}: {error}.") from error
    if next(buckets.objects(place), None) is None:
        raise no_objects(uri, place.bucket, role, account)
