"""The document of a compilation job: what Describe tells, and how it changes.

Members that begin with a small letter are ours: `status` (CompilationJobStatus), `slots`, `logStream`.
"""

from collections.abc import Mapping
from typing import Any

from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.store.buckets import Place
from imclass.sagemaker.control_plane.store.state import Document

KIND = "compilation-job"
STARTING, IN_PROGRESS, STOPPING = "STARTING", "INPROGRESS", "STOPPING"
ACTIVE = (STARTING, IN_PROGRESS, STOPPING)
ARCHIVE = ".tar.gz"
INFERENCE_REPOSITORY = "image-classification-neo"

PARTS_OF_REQUEST = ("CompilationJobName", "RoleArn", "InputConfig", "OutputConfig", "VpcConfig", "StoppingCondition")


def new_document(request: Mapping[str, Any], arn: str, account: Account) -> Document:
    """Of a job that was just asked for."""
    return {name: request[name] for name in PARTS_OF_REQUEST if name in request} | {
        "CompilationJobArn": arn,
        "FailureReason": "",
        "ModelArtifacts": {"S3ModelArtifacts": str(artifact_place(request))},
        "InferenceImage": f"{account.number}.dkr.ecr.{account.region}.amazonaws.com/{INFERENCE_REPOSITORY}:latest",
        "logStream": request["CompilationJobName"],
    }


def target_of(output: Mapping[str, Any]) -> str:
    """What an OutputConfig compiles for, as it stands in the name of the archive."""
    platform = output.get("TargetPlatform")
    return output["TargetDevice"] if platform is None else f"{platform['Os']}_{platform['Arch']}"


def artifact_place(request: Mapping[str, Any]) -> Place:
    """Where the compiled archive goes: `S3OutputLocation/model-ml_c5.tar.gz` for a `model.tar.gz`."""
    name = request["InputConfig"]["S3Uri"].rpartition("/")[2].removesuffix(ARCHIVE)
    output = request["OutputConfig"]
    return Place.of(output["S3OutputLocation"]).below(f"{name}-{target_of(output)}{ARCHIVE}")
