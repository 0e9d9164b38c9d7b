"""SageMaker's operations on compilation jobs."""

from imclass.sagemaker.control_plane.api_errors import ApiError, invalid
from imclass.sagemaker.control_plane.compilation_documents import ACTIVE, KIND, STARTING, STOPPING, new_document
from imclass.sagemaker.control_plane.compilation_requests import check_compilation_request
from imclass.sagemaker.control_plane.listing import next_token, selection_of
from imclass.sagemaker.control_plane.plane import Operation, Plane, Values
from imclass.sagemaker.control_plane.service_models import service_model
from imclass.sagemaker.control_plane.state import Document, DuplicateError, MissingError
from imclass.sagemaker.control_plane.tag_operations import tags_of


def create_compilation_job(plane: Plane, request: Values) -> Values:
    """Remember a job and put it to work."""
    name = request["CompilationJobName"]
    arn = plane.account.arn(KIND, name)
    check_compilation_request(request, plane.buckets)
    try:
        plane.state.add(KIND, name, arn, STARTING, new_document(request, arn, plane.account), tags_of(request))
    except DuplicateError as error:
        raise ApiError(
            "ResourceInUse",
            "Compilation job names must be unique within an AWS account and region, and a compilation job with this "
            f"name already exists ({arn})",
        ) from error
    plane.compilation_runs.start(name)
    return {"CompilationJobArn": arn}


def describe_compilation_job(plane: Plane, request: Values) -> Values:
    document = _document(plane, request["CompilationJobName"])
    members = service_model("sagemaker").shape_for("DescribeCompilationJobResponse").members
    return {name: value for name, value in document.items() if name in members} | {
        "CompilationJobStatus": document["status"]
    }


def list_compilation_jobs(plane: Plane, request: Values) -> Values:
    page = plane.state.select(KIND, selection_of(request, "Ascending"))
    return {"CompilationJobSummaries": [_summary(document) for document in page.documents], **next_token(page)}


def stop_compilation_job(plane: Plane, request: Values) -> Values:
    """Let a job end soon; asking twice is no error."""
    name = request["CompilationJobName"]
    try:
        with plane.state.changing(KIND, name) as document:
            status = document["status"]
            if status not in ACTIVE:
                raise invalid(f"The request was rejected because the compilation job is in status {status}.")
            document["status"] = STOPPING
    except MissingError as error:
        raise _not_found(name) from error
    plane.compilation_runs.stop(name)
    return {}


def delete_compilation_job(plane: Plane, request: Values) -> Values:
    """Forget a job that has ended; what it has compiled stays, and its name is free again."""
    name = request["CompilationJobName"]
    status = _document(plane, name)["status"]
    if status in ACTIVE:
        raise invalid(f"The request was rejected because the compilation job is in status {status}.")
    plane.state.remove(KIND, name)
    return {}


def _document(plane: Plane, name: str) -> Document:
    try:
        return plane.state.get(KIND, name)
    except MissingError as error:
        raise _not_found(name) from error


def _not_found(name: str) -> ApiError:
    return ApiError("ResourceNotFound", f"Compilation job {name} does not exist.")


def _summary(document: Document) -> Document:
    names = (
        "CompilationJobName",
        "CompilationJobArn",
        "CreationTime",
        "CompilationStartTime",
        "CompilationEndTime",
        "LastModifiedTime",
    )
    output = document["OutputConfig"]
    platform = output.get("TargetPlatform", {})
    target = {
        "CompilationTargetDevice": output.get("TargetDevice"),
        "CompilationTargetPlatformOs": platform.get("Os"),
        "CompilationTargetPlatformArch": platform.get("Arch"),
    }
    return (
        {name: document[name] for name in names if name in document}
        | {name: value for name, value in target.items() if value is not None}
        | {"CompilationJobStatus": document["status"]}
    )


OPERATIONS: dict[str, Operation] = {
    "CreateCompilationJob": create_compilation_job,
    "DescribeCompilationJob": describe_compilation_job,
    "ListCompilationJobs": list_compilation_jobs,
    "StopCompilationJob": stop_compilation_job,
    "DeleteCompilationJob": delete_compilation_job,
}
