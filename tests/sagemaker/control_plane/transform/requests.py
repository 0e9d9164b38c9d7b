"""Requests for transform and compilation jobs, and the models that they are for."""

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.store.state import State
from tests.conftest import random_pixels
from tests.sagemaker.control_plane.server import DEADLINE, IMAGE, ROLE

MODEL_URL = "s3://bucket/model/model.tar.gz"
ENDED = ("Completed", "Failed", "Stopped", "COMPLETED", "FAILED", "STOPPED")


def add_model(data: Path, name: str, url: str = MODEL_URL, environment: dict[str, str] | None = None) -> None:
    """Put a model into the state of a control plane."""
    container = {"Image": IMAGE, "ModelDataUrl": url, "Environment": environment or {}}
    document = {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": container}
    with closing(State(data)) as state:
        state.add("model", name, Account().arn("model", name), "", document, {})


def encoded(seed: int) -> bytes:
    """A PNG."""
    return bytes(cv2.imencode(".png", random_pixels(seed)[:, :, ::-1])[1].tobytes())


def pixels(seed: int) -> np.ndarray:
    """(16, 16, 3) uint8: what is in `encoded(seed)`."""
    return random_pixels(seed)


def write_objects(data: Path, objects: dict[str, bytes]) -> None:
    """Put objects into the bucket."""
    for key, content in objects.items():
        file = data / "s3/bucket" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def transform(name: str, prefix: str = "s3://bucket/images/", **changes: Any) -> dict[str, Any]:
    """A CreateTransformJob request as the notebooks send it; members of TransformInput and TransformOutput may be given
    beside those of the request."""
    given = {
        "DataSource": {"S3DataSource": {"S3DataType": changes.pop("S3DataType", "S3Prefix"), "S3Uri": prefix}},
        "ContentType": "application/x-image",
        "SplitType": "None",
        "CompressionType": "None",
    }
    given |= {member: changes.pop(member) for member in list(given) if member in changes}
    output = {"S3OutputPath": f"s3://bucket/{name}/output"}
    output |= {
        member: changes.pop(member) for member in ("Accept", "AssembleWith", "S3OutputPath") if member in changes
    }
    return {
        "TransformJobName": name,
        "ModelName": "digits",
        "MaxConcurrentTransforms": 16,
        "MaxPayloadInMB": 6,
        "BatchStrategy": "SingleRecord",
        "TransformInput": given,
        "TransformOutput": output,
        "TransformResources": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1},
        **changes,
    }


def compilation(name: str, **output: Any) -> dict[str, Any]:
    """A CreateCompilationJob request as the SDK sends it."""
    return {
        "CompilationJobName": name,
        "RoleArn": ROLE,
        "InputConfig": {"S3Uri": MODEL_URL, "DataInputConfig": '{"data": [1, 3, 16, 16]}', "Framework": "MXNET"},
        "OutputConfig": {"S3OutputLocation": "s3://bucket/compiled", **(output or {"TargetDevice": "ml_m4"})},
        "StoppingCondition": {"MaxRuntimeInSeconds": 900},
    }


def end_of(sagemaker: Any, name: str, kind: str = "transform") -> dict[str, Any]:
    """The description of a job of a kind that has ended."""
    deadline = time.monotonic() + DEADLINE
    describe, member = getattr(sagemaker, f"describe_{kind}_job"), kind.title()
    while True:
        description: dict[str, Any] = describe(**{f"{member}JobName": name})
        if description[f"{member}JobStatus"] in ENDED:
            return description
        assert time.monotonic() < deadline, description
        time.sleep(0.05)


def results(data: Path, name: str) -> dict[str, bytes]:
    """The objects below the output of a transform job, by key."""
    root = data / "s3/bucket" / name / "output"
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def lines(logs: Any, group: str, stream: str) -> list[str]:
    """All that a stream holds."""
    page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)
    return [event["message"] for event in page["events"]]
