"""Models, endpoint configurations and endpoints by their names, or the words of AWS that there is none."""

from imclass.sagemaker.control_plane.api.errors import exists_already, not_found
from imclass.sagemaker.control_plane.hosting.documents import CONFIG, ENDPOINT, MODEL
from imclass.sagemaker.control_plane.operations.plane import Plane, Values
from imclass.sagemaker.control_plane.operations.tags import tags_of
from imclass.sagemaker.control_plane.store.state import Document, DuplicateError, MissingError

IN_WORDS = {MODEL: "model", CONFIG: "endpoint configuration", ENDPOINT: "endpoint"}
NO_STATUS = ""
"""Of models and configurations, which have none."""


def found(plane: Plane, kind: str, name: str) -> Document:
    """The document of a resource.

    Raises:
        ApiError: there is none.
    """
    try:
        return plane.state.get(kind, name)
    except MissingError as error:
        raise not_found(IN_WORDS[kind], plane.account.arn(kind, name)) from error


def add(plane: Plane, kind: str, name: str, document: Document, request: Values, status: str = NO_STATUS) -> str:
    """Remember a new resource; returns its ARN.

    Raises:
        ApiError: there is one of this name, or a tag is given twice.
    """
    arn = plane.account.arn(kind, name)
    try:
        plane.state.add(kind, name, arn, status, document, tags_of(request))
    except DuplicateError as error:
        raise exists_already(IN_WORDS[kind], arn) from error
    return arn


def remove(plane: Plane, kind: str, name: str) -> None:
    """Forget a resource.

    Raises:
        ApiError: there is none.
    """
    try:
        plane.state.remove(kind, name)
    except MissingError as error:
        raise not_found(IN_WORDS[kind], plane.account.arn(kind, name)) from error
