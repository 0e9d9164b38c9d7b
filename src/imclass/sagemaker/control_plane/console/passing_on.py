"""Requests that other applications of this process answer: of S3, and of the runtime of endpoints."""

from collections.abc import Mapping
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SANDBOX = {"Content-Security-Policy": "sandbox allow-scripts", "X-Content-Type-Options": "nosniff"}
"""What somebody has put into a bucket may be a page; it must not act as one of the console, whose origin it shares."""


class PassedOn(Response):
    """What another application answers to this request at another path.

    Args:
        path: with nothing encoded.
        headers: set on its answer.
    """

    def __init__(self, application: ASGIApp, path: str, headers: Mapping[str, str]) -> None:
        super().__init__()
        self._application = application
        self._path = path
        self._set = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        changed = {**scope, "path": self._path, "raw_path": quote(self._path).encode(), "query_string": b""}
        await with_headers(self._application, self._set)(changed, receive, send)


def with_headers(application: ASGIApp, headers: Mapping[str, str]) -> ASGIApp:
    """An application whose answers all have these headers."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await application(scope, receive, send_on)

    return answer


def attachment(name: str) -> dict[str, str]:
    """The headers with which a browser saves what it gets."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
