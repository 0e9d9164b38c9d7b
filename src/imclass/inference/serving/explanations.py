"""POST /explain: an image in, the likeliest classes and a class activation map out.

?class=N    the class to explain; without it the likeliest
?top=N      how many classes to name (5)
"""

from http import HTTPStatus
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imclass.inference.serving import requests
from imclass.inference.serving.bodies import BodyAccount, BodyMemory, read_body
from imclass.inference.serving.endpoint import ImageEndpoint, find_images, joined, while_connected
from imclass.inference.serving.explainer import DrawnMap, Explainer, Explanation
from imclass.inference.serving.limits import Limits
from imclass.inference.serving.media_types import parse_list
from imclass.inference.serving.metrics import Metrics
from imclass.inference.serving.models import Models
from imclass.inference.serving.problems import RequestError
from imclass.inference.serving.responses import JSON, Labels
from imclass.inference.serving.service import ModelService

DEFAULT_TOP = 5
ONE_IMAGE = 1


class Explanations(ImageEndpoint):
    """The endpoint.

    Args:
        models: that it serves.
        metrics: where requests are counted.
        limits: of each request.
        memory: for the bodies of all requests together.
        explainer: does the work.
    """

    def __init__(
        self, models: Models, metrics: Metrics, limits: Limits, memory: BodyMemory, explainer: Explainer
    ) -> None:
        super().__init__(models, metrics, limits, memory)
        self._explainer = explainer

    async def _answer(self, request: Request, service: ModelService, account: BodyAccount) -> Response:
        media_type = requests.content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
        _check_accept(joined(request, "accept"))
        num_classes = len(service.labels.names)
        class_index = _number(request, "class", 0, num_classes - 1)
        top = _number(request, "top", 1, num_classes)
        body = await read_body(request.receive, request.headers, self._limits, account)
        (image,) = (await find_images(media_type, body, ONE_IMAGE)).encoded
        explanation = await while_connected(request.receive, self._explainer.explain(service, image, class_index))
        shown = min(DEFAULT_TOP, num_classes) if top is None else top
        return JSONResponse(_content(service, explanation, shown))


def _check_accept(accept: str | None) -> None:
    names = {JSON} if accept is None or not accept.strip() else {each.name for each in parse_list(accept)}
    if not names & {JSON, "application/*", "*/*"}:
        raise RequestError(HTTPStatus.NOT_ACCEPTABLE, f"explanations are {JSON}, which {accept} does not accept")


def _number(request: Request, name: str, least: int, most: int) -> int | None:
    """A number of the query; None without it."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{name}={text} is not a whole number from {least} to {most}")
    return int(text)


def _content(service: ModelService, explanation: Explanation, top: int) -> dict[str, Any]:
    probabilities = explanation.probabilities
    likeliest = (-probabilities).argsort(kind="stable")[:top].tolist()
    image = explanation.drawn.activation_map.placement.image
    return {
        "model": service.name,
        "multi_label": service.labels.multi_label,
        "image": {"width": image.width, "height": image.height},
        "predictions": [_prediction(index, probabilities, service.labels) for index in likeliest],
        "activation_map": {
            **_prediction(explanation.drawn.activation_map.class_index, probabilities, service.labels),
            **_map(explanation.drawn),
        },
        "milliseconds": {step: round(seconds * 1000, 1) for step, seconds in explanation.seconds.items()},
    }


def _prediction(index: int, probabilities: NDArray[np.float32], labels: Labels) -> dict[str, Any]:
    return {"class": labels.names[index], "index": index, "probability": float(probabilities[index])}


def _map(drawn: DrawnMap) -> dict[str, Any]:
    seen, strongest = drawn.activation_map.seen, drawn.strongest
    return {
        "cells": drawn.activation_map.cells.tolist(),
        "largest": drawn.activation_map.largest,
        "seen": {"left": seen.left, "top": seen.top, "width": seen.width, "height": seen.height},
        "strongest": None if strongest is None else {"x": strongest[0], "y": strongest[1]},
        "overlay": drawn.overlay,
    }
