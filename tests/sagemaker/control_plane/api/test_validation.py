"""Constraints of botocore's model, in the words of AWS."""

from datetime import UTC, datetime
from typing import Any

import pytest

from imclass.sagemaker.control_plane.api.errors import ApiError
from imclass.sagemaker.control_plane.api.service_models import service_model
from imclass.sagemaker.control_plane.api.validation import expression, parsed


def check(operation: str, **values: Any) -> dict[str, Any]:
    return parsed(values, service_model("sagemaker").operation_model(operation).input_shape)


def failure(operation: str, **values: Any) -> str:
    with pytest.raises(ApiError) as caught:
        check(operation, **values)
    return f"{caught.value.code}: {caught.value.message}"


def test_values_come_out_without_nulls_and_with_times() -> None:
    assert check("ListTrainingJobs", CreationTimeAfter=86400.5, NameContains=None, NotAMember=1) == {
        "CreationTimeAfter": datetime(1970, 1, 2, 0, 0, 0, 500000, UTC)
    }


@pytest.mark.parametrize(
    ("operation", "values", "message"),
    [
        ("DescribeTrainingJob", {}, "Value null at 'trainingJobName' failed to satisfy constraint: Member must not be"),
        ("DescribeTrainingJob", {"TrainingJobName": "x" * 64}, "Member must have length less than or equal to 63"),
        ("DescribeTrainingJob", {"TrainingJobName": ""}, "Member must have length greater than or equal to 1"),
        ("ListTrainingJobs", {"MaxResults": 101}, "Value '101' at 'maxResults' failed to satisfy constraint: Member "),
        (
            "ListTrainingJobs",
            {"SortOrder": "Up"},
            "Value 'Up' at 'sortOrder' failed to satisfy constraint: Member must satisfy enum value set: "
            "[Ascending, Descending]",
        ),
        (
            "AddTags",
            {"ResourceArn": "arn:aws:sagemaker:us-east-1:000000000000:x/y", "Tags": [{"Key": "a"}]},
            "Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null",
        ),
    ],
)
def test_constraints(operation: str, values: dict[str, Any], message: str) -> None:
    text = failure(operation, **values)
    assert text.startswith("ValidationException: 1 validation error detected: ")
    assert message in text


def test_constraints_of_maps() -> None:
    text = failure(
        "CreateTrainingJob",
        TrainingJobName="a",
        RoleArn="arn:aws:iam::000000000000:role/imclass",
        OutputDataConfig={"S3OutputPath": "s3://bucket"},
        HyperParameters={"epochs": "1" * 2501},
    )
    assert "at 'hyperParameters' failed to satisfy constraint: Map value must satisfy constraint: [Member must" in text


def test_types() -> None:
    assert failure("DescribeTrainingJob", TrainingJobName=5) == (
        "SerializationException: trainingJobName must be of type string, not int"
    )
    assert failure("ListTrainingJobs", MaxResults=True).startswith("SerializationException: ")
    assert failure("ListTrainingJobs", CreationTimeAfter=1e300).startswith("SerializationException: ")


def test_machines_are_not_looked_up() -> None:
    text = failure("CreateTrainingJob", ResourceConfig={"InstanceType": "ml.mine.large", "VolumeSizeInGB": 0})
    assert "ml.mine.large" not in text


def test_expressions_of_java() -> None:
    tag = expression(r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)")
    assert tag.fullmatch("Größe 2:a/b") is not None
    assert tag.fullmatch("a*b") is None
