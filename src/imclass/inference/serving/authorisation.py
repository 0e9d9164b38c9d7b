"""Requests must bear a token: Authorization: Bearer TOKEN, RFC 6750."""

import hmac
from collections.abc import Sequence
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from imclass.inference.serving.answers import error_response


class BearerToken:
    """Lets requests with the token through, and answers the others with 401.

    Args:
        application: behind it.
        token: the secret.
        open_paths: that need no token.
    """

    def __init__(self, app: ASGIApp, token: str, open_paths: Sequence[str]) -> None:
        self._application = app
        self._token = token.encode()
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] in self._open_paths or self._is_borne_by(scope):
            await self._application(scope, receive, send)
            return
        response = error_response(
            HTTPStatus.UNAUTHORIZED, "send the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
        )
        await response(scope, receive, send)

    def _is_borne_by(self, scope: Scope) -> bool:
        scheme, _, credentials = Headers(scope=scope).get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(credentials.strip().encode(), self._token)
