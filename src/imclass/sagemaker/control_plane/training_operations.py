"""SageMaker's operations on training jobs."""

from imclass.sagemaker.control_plane.api_errors import invalid, job_not_found, training_job_exists
from imclass.sagemaker.control_plane.listing import next_token, selection_of
from imclass.sagemaker.control_plane.plane import Operation, Plane, Values
from imclass.sagemaker.control_plane.service_models import service_model
from imclass.sagemaker.control_plane.state import Document, DuplicateError, MissingError
from imclass.sagemaker.control_plane.tag_operations import tags_of
from imclass.sagemaker.control_plane.training_documents import (
    ACTIVE,
    IN_PROGRESS,
    KIND,
    ask_to_stop,
    new_document,
)
from imclass.sagemaker.control_plane.training_requests import check_capacity, check_training_request, completed


def create_training_job(plane: Plane, request: Values) -> Values:
    """Remember a job and put it to work."""
    name = request["TrainingJobName"]
    arn = plane.account.arn(KIND, name)
    asked = completed(request)
    check_training_request(asked, plane.buckets, plane.account)
    check_capacity(asked, plane.training_runs.most_hosts)
    try:
        plane.state.add(KIND, name, arn, IN_PROGRESS, new_document(asked, arn), tags_of(request))
    except DuplicateError as error:
        raise training_job_exists(arn) from error
    plane.training_runs.start(name)
    return {"TrainingJobArn": arn}


def describe_training_job(plane: Plane, request: Values) -> Values:
    document = _document(plane, request["TrainingJobName"])
    members = service_model("sagemaker").operation_model("DescribeTrainingJob").output_shape.members
    return {name: value for name, value in document.items() if name in members} | {
        "TrainingJobStatus": document["status"],
        "EnableNetworkIsolation": document.get("EnableNetworkIsolation", False),
        "EnableInterContainerTrafficEncryption": document.get("EnableInterContainerTrafficEncryption", False),
        "EnableManagedSpotTraining": document.get("EnableManagedSpotTraining", False),
    }


def list_training_jobs(plane: Plane, request: Values) -> Values:
    page = plane.state.select(KIND, selection_of(request, "Descending"))
    return {"TrainingJobSummaries": [_summary(document) for document in page.documents], **next_token(page)}


def stop_training_job(plane: Plane, request: Values) -> Values:
    """Let a job end soon; asking twice is no error."""
    name = request["TrainingJobName"]
    try:
        with plane.state.changing(KIND, name) as document:
            if not ask_to_stop(document):
                status = document["status"]
                raise invalid(f"The request was rejected because the training job is in status {status}.")
    except MissingError as error:
        raise job_not_found() from error
    plane.training_runs.stop(name)
    return {}


def interrupt_training_job(plane: Plane, request: Values) -> Values:
    """Take its instances from a spot job, as AWS does when others pay more; it goes on from its checkpoints."""
    name = request["TrainingJobName"]
    try:
        with plane.state.changing(KIND, name) as document:
            if not document.get("EnableManagedSpotTraining"):
                raise invalid(f"The training job {name} was created without EnableManagedSpotTraining.")
            if document["status"] != IN_PROGRESS or document["SecondaryStatus"] != "Training":
                raise invalid(
                    f"The training job {name} is not training; it is in status {document['SecondaryStatus']}."
                )
            document["interrupt"] = True
    except MissingError as error:
        raise job_not_found() from error
    plane.training_runs.interrupt(name)
    return {}


def delete_training_job(plane: Plane, request: Values) -> Values:
    """Forget a job that has ended; its name is free again."""
    name = request["TrainingJobName"]
    status = _document(plane, name)["status"]
    if status in ACTIVE:
        raise invalid(f"The request was rejected because the training job is in status {status}.")
    plane.state.remove(KIND, name)
    return {}


def _document(plane: Plane, name: str) -> Document:
    try:
        return plane.state.get(KIND, name)
    except MissingError as error:
        raise job_not_found() from error


def _summary(document: Document) -> Document:
    names = (
        "TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingEndTime", "LastModifiedTime", "SecondaryStatus"
    )  # fmt: skip
    return {name: document[name] for name in names if name in document} | {"TrainingJobStatus": document["status"]}


OPERATIONS: dict[str, Operation] = {
    "CreateTrainingJob": create_training_job,
    "DescribeTrainingJob": describe_training_job,
    "ListTrainingJobs": list_training_jobs,
    "StopTrainingJob": stop_training_job,
    "DeleteTrainingJob": delete_training_job,
}
OWN_OPERATIONS: dict[str, Operation] = {"InterruptTrainingJob": interrupt_training_job}
