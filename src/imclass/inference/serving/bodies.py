"""Reads the body of a request within a size and a time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from imclass.inference.serving.limits import MEBIBYTE, Limits
from imclass.inference.serving.problems import RequestError, overloaded

# A client that is still sending reads no answer, and loses it when the connection is closed. Of a body that is refused
# so much more is taken in and thrown away.
DISCARDED_BYTES = 64 * MEBIBYTE
DISCARD_SECONDS = 10.0


class BodyMemory:
    """Counts the bytes of all bodies that are held at a time.

    Args:
        limit: most bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    @contextmanager
    def account(self) -> Iterator["BodyAccount"]:
        """Keep account of one body, until the block ends."""
        account = BodyAccount(self)
        try:
            yield account
        finally:
            self.held -= account.held

    def add(self, count: int) -> None:
        """Hold more bytes.

        Raises:
            RequestError: 503, there are too many already.
        """
        if self.held + count > self._limit:
            raise overloaded(f"requests of {self._limit // MEBIBYTE} MiB are waiting already: try again later")
        self.held += count


class BodyAccount:
    """Bytes that one request holds."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self.held = 0

    def add(self, count: int) -> None:
        """Hold more bytes; raises as `BodyMemory.add`."""
        self._memory.add(count)
        self.held += count


async def read_body(receive: Receive, headers: Headers, limits: Limits, account: BodyAccount) -> bytes:
    """The whole body of a request.

    Args:
        headers: of the request.

    Raises:
        RequestError: 408, it does not arrive in time; 413, it is too large; 503, there is no memory for it.
        ClientDisconnect: the client went away.
    """
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limits.body_bytes:
        if headers.get("expect", "").lower() != "100-continue":  # such a client has not begun to send
            await _discard(receive)
        raise _too_large(limits)
    chunks: list[bytes] = []
    try:
        async with asyncio.timeout(limits.body_seconds):
            await _collect(receive, limits, account, chunks)
    except TimeoutError as error:
        raise RequestError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the body did not arrive within {limits.body_seconds:g} seconds",
            close=True,
        ) from error
    return b"".join(chunks)


async def _collect(receive: Receive, limits: Limits, account: BodyAccount, chunks: list[bytes]) -> None:
    more = True
    while more:
        chunk, more = await _next(receive)
        if account.held + len(chunk) > limits.body_bytes:
            await _discard(receive)
            raise _too_large(limits)
        account.add(len(chunk))
        chunks.append(chunk)


async def _next(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


async def _discard(receive: Receive) -> None:
    """Take in the rest of a body, up to a size and a time."""
    left, more = DISCARDED_BYTES, True
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while more and left > 0:
                chunk, more = await _next(receive)
                left -= len(chunk)


def _too_large(limits: Limits) -> RequestError:
    size = f"{limits.body_bytes:,} bytes ({limits.body_bytes / MEBIBYTE:.4g} MiB)"
    return RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than the {size} that are allowed")
