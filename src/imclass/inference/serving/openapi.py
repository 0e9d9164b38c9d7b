"""The OpenAPI 3.1 document of the server."""

from collections.abc import Sequence
from typing import Any

from imclass.inference.serving.limits import Limits
from imclass.inference.serving.requests import ENCODED_IMAGE, JSON, MULTIPART
from imclass.inference.serving.responses import JSON_LINES
from imclass.version import VERSION


def _numbers(*names: str) -> dict[str, Any]:
    """The schema of an object of numbers."""
    return {"type": "object", "properties": {name: {"type": "number"} for name in names}, "required": [*names]}


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
_CLASS = {
    "class": {"type": "string"},
    "index": {"type": "integer"},
    "probability": {"type": "number", "minimum": 0, "maximum": 1},
}
_EXPLANATION = {
    "type": "object",
    "properties": {
        "model": {"type": "string"},
        "multi_label": {"type": "boolean"},
        "image": _numbers("width", "height"),
        "predictions": {"type": "array", "items": {"type": "object", "properties": _CLASS, "required": [*_CLASS]}},
        "activation_map": {
            "type": "object",
            "properties": {
                **_CLASS,
                "cells": {
                    "type": "array",
                    "items": {"type": "array", "items": {"type": "number"}},
                    "description": "Rows of what each cell adds to the class's score. Their mean and the bias are it.",
                },
                "largest": {"type": "number", "description": "The largest value of any class in any cell."},
                "seen": _numbers("left", "top", "width", "height")
                | {"description": "The part of the image that the network saw, in pixels."},
                "strongest": {
                    "anyOf": [_numbers("x", "y"), {"type": "null"}],
                    "description": "The place that adds most, in pixels; null when none adds anything.",
                },
                "overlay": {"type": "string", "description": "A PNG with the image's shape, as a data URL."},
            },
            "required": [*_CLASS, "cells", "largest", "seen", "strongest", "overlay"],
        },
        "milliseconds": _numbers("decode", "model", "map", "total"),
    },
    "required": ["model", "multi_label", "image", "predictions", "activation_map", "milliseconds"],
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
    501: "The model was converted for OpenVINO, which makes no maps.",
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
            "/explain": {"post": _explain("explain", limits)},
            "/models/{name}/explain": {"post": _explain("explainModel", limits), "parameters": [name]},
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
    entries = [_PROBABILITIES, _VERBOSE, _PREDICTION]
    return _post(
        operation,
        "Probabilities of the classes of an image, or of several.",
        limits,
        limits.images,
        {
            "description": "An entry for the image; a list or lines of entries for several.",
            "content": {
                JSON: {"schema": {"anyOf": [*entries, {"type": "array", "items": {"anyOf": entries}}]}},
                JSON_LINES: {"schema": {"type": "string"}},
            },
        },
    )


def _explain(operation: str, limits: Limits) -> dict[str, Any]:
    answer = {"description": "The likeliest classes, and a map.", "content": {JSON: {"schema": _EXPLANATION}}}
    summary = "The likeliest classes of an image, and the parts of it that speak for one of them."
    parameters = [
        _query("class", 0, "The class to explain; without it the likeliest."),
        _query("top", 1, "How many classes to name; without it 5."),
    ]
    content = _post(operation, summary, limits, 1, answer) | {"parameters": parameters}
    content["responses"]["501"] = _problem(501)
    return content


def _query(name: str, least: int, description: str) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": least}
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _post(operation: str, summary: str, limits: Limits, most_images: int, answer: dict[str, Any]) -> dict[str, Any]:
    encoded = {"schema": {"type": "string", "format": "binary", "description": "A JPEG or PNG file."}}
    base64 = {"type": "string", "contentEncoding": "base64"}
    one = {"type": "object", "properties": {"image": base64}, "required": ["image"]}
    level = {"type": "integer", "minimum": 0, "maximum": 255}
    pixel = {"type": "array", "items": level, "minItems": 1, "maxItems": 3}
    row = {"type": "array", "items": pixel, "minItems": 1}
    pixels = {"type": "array", "items": row, "minItems": 1, "description": "Rows of pixels."}
    images = {"type": "array", "items": base64, "minItems": 1, "maxItems": most_images}
    several = {"type": "object", "properties": {"images": images}, "required": ["images"]}
    files = {
        "type": "object",
        "additionalProperties": {"type": "string", "format": "binary"},
        "minProperties": 1,
        "maxProperties": most_images,
    }
    return {
        "operationId": operation,
        "summary": summary,
        "description": f"The body has at most {limits.body_bytes} bytes, an image at most {limits.pixels} pixels.",
        "requestBody": {
            "required": True,
            "content": {
                **dict.fromkeys(ENCODED_IMAGE, encoded),
                JSON: {"schema": {"oneOf": [one, several, pixels]}},
                MULTIPART: {"schema": files},
            },
        },
        "responses": {"200": answer, **{str(status): _problem(status) for status in _PROBLEMS if status != 501}},
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
