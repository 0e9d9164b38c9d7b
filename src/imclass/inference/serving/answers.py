"""Errors as JSON: {"status": 415, "error": "what is wrong and what to do"}."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imclass.inference.serving.problems import RequestError


def error_response(status: HTTPStatus, message: str, headers: dict[str, str] | None = None) -> Response:
    """A response that says what is wrong."""
    return JSONResponse({"status": int(status), "error": message}, status_code=status, headers=headers)


async def problem(request: Request, error: RequestError) -> Response:
    """What a `RequestError` becomes."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.close:
        headers["Connection"] = "close"
    return error_response(error.status, error.message, headers)


async def http_error(request: Request, error: HTTPException) -> Response:
    """What Starlette's own errors become: no such path, or no such method."""
    status = HTTPStatus(error.status_code)
    method = status == HTTPStatus.METHOD_NOT_ALLOWED
    what = f"{request.method} is not possible here" if method else "there is nothing here: see /openapi.json"
    return error_response(status, what, dict(error.headers or {}))


async def fault(request: Request, error: Exception) -> Response:
    """What a fault of ours becomes; the server logs it, the client learns nothing of it."""
    return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of the server, which has logged it")
