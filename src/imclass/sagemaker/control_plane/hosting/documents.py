"""The documents of models, endpoint configurations and endpoints: what Describe tells, and how it changes.

A model or a configuration is the request that made it, with its ARN. Of an endpoint, members that begin with a small
letter are ours: `status` (EndpointStatus), `deployed`, which answers requests, and `pending`, which is to. Both are
deployments as `Deployment.as_document` writes them.
"""

from collections.abc import Mapping
from typing import Any

from imclass.sagemaker.control_plane.api.service_models import described
from imclass.sagemaker.control_plane.hosting import served_models
from imclass.sagemaker.control_plane.hosting.deployment import Deployment, Variant
from imclass.sagemaker.control_plane.jobs.failure_reasons import LONGEST_REASON
from imclass.sagemaker.control_plane.store.state import Document

MODEL = served_models.KIND
CONFIG = "endpoint-config"
ENDPOINT = "endpoint"

CREATING, UPDATING, DELETING = "Creating", "Updating", "Deleting"
IN_SERVICE, OUT_OF_SERVICE, FAILED = "InService", "OutOfService", "Failed"
CHANGEABLE = (IN_SERVICE, OUT_OF_SERVICE)
"""Only then an endpoint takes changes; the second is that of one whose instances are all being started again."""
ALL = (CREATING, UPDATING, DELETING, IN_SERVICE, OUT_OF_SERVICE, FAILED)


def request_document(request: Mapping[str, Any], **members: str) -> Document:
    """A request without its tags, which are kept apart, and with some members more."""
    return {**{name: value for name, value in request.items() if name != "Tags"}, **members}


def new_endpoint(request: Mapping[str, Any], arn: str, deployment: Deployment) -> Document:
    """Of an endpoint that was just asked for."""
    return request_document(request, EndpointArn=arn) | {"pending": deployment.as_document()}


def ask_for(document: Document, deployment: Deployment) -> None:
    """Ask an endpoint that is in service for another deployment."""
    document["pending"] = deployment.as_document()
    document["status"] = UPDATING


def arrive(document: Document) -> None:
    """What was asked for answers requests."""
    document["deployed"] = document.pop("pending")
    document["EndpointConfigName"] = document["deployed"]["config_name"]
    document.pop("FailureReason", None)
    if document["status"] != DELETING:
        document["status"] = IN_SERVICE


def give_up(document: Document, reason: str) -> None:
    """What was asked for does not work: an endpoint that has answered before stays as it was."""
    document["FailureReason"] = reason[:LONGEST_REASON]
    if document["status"] == UPDATING:
        del document["pending"]
        document["status"] = IN_SERVICE
    elif document["status"] != DELETING:
        document["status"] = FAILED


def deployment_of(document: Document, name: str) -> Deployment | None:
    """The deployment `deployed` or `pending`, if there is one."""
    return Deployment.of_document(document[name]) if name in document else None


def describe(document: Document, healthy: Mapping[str, int]) -> Document:
    """The answer of DescribeEndpoint.

    Args:
        healthy: how many instances answer, by variant name.
    """
    deployed, pending = deployment_of(document, "deployed"), deployment_of(document, "pending")
    shown = deployed or pending
    assert shown is not None, "an endpoint has something to run, or to wait for"
    wanted = pending if pending is not None and pending.id == shown.id else shown
    summaries = [
        summary(variant, target, healthy.get(variant.name, 0), shown.begun)
        for variant, target in zip(shown.variants, wanted.variants, strict=True)
    ]
    answer = described(document, "DescribeEndpointOutput") | {
        "EndpointStatus": document["status"],
        "ProductionVariants": summaries,
    }
    if shown.capture is not None:
        answer["DataCaptureConfig"] = {
            "EnableCapture": True,
            "CaptureStatus": "Started",
            "CurrentSamplingPercentage": shown.capture.percentage,
            "DestinationS3Uri": shown.capture.destination,
            "KmsKeyId": "",
        }
    if deployed is not None and pending is not None:
        answer["PendingDeploymentSummary"] = {
            "EndpointConfigName": pending.config_name,
            "ProductionVariants": [summary(each, each, 0, pending.begun) for each in pending.variants],
            "StartTime": pending.begun,
        }
    return answer


def summary(variant: Variant, target: Variant, healthy: int, begun: float) -> Document:
    """A member of ProductionVariants."""
    image = {"SpecifiedImage": variant.image, "ResolvedImage": variant.image, "ResolutionTime": begun}
    return {
        "VariantName": variant.name,
        "DeployedImages": [image],
        "CurrentWeight": variant.weight,
        "DesiredWeight": target.weight,
        "CurrentInstanceCount": healthy,
        "DesiredInstanceCount": target.instance_count,
    }
