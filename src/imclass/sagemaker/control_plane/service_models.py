"""The models of AWS's services, as botocore has them: operations, members, their types and constraints."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.model import OperationModel, ServiceModel, Shape
from botocore.session import get_session
from botocore.validate import ParamValidator

from imclass.sagemaker.control_plane import own_service


@cache
def service_model(name: str) -> ServiceModel:
    """The model of a service, such as `sagemaker`, `logs`, `sts` or `iam`, or of our own, `imclass`."""
    if name == own_service.NAME:
        return ServiceModel(own_service.MODEL, name)
    return get_session().get_service_model(name)


@dataclass(frozen=True)
class Call:
    """One operation, with what a request asks of it."""

    operation: OperationModel
    values: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.operation.name)


def check_output(values: Mapping[str, Any], shape: Shape | None) -> None:
    """Check that an answer is what clients expect; if not, it is a mistake of ours."""
    if shape is None:
        assert not values, f"{sorted(values)} of an answer that has no members"
        return
    report = ParamValidator().validate(values, shape)
    assert not report.has_errors(), f"{shape.name}: {report.generate_report()}"
    unknown = sorted(unknown_members(values, shape))
    assert not unknown, f"{shape.name} has no members {unknown}"


def unknown_members(value: Any, shape: Shape, where: str = "") -> list[str]:
    """Paths of members that a shape does not have. The value is of the right type."""
    if shape.type_name == "structure":
        found = [f"{where}{name}" for name in value if name not in shape.members]
        known = [(name, part, shape.members[name]) for name, part in value.items() if name in shape.members]
    elif shape.type_name == "list":
        found, known = [], [(str(number), part, shape.member) for number, part in enumerate(value)]
    elif shape.type_name == "map":
        found, known = [], [(name, part, shape.value) for name, part in value.items()]
    else:
        return []
    for name, part, inner in known:
        found += unknown_members(part, inner, f"{where}{name}.")
    return found
