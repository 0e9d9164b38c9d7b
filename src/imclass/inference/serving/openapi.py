"""The OpenAPI 3.1 document of the server."""

from collections.abc import Sequence
from typing import Any

from imclass.inference.serving.limits import Limits
from imclass.inference.serving.requests import ENCODED_IMAGE, JSON, MULTIPART
from imclass.inference.serving.responses import JSON_LINES
from imclass.version import VERSION

_PROBABILITIES = {
    "type": "array",
    "items": {"type": "number", "minimum": 0, "maximum": 1},
    "description": "One probability a class, in the order of the class numbers.",
}
_PREDICTION = {"type": "object", "properties": {"prediction": _PROBABILITIES}, "required": ["prediction"]}
_VERBOSE = {
    "type": "object",
    "properties": {
        "probabilities": _PROBABILITIES,
        "labels": {"type": "array", "items": {"type": "string"}},
        "predicted_label": {"type": "string", "description": "The likeliest class."},
        "predicted_labels": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Classes above 0.5, of a multi-label model.",
        },
    },
    "required": ["probabilities", "labels"],
}
_ERROR = {
    "type": "object",
    "properties": {"status": {"type": "integer"}, "error": {"type": "string"}},
    "required": ["status", "error"],
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}

_PROBLEMS = {
    400: "The body is no image that can be read, or is damaged.",
    401: "The bearer token is missing or wrong.",
    404: "There is no such model.",
    406: "No form of the answer is acceptable.",
    408: "The body did not arrive in time.",
    413: "The body is too large, or has too many images.",
    415: "The content type is not supported.",
    500: "A fault of the server.",
    503: "The queue is full, the time is over, or the server is starting or stopping.",
}


def document(limits: Limits, names: Sequence[str]) -> dict[str, Any]:
    """The document.

    Args:
        limits: of requests.
        names: of the models that are served now.
    """
    name = {
        "name": "name",
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
        "examples": {each: {"value": each} for each in names},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "imclass", "version": VERSION, "description": "Classes of images."},
        "paths": {
            "/ping": {"get": _get("ping", "Whether all models are ready.", {"description": "They are."}, 503)},
            "/invocations": {"post": _invocations("invoke", limits)},
            "/models/{name}/invocations": {"post": _invocations("invokeModel", limits), "parameters": [name]},
            "/execution-parameters": {
                "get": _get("executionParameters", "What SageMaker's batch transform asks.", _json({"type": "object"}))
            },
            "/models": {"get": _get("listModels", "The models that are served.", _json({"type": "object"}))},
            "/model": {"get": _get("describe", "The only model.", _json({"type": "object"}), 404)},
            "/models/{name}": {
                "get": _get("describeModel", "A model.", _json({"type": "object"}), 404),
                "parameters": [name],
            },
            "/metrics": {"get": _get("metrics", "Figures for Prometheus.", _text("text/plain"))},
            "/": {"get": _get("page", "A page to try a model on.", _text("text/html"))},
        },
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _get(operation: str, summary: str, answer: dict[str, Any], *problems: int) -> dict[str, Any]:
    responses = {"200": answer, **{str(status): _problem(status) for status in problems}}
    return {"operationId": operation, "summary": summary, "responses": responses}


def _invocations(operation: str, limits: Limits) -> dict[str, Any]:
    encoded = {"schema": {"type": "string", "format": "binary", "description": "A JPEG or PNG file."}}
    base64 = {"type": "string", "contentEncoding": "base64"}
    one = {"type": "object", "properties": {"image": base64}, "required": ["image"]}
    images = {"type": "array", "items": base64, "minItems": 1, "maxItems": limits.images}
    several = {"type": "object", "properties": {"images": images}, "required": ["images"]}
    files = {"type": "object", "additionalProperties": {"type": "string", "format": "binary"}}
    return {
        "operationId": operation,
        "summary": "Probabilities of the classes of an image, or of several.",
        "description": f"The body has at most {limits.body_bytes} bytes, an image at most {limits.pixels} pixels.",
        "requestBody": {
            "required": True,
            "content": {
                **dict.fromkeys(ENCODED_IMAGE, encoded),
                JSON: {"schema": {"oneOf": [one, several]}},
                MULTIPART: {"schema": files},
            },
        },
        "responses": {
            "200": {
                "description": "An entry for the image; a list or lines of entries for several.",
                "content": {
                    JSON: {
                        "schema": {
                            "anyOf": [
                                _PROBABILITIES,
                                _VERBOSE,
                                _PREDICTION,
                                {"type": "array", "items": {"anyOf": [_PROBABILITIES, _VERBOSE, _PREDICTION]}},
                            ]
                        }
                    },
                    JSON_LINES: {"schema": {"type": "string"}},
                },
            },
            **{str(status): _problem(status) for status in _PROBLEMS},
        },
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "As JSON.", "content": {JSON: {"schema": schema}}}


def _text(media_type: str) -> dict[str, Any]:
    return {"description": "As text.", "content": {media_type: {"schema": {"type": "string"}}}}


def _problem(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": _PROBLEMS[status],
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    return response | ({"headers": _RETRY_AFTER} if status == 503 else {})
