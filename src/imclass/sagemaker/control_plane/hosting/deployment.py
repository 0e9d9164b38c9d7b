"""What an endpoint runs: a snapshot of its configuration and of the models in it.

Configurations and models may be deleted while an endpoint goes on, and the SageMaker SDK does so each time; so an
endpoint keeps what it needs in its own document.
"""

import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from imclass.sagemaker.control_plane.hosting.served_models import container_of, model_data_of
from imclass.sagemaker.control_plane.store.state import Document

STARTUP_SECONDS = 240.0
"""From the start of a process to its first good answer to a ping, as AWS has it."""


@dataclass(frozen=True)
class Variant:
    """One production variant.

    Attributes:
        model_data: `s3://` address of the model.
        is_archive: whether that is one archive, and not what the names of several files begin with.
        environment: of the container.
        startup_seconds: within which an instance must be healthy.
    """

    name: str
    model_name: str
    image: str
    model_data: str
    is_archive: bool
    environment: dict[str, str]
    instance_count: int
    weight: float
    startup_seconds: float = STARTUP_SECONDS


@dataclass(frozen=True)
class Capture:
    """Which requests and answers are kept in S3.

    Attributes:
        destination: `s3://` address of a folder.
        percentage: of the requests.
        csv_types, json_types: content types that are kept as text; others in base 64.
    """

    destination: str
    percentage: int
    inputs: bool
    outputs: bool
    csv_types: tuple[str, ...]
    json_types: tuple[str, ...]

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "Capture":
        """From JSON, which has lists for tuples."""
        types = {name: tuple(document[name]) for name in ("csv_types", "json_types")}
        return cls(**{**document, **types})


@dataclass(frozen=True)
class Deployment:
    """All variants of an endpoint.

    Attributes:
        id: the same as long as only weights and counts change.
        begun: when it was asked for, in seconds since 1970.
    """

    id: str
    config_name: str
    begun: float
    variants: tuple[Variant, ...]
    capture: Capture | None = None

    @property
    def instance_count(self) -> int:
        return sum(variant.instance_count for variant in self.variants)

    def as_document(self) -> Document:
        """For the state."""
        return asdict(self)

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "Deployment":
        """What `as_document` has made, from JSON."""
        capture = document["capture"]
        values = {
            **document,
            "variants": tuple(Variant(**variant) for variant in document["variants"]),
            "capture": None if capture is None else Capture.of_document(capture),
        }
        return cls(**values)


def new_deployment(config: Document, models: Mapping[str, Document]) -> Deployment:
    """Of an endpoint configuration.

    Args:
        models: documents by name, of all models that the configuration names.
    """
    variants = tuple(_variant(each, models[each["ModelName"]]) for each in config["ProductionVariants"])
    capture = config.get("DataCaptureConfig")
    return Deployment(
        id=secrets.token_hex(6),
        config_name=config["EndpointConfigName"],
        begun=time.time(),
        variants=variants,
        capture=_capture(capture) if capture is not None and capture.get("EnableCapture", True) else None,
    )


def _variant(member: Mapping[str, Any], model: Document) -> Variant:
    container = container_of(model)
    assert container is not None, "a model has one container"
    address, is_archive = model_data_of(container)
    assert address is not None, "a model has data"
    return Variant(
        name=member["VariantName"],
        model_name=member["ModelName"],
        image=container["Image"],
        model_data=address,
        is_archive=is_archive,
        environment=dict(container.get("Environment", {})),
        instance_count=member["InitialInstanceCount"],
        weight=float(member.get("InitialVariantWeight", 1.0)),
        startup_seconds=float(member.get("ContainerStartupHealthCheckTimeoutInSeconds", STARTUP_SECONDS)),
    )


def _capture(config: Mapping[str, Any]) -> Capture:
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    types = config.get("CaptureContentTypeHeader", {})
    return Capture(
        destination=config["DestinationS3Uri"],
        percentage=config["InitialSamplingPercentage"],
        inputs=bool(modes & {"Input", "InputAndOutput"}),
        outputs=bool(modes & {"Output", "InputAndOutput"}),
        csv_types=tuple(types.get("CsvContentTypes", ())),
        json_types=tuple(types.get("JsonContentTypes", ())),
    )


def rescaled(deployment: Deployment, changes: Mapping[str, Mapping[str, Any]]) -> Deployment:
    """The same deployment with other weights and counts.

    Args:
        changes: by variant name, members of DesiredWeightAndCapacity.
    """
    variants = tuple(
        replace(
            variant,
            weight=float(changes.get(variant.name, {}).get("DesiredWeight", variant.weight)),
            instance_count=changes.get(variant.name, {}).get("DesiredInstanceCount", variant.instance_count),
        )
        for variant in deployment.variants
    )
    return replace(deployment, begun=time.time(), variants=variants)


def retained(new: Deployment, old: Deployment, excluded: Collection[str]) -> Deployment:
    """A new deployment with the weights, counts and data capture of the old one.

    Args:
        excluded: VariantPropertyTypes that are those of the new one.
    """
    changes = {
        variant.name: {
            **({} if "DesiredWeight" in excluded else {"DesiredWeight": variant.weight}),
            **({} if "DesiredInstanceCount" in excluded else {"DesiredInstanceCount": variant.instance_count}),
        }
        for variant in old.variants
    }
    capture = new.capture if "DataCaptureConfig" in excluded else old.capture
    return replace(rescaled(new, changes), capture=capture)
