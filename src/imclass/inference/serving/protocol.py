"""HTTP connections on which the headers of a request have a deadline and a size."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 20.0
"""From the connection, or the first byte of a request, to the end of its headers."""
MOST_HEADER_BYTES = 1 << 16


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which itself waits for headers without end and takes any number of them.

    The body has its deadline in `bodies`, and a connection without requests one in uvicorn.
    """

    _headers_deadline: asyncio.TimerHandle | None = None
    _header_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._headers_deadline is not None:
            self._header_bytes += len(data)
            if self._header_bytes > MOST_HEADER_BYTES:
                self.transport.close()

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
        self._header_bytes = 0
        self._headers_deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _headers_are_there(self) -> None:
        if self._headers_deadline is not None:
            self._headers_deadline.cancel()
            self._headers_deadline = None
