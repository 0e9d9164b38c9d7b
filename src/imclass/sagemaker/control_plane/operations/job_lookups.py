"""Jobs of one kind by their names: made, found, asked to stop and forgotten, in the words of AWS."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from imclass.sagemaker.control_plane.api.errors import ApiError, invalid
from imclass.sagemaker.control_plane.api.service_models import described
from imclass.sagemaker.control_plane.operations.plane import Plane, Values
from imclass.sagemaker.control_plane.operations.tags import tags_of
from imclass.sagemaker.control_plane.store.state import Document, DuplicateError, MissingError


@dataclass(frozen=True)
class JobKind:
    """One kind of job.

    Attributes:
        kind: in the state and in ARNs.
        in_words: as messages name it.
        prefix: of its names in requests and answers, such as TrainingJob of TrainingJobName and TrainingJobStatus.
        active: the statuses of jobs that have not ended: the first of a new job, the last of one that is to end.
        not_found: the error for a name that no job has.
        unique: what AWS says of names that two jobs would have, up to the ARN of the one that is there.
    """

    kind: str
    in_words: str
    prefix: str
    active: tuple[str, ...]
    not_found: Callable[[str], ApiError]
    unique: str

    def name_in(self, request: Values) -> str:
        name: str = request[f"{self.prefix}Name"]
        return name


def add(plane: Plane, jobs: JobKind, document: Document, request: Values) -> Values:
    """Remember a new job, which is not at work yet; returns the answer, which is its ARN.

    Raises:
        ApiError: there is one of this name, or a tag is given twice.
    """
    name = jobs.name_in(request)
    arn = plane.account.arn(jobs.kind, name)
    try:
        plane.state.add(jobs.kind, name, arn, jobs.active[0], document, tags_of(request))
    except DuplicateError as error:
        raise ApiError("ResourceInUse", f"{jobs.unique} ({arn})") from error
    return {f"{jobs.prefix}Arn": arn}


def found(plane: Plane, jobs: JobKind, request: Values) -> Document:
    """The document of the job that a request names.

    Raises:
        ApiError: there is none.
    """
    name = jobs.name_in(request)
    try:
        return plane.state.get(jobs.kind, name)
    except MissingError as error:
        raise jobs.not_found(name) from error


@contextmanager
def changing(plane: Plane, jobs: JobKind, request: Values) -> Iterator[Document]:
    """The document of the job that a request names, which is remembered as the block leaves it.

    Raises:
        ApiError: there is none.
    """
    name = jobs.name_in(request)
    try:
        with plane.state.changing(jobs.kind, name) as document:
            yield document
    except MissingError as error:
        raise jobs.not_found(name) from error


def begin_to_stop(plane: Plane, jobs: JobKind, request: Values) -> None:
    """Enter that the job which a request names is to end; asking twice is no error.

    Raises:
        ApiError: there is none, or it has ended.
    """
    with changing(plane, jobs, request) as document:
        if document["status"] not in jobs.active:
            raise rejected(jobs, document)
        document["status"] = jobs.active[-1]


def forget(plane: Plane, jobs: JobKind, request: Values) -> None:
    """Forget a job that has ended, so that its name is free again; what it has made stays.

    Raises:
        ApiError: there is none, or it has not ended.
    """
    document = found(plane, jobs, request)
    if document["status"] in jobs.active:
        raise rejected(jobs, document)
    plane.state.remove(jobs.kind, jobs.name_in(request))


def rejected(jobs: JobKind, document: Document) -> ApiError:
    """Of what cannot be done with a job in its status."""
    return invalid(f"The request was rejected because the {jobs.in_words} is in status {document['status']}.")


def told(jobs: JobKind, document: Document, shape: str) -> Document:
    """What a shape of an answer tells of a job, as far as it stands in its document."""
    return described(document, shape) | {f"{jobs.prefix}Status": document["status"]}
