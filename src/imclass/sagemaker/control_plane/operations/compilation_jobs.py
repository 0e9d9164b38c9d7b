"""SageMaker's operations on compilation jobs."""

from imclass.sagemaker.control_plane.api.errors import ApiError
from imclass.sagemaker.control_plane.compilation.documents import ACTIVE, KIND, new_document
from imclass.sagemaker.control_plane.compilation.requests import check_compilation_request
from imclass.sagemaker.control_plane.operations.job_lookups import JobKind, add, begin_to_stop, forget, found, told
from imclass.sagemaker.control_plane.operations.listing import next_token, selection_of
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane, Values
from imclass.sagemaker.control_plane.store.state import Document


def not_found(name: str) -> ApiError:
    return ApiError("ResourceNotFound", f"Compilation job {name} does not exist.")


JOBS = JobKind(
    kind=KIND,
    in_words="compilation job",
    prefix="CompilationJob",
    active=ACTIVE,
    not_found=not_found,
    unique="Compilation job names must be unique within an AWS account and region, and a compilation job with this "
    "name already exists",
)


def create_compilation_job(plane: Plane, request: Values) -> Values:
    """Remember a job and put it to work."""
    name = request["CompilationJobName"]
    check_compilation_request(request, plane.buckets)
    answer = add(plane, JOBS, new_document(request, plane.account.arn(KIND, name), plane.account), request)
    plane.compilation_runs.start(name)
    return answer


def describe_compilation_job(plane: Plane, request: Values) -> Values:
    return told(JOBS, found(plane, JOBS, request), "DescribeCompilationJobResponse")


def list_compilation_jobs(plane: Plane, request: Values) -> Values:
    page = plane.state.select(KIND, selection_of(request, "Ascending"))
    return {"CompilationJobSummaries": [_summary(document) for document in page.documents], **next_token(page)}


def stop_compilation_job(plane: Plane, request: Values) -> Values:
    begin_to_stop(plane, JOBS, request)
    plane.compilation_runs.stop(request["CompilationJobName"])
    return {}


def delete_compilation_job(plane: Plane, request: Values) -> Values:
    forget(plane, JOBS, request)
    return {}


def _summary(document: Document) -> Document:
    output = document["OutputConfig"]
    platform = output.get("TargetPlatform", {})
    target = {
        "CompilationTargetDevice": output.get("TargetDevice"),
        "CompilationTargetPlatformOs": platform.get("Os"),
        "CompilationTargetPlatformArch": platform.get("Arch"),
    }
    return told(JOBS, document, "CompilationJobSummary") | {
        name: value for name, value in target.items() if value is not None
    }


OPERATIONS: dict[str, Operation] = {
    "CreateCompilationJob": create_compilation_job,
    "DescribeCompilationJob": describe_compilation_job,
    "ListCompilationJobs": list_compilation_jobs,
    "StopCompilationJob": stop_compilation_job,
    "DeleteCompilationJob": delete_compilation_job,
}
