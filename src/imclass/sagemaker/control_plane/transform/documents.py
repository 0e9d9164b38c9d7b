"""The document of a transform job: what Describe tells, and how it changes.

Members that begin with a small letter are ours: `status` (TransformJobStatus), `slots`, `logStream`, and `model`: what
the model was when the job was asked for, because it may be deleted meanwhile.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from imclass.sagemaker.control_plane.hosting.served_models import ServedModel
from imclass.sagemaker.control_plane.store.state import Document

KIND = "transform-job"
IN_PROGRESS, STOPPING = "InProgress", "Stopping"
ACTIVE = (IN_PROGRESS, STOPPING)
INSTANCE = "i-00000000000000001"
"""The machine that does the work is always this one, whatever InstanceCount says."""

PARTS_OF_REQUEST = (
    "TransformJobName",
    "ModelName",
    "MaxConcurrentTransforms",
    "ModelClientConfig",
    "MaxPayloadInMB",
    "BatchStrategy",
    "Environment",
    "TransformInput",
    "TransformOutput",
    "TransformResources",
    "DataProcessing",
    "ExperimentConfig",
)


def new_document(request: Mapping[str, Any], arn: str, model: ServedModel) -> Document:
    """Of a job that was just asked for."""
    return {name: request[name] for name in PARTS_OF_REQUEST if name in request} | {
        "TransformJobArn": arn,
        "model": asdict(model),
        "logStream": f"{request['TransformJobName']}/{INSTANCE}-{int(time.time())}",
    }
