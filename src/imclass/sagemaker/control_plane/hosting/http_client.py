"""A client for one HTTP server on this machine: connections that stay open, each with one request at a time.

::

    POST /invocations HTTP/1.1 CRLF headers CRLF CRLF body   ->   HTTP/1.1 200 OK CRLF headers CRLF CRLF body

A server may close a connection that is idle just when the next request is sent. Such a request is sent again on a new
connection, once. Everything here belongs to the event loop in which it was made.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import httptools

HOST = "127.0.0.1"
IDLE_SECONDS = 60.0
"""After which a connection is not used again: less than the server's own patience, so that it seldom closes one."""


class ServerGoneError(Exception):
    """The server cannot be reached, or went away before its answer was complete."""


@dataclass(frozen=True)
class Answer:
    """What a server has answered; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection(asyncio.Protocol):
    """One connection; made by `Connection.open`."""

    def __init__(self) -> None:
        self.is_open = False
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect to a port of this machine.

        Raises:
            ServerGoneError: nobody listens there.
        """
        try:
            _, connection = await asyncio.get_running_loop().create_connection(cls, HOST, port)
        except OSError as error:
            raise ServerGoneError(str(error)) from error
        return connection

    async def exchange(self, head: bytes, body: bytes) -> Answer:
        """Send a request and wait for the answer; whoever gives up waiting ends the connection.

        Args:
            head: request line and headers, with the empty line behind them.

        Raises:
            ServerGoneError: the connection ended before the answer did, or it is no HTTP.
        """
        assert self._answer is None, "one request at a time"
        if self._transport is None or not self.is_open:
            raise ServerGoneError("the connection is closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._pieces = {}, []
        self._transport.writelines((head, body))
        try:
            return await self._answer
        except BaseException:
            self.close()
            raise
        finally:
            self._answer = self._parser = None

    def close(self) -> None:
        """End the connection at once."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._fail(f"the connection ended: {exc}" if exc else "the connection ended")

    def data_received(self, data: bytes) -> None:
        if self._parser is None:  # an answer to nothing, such as to a request whose sender gave up
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the answer is no HTTP: {error}")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        assert self._parser is not None
        self.is_open = self.is_open and self._parser.should_keep_alive()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(self._parser.get_status_code(), self._headers, b"".join(self._pieces)))

    def _fail(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ServerGoneError(reason))


class Pool:
    """Connections to one server.

    Args:
        port: of this machine.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[Connection, float]] = []

    async def exchange(self, head: bytes, body: bytes) -> Answer:
        """As `Connection.exchange`, on a connection that is free."""
        used = self._take()
        if used is not None:
            try:
                return await self._exchange(used, head, body)
            except ServerGoneError:
                used.close()  # perhaps only this connection was; a new one tells
        return await self._exchange(await Connection.open(self._port), head, body)

    async def _exchange(self, connection: Connection, head: bytes, body: bytes) -> Answer:
        answer = await connection.exchange(head, body)
        if connection.is_open:
            self._idle.append((connection, time.monotonic()))
        else:
            connection.close()
        return answer

    def _take(self) -> Connection | None:
        """The connection that was used last; those that were idle for long are closed."""
        while self._idle:
            connection, since = self._idle.pop()
            if connection.is_open and time.monotonic() - since < IDLE_SECONDS:
                return connection
            connection.close()
        return None


async def get(port: int, path: str) -> Answer:
    """One request on a connection of its own.

    Raises:
        ServerGoneError: as `Connection.exchange`.
    """
    connection = await Connection.open(port)
    try:
        return await connection.exchange(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(), b"")
    finally:
        connection.close()
