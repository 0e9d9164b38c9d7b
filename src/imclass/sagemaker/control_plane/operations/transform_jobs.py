"""SageMaker's operations on transform jobs."""

from imclass.sagemaker.control_plane.api.errors import job_not_found
from imclass.sagemaker.control_plane.hosting.served_models import model_of
from imclass.sagemaker.control_plane.operations.job_lookups import JobKind, add, begin_to_stop, found, told
from imclass.sagemaker.control_plane.operations.listing import next_token, selection_of
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane, Values
from imclass.sagemaker.control_plane.transform.documents import ACTIVE, KIND, new_document
from imclass.sagemaker.control_plane.transform.requests import check_transform_request

JOBS = JobKind(
    kind=KIND,
    in_words="transform job",
    prefix="TransformJob",
    active=ACTIVE,
    not_found=job_not_found,
    unique="Job name must be unique within an AWS account and region, and a job with this name already exists",
)


def create_transform_job(plane: Plane, request: Values) -> Values:
    """Remember a job and put it to work."""
    name = request["TransformJobName"]
    check_transform_request(request, plane.state, plane.buckets, plane.account)
    model = model_of(plane.state, request["ModelName"])
    answer = add(plane, JOBS, new_document(request, plane.account.arn(KIND, name), model), request)
    plane.transform_runs.start(name)
    return answer


def describe_transform_job(plane: Plane, request: Values) -> Values:
    return told(JOBS, found(plane, JOBS, request), "DescribeTransformJobResponse")


def list_transform_jobs(plane: Plane, request: Values) -> Values:
    page = plane.state.select(KIND, selection_of(request, "Descending"))
    summaries = [told(JOBS, document, "TransformJobSummary") for document in page.documents]
    return {"TransformJobSummaries": summaries, **next_token(page)}


def stop_transform_job(plane: Plane, request: Values) -> Values:
    """Let a job end soon, with the results that it has."""
    begin_to_stop(plane, JOBS, request)
    plane.transform_runs.stop(request["TransformJobName"])
    return {}


OPERATIONS: dict[str, Operation] = {
    "CreateTransformJob": create_transform_job,
    "DescribeTransformJob": describe_transform_job,
    "ListTransformJobs": list_transform_jobs,
    "StopTransformJob": stop_transform_job,
}
