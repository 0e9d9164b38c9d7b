"""The wire protocols: JSON of SageMaker and CloudWatch, and the query protocol of STS, IAM and CloudWatch.

::

    JSON 1.1    POST /  X-Amz-Target: SageMaker.CreateTrainingJob  {"TrainingJobName": ...}  ->  {"TrainingJobArn": ...}
    query       POST /  Action=GetRole&Version=2010-05-08&RoleName=...  ->  <GetRoleResponse><GetRoleResult>...

Timestamps are numbers of seconds since 1970 in JSON, and ISO 8601 in XML.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

from botocore.model import OperationModel, Shape
from botocore.utils import parse_timestamp
from starlette.responses import Response

from imclass.sagemaker.control_plane.api.errors import ApiError, malformed

JSON = "application/x-amz-json-1.1"
XML = "text/xml"
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 1000


def read_json(body: bytes) -> dict[str, Any]:
    """The members of a JSON 1.1 request.

    Raises:
        ApiError: the body is no JSON object.
    """
    try:
        values = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise malformed(f"The body is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise malformed("The body is not a JSON object")
    return values


def json_response(values: Mapping[str, Any], operation: OperationModel, request_id: str) -> Response:
    """An answer; one without members has no body."""
    body = b"" if operation.output_shape is None else _json_bytes(values)
    return Response(body, media_type=JSON, headers={"x-amzn-requestid": request_id})


def json_error(error: ApiError, request_id: str) -> Response:
    body = _json_bytes({"__type": error.code, "message": error.message})
    return Response(body, error.status, media_type=JSON, headers={"x-amzn-requestid": request_id})


def _json_bytes(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, default=_epoch_seconds, allow_nan=False).encode()


def _epoch_seconds(value: object) -> float:
    assert isinstance(value, datetime), f"{value!r} cannot be sent"
    return value.timestamp()


def read_form(body: bytes) -> dict[str, str]:
    """The fields of a query request.

    Raises:
        ApiError: the body is no form.
    """
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=MOST_FIELDS))
    except ValueError as error:
        raise malformed(f"The body is no form: {error}") from error


def form_values(fields: Mapping[str, str], shape: Shape | None) -> dict[str, Any]:
    """The members of a query request; timestamps as numbers, as JSON has them.

    Raises:
        ApiError: a value is not of its type, or a member is given in two ways.
    """
    return {} if shape is None else _form_value(_tree(fields), shape, "The form")


def _tree(fields: Mapping[str, str]) -> dict[str, Any]:
    """`A.member.1.B=x` as {"A": {"member": {"1": {"B": "x"}}}}."""
    root: dict[str, Any] = {}
    for name, text in fields.items():
        *path, last = name.split(".")
        node: Any = root
        for part in path:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                break
        if not isinstance(node, dict) or last in node:
            raise malformed(f"{name} is given in two ways")
        node[last] = text
    return root


def _form_value(value: Any, shape: Shape, where: str) -> Any:
    """A part of the tree as the shape has it; what the shape does not have is left out."""
    if shape.type_name in ("structure", "list") and not isinstance(value, dict):
        raise malformed(f"{where} must be of type {shape.type_name}")
    if shape.type_name == "structure":
        return {name: _form_value(value[name], shape.members[name], name) for name in shape.members if name in value}
    if shape.type_name == "list":
        return [_form_value(part, shape.member, where) for part in _form_items(value, where)]
    if shape.type_name not in FORM_TYPES or not isinstance(value, str):
        raise malformed(f"{where} must be of type {shape.type_name}")
    try:
        return FORM_TYPES[shape.type_name](value)
    except ValueError as error:
        raise malformed(f"{where} must be of type {shape.type_name}, not {value!r}") from error


def _form_items(tree: Mapping[str, Any], where: str) -> list[Any]:
    """The items of a list, `{"member": {"1": ..., "2": ...}}`, by their numbers."""
    items = tree.get("member", {})
    if not isinstance(items, dict) or not all(number.isascii() and number.isdecimal() for number in items):
        raise malformed(f"{where} must be of type list")
    return [items[number] for number in sorted(items, key=int)]


def _form_boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


FORM_TYPES: dict[str, Callable[[str], Any]] = {
    "string": str,
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": _form_boolean,
    "timestamp": lambda text: parse_timestamp(text).timestamp(),
}
"""How the types of values that are no structures or lists are read."""


def xml_response(values: Mapping[str, Any], operation: OperationModel, request_id: str) -> Response:
    root = ElementTree.Element(f"{operation.name}Response", xmlns=str(operation.service_model.metadata["xmlNamespace"]))
    if operation.output_shape is not None:
        wrapper = operation.output_shape.serialization["resultWrapper"]
        _append(ElementTree.SubElement(root, wrapper), values, operation.output_shape)
    ElementTree.SubElement(ElementTree.SubElement(root, "ResponseMetadata"), "RequestId").text = request_id
    return _xml(root, 200, request_id)


def xml_error(error: ApiError, request_id: str) -> Response:
    root = ElementTree.Element("ErrorResponse")
    described = ElementTree.SubElement(root, "Error")
    for name, text in (("Type", "Sender"), ("Code", error.code), ("Message", error.message)):
        ElementTree.SubElement(described, name).text = text
    ElementTree.SubElement(root, "RequestId").text = request_id
    return _xml(root, error.status, request_id)


def _append(parent: ElementTree.Element, value: Any, shape: Shape) -> None:
    """Put a value into an element."""
    if shape.type_name == "structure":
        for name, part in value.items():
            _append(ElementTree.SubElement(parent, name), part, shape.members[name])
    elif shape.type_name == "list":
        for part in value:
            _append(ElementTree.SubElement(parent, "member"), part, shape.member)
    elif shape.type_name == "timestamp":
        time = value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
        parent.text = time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    else:
        assert isinstance(value, str | int | float), f"{value!r} of {shape.name} cannot be sent"
        parent.text = str(value).lower() if isinstance(value, bool) else str(value)


def _xml(root: ElementTree.Element, status: int, request_id: str) -> Response:
    body = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return Response(body, status, media_type=XML, headers={"x-amzn-requestid": request_id})
