"""The routes of the server, put together from parts that are given."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from imclass.inference.serving.answers import fault, http_error, problem
from imclass.inference.serving.authorisation import BearerToken
from imclass.inference.serving.bodies import BodyMemory
from imclass.inference.serving.decoding import Decoder
from imclass.inference.serving.explainer import Explainer
from imclass.inference.serving.explanations import Explanations
from imclass.inference.serving.invocations import Invocations
from imclass.inference.serving.limits import MEBIBYTE, Limits
from imclass.inference.serving.metrics import Metrics
from imclass.inference.serving.models import Models
from imclass.inference.serving.openapi import document
from imclass.inference.serving.page import load_page
from imclass.inference.serving.problems import RequestError, overloaded

logger = logging.getLogger(__name__)

OPEN_PATHS = ("/", "/ping")
"""What needs no token: the page, which holds nothing secret, and the health check."""


@dataclass(frozen=True)
class Parts:
    """What the application is made of.

    Attributes:
        models: that it serves.
        decoder: shared by the models; closed with the application.
        metrics: of the whole server.
        limits: of requests.
        batch_transform: whether SageMaker's batch transform sends the requests.
        token: that requests must bear, or None.
        cors_origins: web sites whose pages may send requests.
        on_fault: called when a model turns out not to work while it is warmed.
    """

    models: Models
    decoder: Decoder
    metrics: Metrics
    limits: Limits
    batch_transform: bool = False
    token: str | None = None
    cors_origins: tuple[str, ...] = ()
    on_fault: Callable[[], None] = lambda: None


def create_application(parts: Parts) -> Starlette:
    """The ASGI application. Models are started and warmed when it starts, and stopped when it ends."""
    operations = _Operations(parts)
    memory = BodyMemory(parts.limits.waiting_body_bytes)
    invocations = Invocations(parts.models, parts.metrics, parts.limits, memory, parts.batch_transform)
    explainer = Explainer(parts.limits.waiting_explanations)
    explanations = Explanations(parts.models, parts.metrics, parts.limits, memory, explainer)
    routes = [
        Route("/", operations.page, methods=["GET"]),
        Route("/ping", operations.ping, methods=["GET"]),
        Route("/invocations", invocations.answer, methods=["POST"]),
        Route("/explain", explanations.answer, methods=["POST"]),
        Route("/execution-parameters", operations.execution_parameters, methods=["GET"]),
        Route("/model", operations.model, methods=["GET"]),
        Route("/models", operations.list_models, methods=["GET"]),
        Route("/models/{name}", operations.model, methods=["GET"]),
        Route("/models/{name}/invocations", invocations.answer, methods=["POST"]),
        Route("/models/{name}/explain", explanations.answer, methods=["POST"]),
        Route("/metrics", operations.metrics, methods=["GET"]),
        Route("/openapi.json", operations.openapi, methods=["GET"]),
    ]
    middleware = []
    if parts.cors_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=parts.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type"],
            )
        )
    if parts.token is not None:
        middleware.append(Middleware(BearerToken, token=parts.token, open_paths=OPEN_PATHS))
    return Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={RequestError: problem, 404: http_error, 405: http_error, Exception: fault},  # type: ignore[dict-item]
        lifespan=_lifespan(parts, explainer),
    )


def _lifespan(parts: Parts, explainer: Explainer) -> Callable[[Starlette], Any]:
    @asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[None]:
        # The server listens while the models are warmed, so that the health check gets its answer.
        warming = asyncio.create_task(_warm(parts))
        try:
            yield
        finally:
            warming.cancel()
            await asyncio.gather(warming, return_exceptions=True)
            await parts.models.stop()
            parts.decoder.close()
            explainer.close()

    return lifespan


async def _warm(parts: Parts) -> None:
    try:
        await parts.models.start()
    except Exception:
        logger.exception("a model does not work")
        parts.on_fault()
        raise
    logger.info("ready")


class _Operations:
    """What the server tells about itself."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._page = load_page(needs_token=parts.token is not None)

    async def page(self, request: Request) -> Response:
        """The page to try a model on."""
        return HTMLResponse(self._page.content, headers=self._page.headers)

    async def ping(self, request: Request) -> Response:
        """200 with an empty body when all models are warm and getting on; else 503."""
        if not self._parts.models.are_healthy:
            raise overloaded("a model is not ready")
        return Response()

    async def execution_parameters(self, request: Request) -> Response:
        """What SageMaker's batch transform asks before it begins.

        As many requests at a time as fill two batches, of one image each; sizes in whole MiB. The product of both is
        at most 100, a limit of SageMaker.
        """
        payload = max(1, self._parts.limits.body_bytes // MEBIBYTE)
        two_batches = 2 * max((service.batching.max_batch for service in self._parts.models), default=1)
        return JSONResponse(
            {
                "MaxConcurrentTransforms": max(1, min(two_batches, 100 // payload)),
                "BatchStrategy": "SINGLE_RECORD",
                "MaxPayloadInMB": payload,
            }
        )

    async def model(self, request: Request) -> Response:
        """The description of a model."""
        return JSONResponse(self._parts.models.get(request.path_params.get("name")).describe())

    async def list_models(self, request: Request) -> Response:
        """The names of the models, and whether each is ready."""
        models = [{"name": service.name, "ready": service.is_healthy} for service in self._parts.models]
        return JSONResponse({"models": models})

    async def metrics(self, request: Request) -> Response:
        """Figures for Prometheus."""
        return Response(self._parts.metrics.text(), media_type=self._parts.metrics.content_type)

    async def openapi(self, request: Request) -> Response:
        """The description of these routes."""
        return JSONResponse(document(self._parts.limits, self._parts.models.names))
