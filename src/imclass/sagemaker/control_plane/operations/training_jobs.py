"""SageMaker's operations on training jobs."""

from imclass.sagemaker.control_plane.api.errors import invalid, job_not_found
from imclass.sagemaker.control_plane.operations.job_lookups import JobKind, add, changing, forget, found, rejected, told
from imclass.sagemaker.control_plane.operations.listing import next_token, selection_of
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane, Values
from imclass.sagemaker.control_plane.training.documents import ACTIVE, IN_PROGRESS, KIND, ask_to_stop, new_document
from imclass.sagemaker.control_plane.training.requests import check_capacity, check_training_request, completed

JOBS = JobKind(
    kind=KIND,
    in_words="training job",
    prefix="TrainingJob",
    active=ACTIVE,
    not_found=job_not_found,
    unique="Training job names must be unique within an AWS account and region, and a training job with this name "
    "already exists",
)
SWITCHES = ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining")
"""Members that are false where a request has none."""


def create_training_job(plane: Plane, request: Values) -> Values:
    """Remember a job and put it to work."""
    name = request["TrainingJobName"]
    asked = completed(request)
    check_training_request(asked, plane.buckets, plane.account)
    check_capacity(asked, plane.training_runs.most_hosts)
    answer = add(plane, JOBS, new_document(asked, plane.account.arn(KIND, name)), request)
    plane.training_runs.start(name)
    return answer


def describe_training_job(plane: Plane, request: Values) -> Values:
    document = found(plane, JOBS, request)
    return dict.fromkeys(SWITCHES, False) | told(JOBS, document, "DescribeTrainingJobResponse")


def list_training_jobs(plane: Plane, request: Values) -> Values:
    page = plane.state.select(KIND, selection_of(request, "Descending"))
    summaries = [told(JOBS, document, "TrainingJobSummary") for document in page.documents]
    return {"TrainingJobSummaries": summaries, **next_token(page)}


def stop_training_job(plane: Plane, request: Values) -> Values:
    """Let a job end soon; asking twice is no error."""
    with changing(plane, JOBS, request) as document:
        if not ask_to_stop(document):
            raise rejected(JOBS, document)
    plane.training_runs.stop(request["TrainingJobName"])
    return {}


def interrupt_training_job(plane: Plane, request: Values) -> Values:
    """Take its instances from a spot job, as AWS does when others pay more; it goes on from its checkpoints."""
    name = request["TrainingJobName"]
    with changing(plane, JOBS, request) as document:
        if not document.get("EnableManagedSpotTraining"):
            raise invalid(f"The training job {name} was created without EnableManagedSpotTraining.")
        if document["status"] != IN_PROGRESS or document["SecondaryStatus"] != "Training":
            raise invalid(f"The training job {name} is not training; it is in status {document['SecondaryStatus']}.")
        document["interrupt"] = True
    plane.training_runs.interrupt(name)
    return {}


def delete_training_job(plane: Plane, request: Values) -> Values:
    forget(plane, JOBS, request)
    return {}


OPERATIONS: dict[str, Operation] = {
    "CreateTrainingJob": create_training_job,
    "DescribeTrainingJob": describe_training_job,
    "ListTrainingJobs": list_training_jobs,
    "StopTrainingJob": stop_training_job,
    "DeleteTrainingJob": delete_training_job,
}
OWN_OPERATIONS: dict[str, Operation] = {"InterruptTrainingJob": interrupt_training_job}
