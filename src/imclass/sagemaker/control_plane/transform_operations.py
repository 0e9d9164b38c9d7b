"""SageMaker's operations on transform jobs."""

from imclass.sagemaker.control_plane.api_errors import ApiError, invalid, job_not_found
from imclass.sagemaker.control_plane.listing import next_token, selection_of
from imclass.sagemaker.control_plane.plane import Operation, Plane, Values
from imclass.sagemaker.control_plane.served_models import model_of
from imclass.sagemaker.control_plane.service_models import service_model
from imclass.sagemaker.control_plane.state import Document, DuplicateError, MissingError
from imclass.sagemaker.control_plane.tag_operations import tags_of
from imclass.sagemaker.control_plane.transform_documents import ACTIVE, IN_PROGRESS, KIND, STOPPING, new_document
from imclass.sagemaker.control_plane.transform_requests import check_transform_request


def create_transform_job(plane: Plane, request: Values) -> Values:
    """Remember a job and put it to work."""
    name = request["TransformJobName"]
    arn = plane.account.arn(KIND, name)
    check_transform_request(request, plane.state, plane.buckets, plane.account)
    document = new_document(request, arn, model_of(plane.state, request["ModelName"]))
    try:
        plane.state.add(KIND, name, arn, IN_PROGRESS, document, tags_of(request))
    except DuplicateError as error:
        raise ApiError(
            "ResourceInUse",
            "Job name must be unique within an AWS account and region, and a job with this name already exists "
            f"({arn})",
        ) from error
    plane.transform_runs.start(name)
    return {"TransformJobArn": arn}


def describe_transform_job(plane: Plane, request: Values) -> Values:
    try:
        document = plane.state.get(KIND, request["TransformJobName"])
    except MissingError as error:
        raise job_not_found() from error
    members = service_model("sagemaker").shape_for("DescribeTransformJobResponse").members
    return {name: value for name, value in document.items() if name in members} | {
        "TransformJobStatus": document["status"]
    }


def list_transform_jobs(plane: Plane, request: Values) -> Values:
    page = plane.state.select(KIND, selection_of(request, "Descending"))
    return {"TransformJobSummaries": [_summary(document) for document in page.documents], **next_token(page)}


def stop_transform_job(plane: Plane, request: Values) -> Values:
    """Let a job end soon, with the results that it has; asking twice is no error."""
    name = request["TransformJobName"]
    try:
        with plane.state.changing(KIND, name) as document:
            status = document["status"]
            if status not in ACTIVE:
                raise invalid(f"The request was rejected because the transform job is in status {status}.")
            document["status"] = STOPPING
    except MissingError as error:
        raise job_not_found() from error
    plane.transform_runs.stop(name)
    return {}


def _summary(document: Document) -> Document:
    names = (
        "TransformJobName", "TransformJobArn", "CreationTime", "TransformEndTime", "LastModifiedTime", "FailureReason"
    )  # fmt: skip
    return {name: document[name] for name in names if name in document} | {"TransformJobStatus": document["status"]}


OPERATIONS: dict[str, Operation] = {
    "CreateTransformJob": create_transform_job,
    "DescribeTransformJob": describe_transform_job,
    "ListTransformJobs": list_transform_jobs,
    "StopTransformJob": stop_transform_job,
}
