"""What a model of SageMaker's is, for those who let it work."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imclass.sagemaker.control_plane.buckets import Buckets, Place, S3Object
from imclass.sagemaker.control_plane.state import State

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
    containers: list[Mapping[str, Any]] = document.get("Containers") or [document.get("PrimaryContainer", {})]
    if len(containers) != 1:
        raise ValueError(f"the model {name} has {len(containers)} containers, and one can be run")
    container = containers[0]
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    address = container.get("ModelDataUrl") or (source or {}).get("S3Uri")
    if address is None:
        raise ValueError(f"the model {name} has no ModelDataUrl")
    is_archive = source is None or source.get("CompressionType", "Gzip") == "Gzip"
    return ServedModel(address, is_archive, container.get("Environment", {}))


def data_of(model: ServedModel, buckets: Buckets) -> list[S3Object]:
    """The archive, or all files of a model that is not packed; nothing if there is none.

    Raises:
        ValueError: the address is none of S3.
    """
    place = Place.of(model.data)
    return [each for each in buckets.objects(place) if not model.is_archive or each.key == place.key]
