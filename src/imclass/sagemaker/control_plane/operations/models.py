"""SageMaker's operations on models."""

from collections.abc import Iterable

from imclass.sagemaker.control_plane.api.errors import invalid, model_data_missing
from imclass.sagemaker.control_plane.api.service_models import described
from imclass.sagemaker.control_plane.hosting.documents import MODEL, request_document
from imclass.sagemaker.control_plane.hosting.served_models import container_of, data_at, model_data_of
from imclass.sagemaker.control_plane.jobs.request_problems import environment_problems, image_problems
from imclass.sagemaker.control_plane.operations.hosting_lookups import add, found, remove
from imclass.sagemaker.control_plane.operations.listing import next_token, selection_of
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane, Values
from imclass.sagemaker.control_plane.store.buckets import Place

FOREIGN_SOURCES = ("ModelPackageName", "AdditionalModelDataSources", "MultiModelConfig")


def create_model(plane: Plane, request: Values) -> Values:
    name = request["ModelName"]
    container = container_of(request)
    if container is None:
        raise invalid("A model must have one container, given as PrimaryContainer: this server runs no pipelines.")
    problems = list(container_problems(container))
    if problems:
        raise invalid(" ".join(problems))
    check_model_data(plane, request)
    document = request_document(request, ModelArn=plane.account.arn(MODEL, name))
    return {"ModelArn": add(plane, MODEL, name, document, request)}


def container_problems(container: Values) -> Iterable[str]:
    """What this server cannot do with a container."""
    image = container.get("Image")
    if image is None:
        yield "The container must have an Image: this server runs image-classification."
    else:
        yield from image_problems(image)
    if container.get("Mode", "SingleModel") != "SingleModel":
        yield "Mode must be SingleModel: an endpoint serves one model a variant."
    for member in FOREIGN_SOURCES:
        if member in container:
            yield f"{member} is not supported; give ModelDataUrl."
    yield from _data_problems(container)
    yield from environment_problems(container.get("Environment", {}), "containers")


def _data_problems(container: Values) -> Iterable[str]:
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    address, _ = model_data_of(container)
    if address is None:
        yield "The container must have a ModelDataUrl: the image holds no model."
        return
    if source is not None and (source["S3DataType"], source["CompressionType"]) not in (
        ("S3Object", "Gzip"),
        ("S3Prefix", "None"),
    ):
        yield "ModelDataSource must be an S3Object with CompressionType Gzip, or an S3Prefix with None."
    try:
        Place.of(address)
    except ValueError as error:
        yield f"The model data: {error}."


def check_model_data(plane: Plane, model: Values) -> None:
    """Check that the files of a model are there.

    Args:
        model: its document, or the request for it.

    Raises:
        ApiError: they are not.
    """
    container = container_of(model)
    assert container is not None, "a model has one container"
    address, is_archive = model_data_of(container)
    assert address is not None, "a model has data"
    if not data_at(address, plane.buckets, is_archive=is_archive):
        raise model_data_missing(address)


def describe_model(plane: Plane, request: Values) -> Values:
    document = found(plane, MODEL, request["ModelName"])
    isolated = document.get("EnableNetworkIsolation", False)
    return described(document, "DescribeModelOutput") | {"EnableNetworkIsolation": isolated}


def list_models(plane: Plane, request: Values) -> Values:
    page = plane.state.select(MODEL, selection_of(request, "Descending"))
    return {"Models": [described(each, "ModelSummary") for each in page.documents], **next_token(page)}


def delete_model(plane: Plane, request: Values) -> Values:
    """Forget a model; its files stay, and so do endpoints that serve it."""
    remove(plane, MODEL, request["ModelName"])
    return {}


OPERATIONS: dict[str, Operation] = {
    "CreateModel": create_model,
    "DescribeModel": describe_model,
    "ListModels": list_models,
    "DeleteModel": delete_model,
}
