"""Models that are added and removed while the server runs, on a port of their own for this machine only."""

import asyncio
import json
from http import HTTPStatus
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imclass.errors import UserError
from imclass.inference.serving.answers import fault, http_error, problem
from imclass.inference.serving.bodies import BodyMemory, read_body
from imclass.inference.serving.limits import Limits
from imclass.inference.serving.media_types import parse
from imclass.inference.serving.models import Models
from imclass.inference.serving.opening import Opener
from imclass.inference.serving.problems import RequestError
from imclass.inference.serving.requests import JSON

_FORM = 'Send {"name": "NAME", "path": "PATH"} as JSON.'
MOST_BODY_BYTES = 1 << 16
BODY_SECONDS = 10.0


def create_admin_application(models: Models, opener: Opener) -> Starlette:
    """The ASGI application: POST /models and DELETE /models/NAME."""
    administration = _Administration(models, opener)
    return Starlette(
        routes=[
            Route("/models", administration.add, methods=["POST"]),
            Route("/models/{name}", administration.remove, methods=["DELETE"]),
        ],
        exception_handlers={RequestError: problem, 404: http_error, 405: http_error, Exception: fault},  # type: ignore[dict-item]
    )


class _Administration:
    def __init__(self, models: Models, opener: Opener) -> None:
        self._models = models
        self._opener = opener
        self._changing = asyncio.Lock()

    async def add(self, request: Request) -> Response:
        """Open a model, warm it, and serve it: 201. It is loaded beside the others, which go on."""
        # What a browser sends across web sites without asking first is never application/json.
        if parse(request.headers.get("content-type", "")).name != JSON:
            raise RequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the content type is not {JSON}. {_FORM}")
        name, path = _requested(await _body(request))
        async with self._changing:
            self._models.check_is_new(name)
            try:
                service = await asyncio.to_thread(self._opener.open, name, Path(path))
            except UserError as error:
                raise RequestError(HTTPStatus.BAD_REQUEST, str(error)) from error
            await self._models.add(service)
        return JSONResponse({"name": name, "path": path}, status_code=HTTPStatus.CREATED)

    async def remove(self, request: Request) -> Response:
        """Stop serving a model, when what it has accepted is answered: 204."""
        async with self._changing:
            await self._models.remove(request.path_params["name"])
        return Response(status_code=HTTPStatus.NO_CONTENT)


async def _body(request: Request) -> bytes:
    limits = Limits(body_bytes=MOST_BODY_BYTES, body_seconds=BODY_SECONDS)
    with BodyMemory(limits.waiting_body_bytes).account() as account:
        return await read_body(request.receive, request.headers, limits, account)


def _requested(body: bytes) -> tuple[str, str]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}. {_FORM}") from error
    if not isinstance(content, dict) or content.keys() != {"name", "path"}:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"the JSON has not name and path alone. {_FORM}")
    name, path = content["name"], content["path"]
    if not isinstance(name, str) or not isinstance(path, str):
        raise RequestError(HTTPStatus.BAD_REQUEST, f"name and path are not strings. {_FORM}")
    return name, path
