"""What a CreateCompilationJob request must fulfil beyond the constraints of its members."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from imclass.sagemaker.control_plane.api.errors import invalid
from imclass.sagemaker.control_plane.jobs.request_problems import place_problems
from imclass.sagemaker.control_plane.store.buckets import Buckets, Place

FRAMEWORKS = ("MXNET", "PYTORCH")
"""Whose models jobs of this server write; which of both a model is called does not matter."""
TARGET_DEVICES = ("ml_c4", "ml_c5", "ml_m4", "ml_m5")
SHAPES = 'such as {"data": [1, 3, 224, 224]}: one input, with images, channels, height and width'
DEFAULT_SECONDS = 900


def check_compilation_request(request: Mapping[str, Any], buckets: Buckets) -> None:
    """Check a request whose members fulfil their constraints.

    Raises:
        ApiError: everything that this server cannot do with it.
    """
    problems = [
        *_input_problems(request.get("InputConfig"), buckets),
        *_target_problems(request["OutputConfig"]),
        *place_problems("OutputConfig", request["OutputConfig"]["S3OutputLocation"], buckets),
    ]
    if "ModelPackageVersionArn" in request:
        problems.append("ModelPackageVersionArn is not supported: give InputConfig.")
    if problems:
        raise invalid(" ".join(problems))


def image_shape_of(config: str | None) -> tuple[int, int, int] | None:
    """(channels, height, width) in a DataInputConfig, whose batch is not looked at: compiled models take any.

    Args:
        config: JSON: an object with the shape of one input, a list with one shape, or a shape.

    Raises:
        ValueError: it is something else.
    """
    if config is None:
        return None
    value = json.loads(config)
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    elif isinstance(value, list) and len(value) == 1:
        value = value[0]
    is_shape = isinstance(value, list) and len(value) == 4 and all(type(side) is int and side > 0 for side in value)
    if not is_shape:
        raise ValueError("it is no shape")
    return value[1], value[2], value[3]


def _input_problems(config: Mapping[str, Any] | None, buckets: Buckets) -> Iterable[str]:
    if config is None:
        yield "InputConfig must be given."
        return
    if config["Framework"] not in FRAMEWORKS:
        yield f"InputConfig.Framework must be one of {', '.join(FRAMEWORKS)}, not {config['Framework']}."
    try:
        image_shape_of(config.get("DataInputConfig"))
    except ValueError as error:
        yield f"InputConfig.DataInputConfig must be JSON {SHAPES} ({error})."
    try:
        place = Place.of(config["S3Uri"])
    except ValueError as error:
        yield f"InputConfig: {error}."
        return
    if all(each.key != place.key for each in buckets.objects(place)):
        yield f"InputConfig.S3Uri: there is no object {place}; it must be the model.tar.gz of a training job."


def _target_problems(output: Mapping[str, Any]) -> Iterable[str]:
    device, platform = output.get("TargetDevice"), output.get("TargetPlatform")
    if (device is None) == (platform is None):
        yield "OutputConfig must have either TargetDevice or TargetPlatform."
    elif device is not None and device not in TARGET_DEVICES:
        yield f"TargetDevice {device} is not supported: this server compiles for {', '.join(TARGET_DEVICES)}."
    elif platform is not None and (platform["Os"], platform["Arch"]) != ("LINUX", "X86_64"):
        yield f"TargetPlatform {platform['Os']} {platform['Arch']} is not supported: give LINUX and X86_64."
    elif platform is not None and "Accelerator" in platform:
        yield f"TargetPlatform.Accelerator {platform['Accelerator']} is not supported: this server compiles for CPUs."
    if "CompilerOptions" in output:
        yield "OutputConfig.CompilerOptions is not supported: OpenVINO takes none."
