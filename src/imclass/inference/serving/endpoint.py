"""What all routes that take images do: count requests, account for bodies, find images, notice clients that leave."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive

from imclass.inference.serving import requests
from imclass.inference.serving.bodies import BodyAccount, BodyMemory
from imclass.inference.serving.limits import Limits
from imclass.inference.serving.media_types import MediaType
from imclass.inference.serving.metrics import Metrics
from imclass.inference.serving.models import Models
from imclass.inference.serving.problems import RequestError
from imclass.inference.serving.service import ModelService

T = TypeVar("T")

CLIENT_GONE = 499  # of no standard, but what web servers log for it
FAULT = 500


class ImageEndpoint:
    """A route that takes images.

    Args:
        models: that it serves.
        metrics: where requests are counted.
        limits: of each request.
        memory: for the bodies of all requests together.
    """

    def __init__(self, models: Models, metrics: Metrics, limits: Limits, memory: BodyMemory) -> None:
        self._models = models
        self._metrics = metrics
        self._limits = limits
        self._memory = memory

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
        raise NotImplementedError


def joined(request: Request, name: str) -> str | None:
    """A header that may be sent several times, as one list; None without it."""
    values = request.headers.getlist(name)
    return ", ".join(values) if values else None


async def find_images(media_type: MediaType, body: bytes, most: int) -> requests.RequestedImages:
    """`requests.find_images`, beside the event loop when it is work."""
    if requests.is_plain_image(media_type):
        return requests.find_images(media_type, body, most)
    return await asyncio.to_thread(requests.find_images, media_type, body, most)


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
