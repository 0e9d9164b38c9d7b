"""The models of AWS's services, as botocore has them: operations, members, their types and constraints."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.model import OperationModel, ServiceModel, Shape
from botocore.session import get_session
from botocore.validate import ParamValidator

from imclass.sagemaker.control_plane.api import own_service


@cache
def service_model(name: str) -> ServiceModel:
    """The model of a service, such as `sagemaker`, `logs`, `sts` or `iam`, or of our own, `imclass`."""
    if name == own_service.NAME:
        return ServiceModel(own_service.MODEL, name)
    return get_session().get_service_model(name)


def described(document: Mapping[str, Any], shape: str) -> dict[str, Any]:
    """The members of a resource's document that a shape of SageMaker's has."""
    members = service_model("sagemaker").shape_for(shape).members
    return {name: value for name, value in document.items() if name in members}


@dataclass(frozen=True)
class Call:
    """One operation, with what a request asks of it."""

    operation: OperationModel
    values: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.operation.name)


class OutputValidator(ParamValidator):  # type: ignore[misc]  # botocore has no types
    """botocore's validator, which takes no time over numbers that are times: documents are full of them."""

    def _validate_timestamp(self, param: object, shape: Shape, errors: object, name: str) -> None:
        if not isinstance(param, int | float):
            super()._validate_timestamp(param, shape, errors, name)


OUTPUT_VALIDATOR = OutputValidator()


def check_output(values: Mapping[str, Any], shape: Shape | None) -> None:
    """Check that an answer is what clients expect; if not, it is a mistake of ours."""
    if shape is None:
        assert not values, f"{sorted(values)} of an answer that has no members"
        return
    report = OUTPUT_VALIDATOR.validate(values, shape)
    assert not report.has_errors(), f"{shape.name}: {report.generate_report()}"
