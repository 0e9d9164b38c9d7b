"""What endpoints run, made of configurations and models as they are in the state."""

import json
from typing import Any

import pytest

from imclass.sagemaker.control_plane.hosting.deployment import Capture, Deployment, new_deployment, rescaled, retained

MODELS = {
    "one": {
        "ModelName": "one",
        "PrimaryContainer": {"Image": "i", "ModelDataUrl": "s3://b/one.tar.gz", "Environment": {"A": "1"}},
    },
    "two": {
        "ModelName": "two",
        "Containers": [
            {
                "Image": "i",
                "ModelDataSource": {
                    "S3DataSource": {"S3Uri": "s3://b/two/", "S3DataType": "S3Prefix", "CompressionType": "None"}
                },
            }
        ],
    },
}


def config(*variants: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"EndpointConfigName": "c", "ProductionVariants": list(variants), **members}


def variant(name: str, model: str = "one", count: int = 1, **members: Any) -> dict[str, Any]:
    return {"VariantName": name, "ModelName": model, "InitialInstanceCount": count, **members}


CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 20,
    "DestinationS3Uri": "s3://b/captured",
    "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
    "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
}


def test_a_snapshot_holds_all_that_is_needed() -> None:
    deployment = new_deployment(
        config(variant("A"), variant("B", "two", 3, InitialVariantWeight=0.5), DataCaptureConfig=CAPTURE), MODELS
    )
    first, second = deployment.variants
    assert (first.model_data, first.is_archive, first.environment) == ("s3://b/one.tar.gz", True, {"A": "1"})
    assert (first.weight, first.instance_count, first.startup_seconds) == (1.0, 1, 240.0)
    assert (second.model_data, second.is_archive, second.environment) == ("s3://b/two/", False, {})
    assert (second.weight, deployment.instance_count) == (0.5, 4)
    assert deployment.capture == Capture("s3://b/captured", 20, True, True, (), ("application/json",))
    assert Deployment.of_document(json.loads(json.dumps(deployment.as_document()))) == deployment


@pytest.mark.parametrize("members", [{}, {"DataCaptureConfig": {**CAPTURE, "EnableCapture": False}}])
def test_capture_that_is_not_wanted(members: dict[str, Any]) -> None:
    assert new_deployment(config(variant("A"), **members), MODELS).capture is None


def test_capture_is_wanted_unless_it_is_switched_off() -> None:
    capture = {name: value for name, value in CAPTURE.items() if name != "EnableCapture"}
    assert new_deployment(config(variant("A"), DataCaptureConfig=capture), MODELS).capture is not None


def test_weights_and_counts_of_the_same_deployment() -> None:
    deployment = new_deployment(config(variant("A"), variant("B", count=2)), MODELS)
    changed = rescaled(deployment, {"A": {"VariantName": "A", "DesiredWeight": 3}, "B": {"DesiredInstanceCount": 5}})
    assert changed.id == deployment.id
    assert [(each.weight, each.instance_count) for each in changed.variants] == [(3.0, 1), (1.0, 5)]


@pytest.mark.parametrize(
    ("excluded", "expected"),
    [
        ([], ([(9.0, 4), (1.0, 1)], True)),
        (["DesiredWeight"], ([(2.0, 4), (1.0, 1)], True)),
        (["DesiredInstanceCount", "DataCaptureConfig"], ([(9.0, 1), (1.0, 1)], False)),
    ],
)
def test_what_an_update_retains(excluded: list[str], expected: tuple[list[tuple[float, int]], bool]) -> None:
    old = new_deployment(config(variant("A", count=4, InitialVariantWeight=9), DataCaptureConfig=CAPTURE), MODELS)
    new = new_deployment(config(variant("A", "two", InitialVariantWeight=2), variant("N")), MODELS)
    kept = retained(new, old, excluded)
    assert kept.id == new.id != old.id
    assert [each.model_name for each in kept.variants] == ["two", "one"]
    assert ([(each.weight, each.instance_count) for each in kept.variants], kept.capture is not None) == expected
