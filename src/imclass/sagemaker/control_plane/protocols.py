"""The wire protocols: JSON 1.1 of SageMaker and CloudWatch Logs, and the query protocol of STS and IAM.

::

    JSON 1.1    POST /  X-Amz-Target: SageMaker.CreateTrainingJob  {"TrainingJobName": ...}  ->  {"TrainingJobArn": ...}
    query       POST /  Action=GetRole&Version=2010-05-08&RoleName=...  ->  <GetRoleResponse><GetRoleResult>...

Timestamps are numbers of seconds since 1970 in JSON, and ISO 8601 in XML.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

from botocore.model import OperationModel, Shape
from starlette.responses import Response

from imclass.sagemaker.control_plane.api_errors import ApiError, malformed

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
    """The members of a query request that are no lists or structures: those of STS and IAM that have a meaning here.

    Raises:
        ApiError: a number is none.
    """
    members = {} if shape is None else shape.members
    return {name: _form_value(name, fields[name], members[name]) for name in members if name in fields}


def _form_value(name: str, text: str, shape: Shape) -> object:
    if shape.type_name not in ("integer", "long"):
        return text
    try:
        return int(text)
    except ValueError as error:
        raise malformed(f"{name} must be a whole number, not {text!r}") from error


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
    elif isinstance(value, datetime):
        parent.text = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    else:
        assert isinstance(value, str | int), f"{value!r} of {shape.name} cannot be sent"
        parent.text = str(value)


def _xml(root: ElementTree.Element, status: int, request_id: str) -> Response:
    body = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return Response(body, status, media_type=XML, headers={"x-amzn-requestid": request_id})
