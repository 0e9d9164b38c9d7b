"""What a model of SageMaker's is, for those who let it work."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imclass.sagemaker.control_plane.store.buckets import Buckets, Place, S3Object
from imclass.sagemaker.control_plane.store.state import State

KIND = "model"


@dataclass(frozen=True)
class ServedModel:
    """A model's only container.

    Attributes:
        data: address of the archive, or what those of the model's files begin with.
        is_archive: which of both.
        environment: of the container.
    """

    data: str
    is_archive: bool
    environment: Mapping[str, str]


def model_of(state: State, name: str) -> ServedModel:
    """Read a model.

    Raises:
        MissingError: there is none of this name.
        ValueError: it has no data in S3, or several containers.
    """
    document = state.get(KIND, name)
    container = container_of(document)
    if container is None:
        raise ValueError(f"the model {name} has not one container, and one can be run")
    address, is_archive = model_data_of(container)
    if address is None:
        raise ValueError(f"the model {name} has no ModelDataUrl")
    return ServedModel(address, is_archive, container.get("Environment", {}))


def container_of(model: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The only container of a model, or of the request for one; None if it has none, or several."""
    containers = [*model.get("Containers", ()), *([model["PrimaryContainer"]] if "PrimaryContainer" in model else ())]
    return containers[0] if len(containers) == 1 else None


def model_data_of(container: Mapping[str, Any]) -> tuple[str | None, bool]:
    """The address of a container's model, None without one, and whether it is one archive."""
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if "ModelDataUrl" in container or source is None:
        return container.get("ModelDataUrl"), True
    return source["S3Uri"], source.get("CompressionType", "Gzip") == "Gzip"


def data_of(model: ServedModel, buckets: Buckets) -> list[S3Object]:
    """As `data_at`, for a model."""
    return data_at(model.data, buckets, is_archive=model.is_archive)


def data_at(address: str, buckets: Buckets, *, is_archive: bool) -> list[S3Object]:
    """The archive, or all files of a model that is not packed; nothing if there is none.

    Raises:
        ValueError: the address is none of S3.
    """
    place = Place.of(address)
    if not is_archive:
        return list(buckets.objects(place))
    found = buckets.find(place)
    return [] if found is None else [found]
