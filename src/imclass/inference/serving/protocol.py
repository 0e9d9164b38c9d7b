"""HTTP connections that have a deadline for everything that the client must do."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 20.0
"""From the connection, or the first byte of a request, to the end of its headers."""


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which waits without end for the headers of a request, with a deadline for them.

    The body has its deadline in `bodies`, and a connection without requests one in uvicorn.
    """

    _headers_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_headers()

    def on_message_begin(self) -> None:
        self._expect_headers()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._headers_are_there()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_are_there()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        self._headers_are_there()
        self._headers_deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _headers_are_there(self) -> None:
        if self._headers_deadline is not None:
            self._headers_deadline.cancel()
            self._headers_deadline = None
