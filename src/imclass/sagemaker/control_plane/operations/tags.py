"""SageMaker's operations on the tags of anything that has an ARN."""

from imclass.sagemaker.control_plane.api.errors import ApiError, invalid
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane, Values

MOST_TAGS = 50


def tags_of(request: Values) -> dict[str, str]:
    """The tags in a request, by key.

    Raises:
        ApiError: a key is given twice.
    """
    tags = request.get("Tags", [])
    by_key = {tag["Key"]: tag["Value"] for tag in tags}
    if len(by_key) < len(tags):
        raise invalid("Tags must not hold a key twice.")
    return by_key


def add_tags(plane: Plane, request: Values) -> Values:
    arn = _known(plane, request["ResourceArn"])
    tags = tags_of(request)
    if len(plane.state.tags(arn) | tags) > MOST_TAGS:
        raise ApiError("ResourceLimitExceeded", f"A resource has at most {MOST_TAGS} tags.")
    plane.state.add_tags(arn, tags)
    return {"Tags": _listed(plane, arn)}


def delete_tags(plane: Plane, request: Values) -> Values:
    plane.state.remove_tags(_known(plane, request["ResourceArn"]), request["TagKeys"])
    return {}


def list_tags(plane: Plane, request: Values) -> Values:
    """All tags; there are never more than fit on one page."""
    return {"Tags": _listed(plane, _known(plane, request["ResourceArn"]))}


def _known(plane: Plane, arn: str) -> str:
    if not plane.state.has_arn(arn):
        raise ApiError("ResourceNotFound", f"There is no resource {arn}.")
    return arn


def _listed(plane: Plane, arn: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in plane.state.tags(arn).items()]


OPERATIONS: dict[str, Operation] = {"AddTags": add_tags, "DeleteTags": delete_tags, "ListTags": list_tags}
