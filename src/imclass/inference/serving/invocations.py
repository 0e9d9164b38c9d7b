"""POST /invocations: images in, probabilities out."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive

from imclass.inference.serving import requests, responses
from imclass.inference.serving.bodies import BodyAccount, BodyMemory, read_body
from imclass.inference.serving.limits import Limits
from imclass.inference.serving.media_types import MediaType
from imclass.inference.serving.metrics import Metrics
from imclass.inference.serving.models import Models
from imclass.inference.serving.problems import RequestError
from imclass.inference.serving.service import ModelService

CLIENT_GONE = 499  # of no standard, but what web servers log for it
FAULT = 500

T = TypeVar("T")


class Invocations:
    """The endpoint.

    Args:
        models: that it serves.
        metrics: where requests are counted.
        limits: of each request.
        memory: for the bodies of all requests together.
        batch_transform: whether SageMaker's batch transform sends the requests.
    """

    def __init__(
        self, models: Models, metrics: Metrics, limits: Limits, memory: BodyMemory, batch_transform: bool
    ) -> None:
        self._models = models
        self._metrics = metrics
        self._limits = limits
        self._memory = memory
        self._batch_transform = batch_transform

    async def answer(self, request: Request) -> Response:
        """Answer one request, and count it."""
        service = self._models.get(request.path_params.get("name"))
        status = FAULT
        try:
            with self._memory.account() as account:
                response = await self._answer(request, service, account)
            status = response.status_code
        except RequestError as problem:
            status = problem.status
            raise
        except ClientDisconnect:
            response = Response(status_code=CLIENT_GONE)  # which nobody will see
            status = CLIENT_GONE
        finally:
            self._metrics.count_request(service.name, status)
        return response

    async def _answer(self, request: Request, service: ModelService, account: BodyAccount) -> Response:
        """Find out what can be refused before the body is read, then read, decode, compute and write."""
        media_type = requests.content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
        form = responses.negotiate(_joined(request, "accept"), batch_transform=self._batch_transform)
        body = await read_body(request.receive, request.headers, self._limits, account)
        images = await self._find_images(media_type, body)
        probabilities = await while_connected(request.receive, service.answer(images.encoded))
        content = responses.body(probabilities, form, service.labels, is_list=images.is_list)
        return Response(content, media_type=form.content_type)

    async def _find_images(self, media_type: MediaType, body: bytes) -> requests.RequestedImages:
        find = partial(requests.find_images, media_type, body, self._limits.images)
        return find() if requests.is_plain_image(media_type) else await asyncio.to_thread(find)


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of some work, which is cancelled when the client goes away.

    Args:
        receive: of a request whose body has been read.

    Raises:
        ClientDisconnect: the client went away.
        Exception: whatever the work raised.
    """
    working = asyncio.ensure_future(work)
    listening = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((working, listening), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        for task in (working, listening):
            task.cancel()
        await asyncio.gather(working, listening, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _joined(request: Request, name: str) -> str | None:
    """A header that may be sent several times, as one list; None without it."""
    values = request.headers.getlist(name)
    return ", ".join(values) if values else None
