"""Receives the bodies of requests and checks them against what their headers, or trailing headers, say."""

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from imclass.sagemaker.s3.checksums import (
    ALGORITHMS,
    HEADER,
    Checksum,
    Hashes,
    algorithm_named,
    check_encoded,
    encode,
)
from imclass.sagemaker.s3.chunked import ChunkedDecoder
from imclass.sagemaker.s3.errors import S3Error

MOST_OBJECT_BYTES = 5 << 30
"""In one request; larger objects come in parts."""
MOST_XML_BYTES = 8 << 20
"""A request about 1,000 keys or 10,000 parts is smaller."""
PIECE_BYTES = 1 << 20
"""What is taken in before a thread hashes and writes it."""
SILENCE_SECONDS = 60.0
"""Longest wait for the next bytes."""

# A client that is still sending reads no answer, and loses it when the connection is closed. Of a body that is refused
# so much more is taken in and thrown away.
DISCARDED_BYTES = 64 << 20
DISCARD_SECONDS = 10.0

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NOT_ALGORITHMS = frozenset({HEADER + "type", HEADER + "algorithm", HEADER + "mode"})


class IncomingBody:
    """The body of a request, which an answer may come before the end of."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        self._receive = receive
        self._waits_for_word = headers.get("expect", "").lower() == "100-continue"
        self._is_over = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers

    async def receive(self) -> Message:
        """ASGI."""
        self._waits_for_word = False
        message = await self._receive()
        self._is_over = self._is_over or not message.get("more_body", False)
        return message

    async def is_over(self) -> bool:
        """Whether all of it was received, or could be thrown away, so that the next request can follow it.

        A client that waits to be told to send its body may never send it.
        """
        left = 0 if self._waits_for_word else DISCARDED_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                while not self._is_over and left > 0:
                    left -= len((await self.receive()).get("body", b""))
        return self._is_over


@dataclass(frozen=True)
class Announced:
    """What the headers of a request say of its body.

    Attributes:
        size: bytes of the content.
        is_chunked: whether it is in aws-chunked encoding.
        md5: of the content, or None.
        sha256: in hexadecimal digits, or None.
        algorithm: of the checksum, or None.
        checksum: its value; None when it comes in a trailing header.
    """

    size: int
    is_chunked: bool
    md5: bytes | None
    sha256: str | None
    algorithm: str | None
    checksum: str | None

    def hashes(self, *more: str) -> Hashes:
        """Hashes for all that is to be checked, and for more algorithms."""
        needed = {self.algorithm, "SHA256" if self.sha256 else None, *more} - {None}
        return Hashes(sorted(filter(None, needed)))


def read_announced(headers: Headers, most_bytes: int) -> Announced:
    """What the headers say.

    Raises:
        S3Error: MissingContentLength, EntityTooLarge, InvalidDigest, InvalidRequest.
    """
    sha256 = headers.get("x-amz-content-sha256", "")
    is_chunked = sha256.startswith("STREAMING-") or "aws-chunked" in headers.get("content-encoding", "")
    algorithm, checksum = _read_checksum(headers)
    return Announced(
        _read_size(headers, "x-amz-decoded-content-length" if is_chunked else "content-length", most_bytes),
        is_chunked,
        _read_md5(headers),
        sha256 if _SHA256.fullmatch(sha256) else None,
        algorithm,
        checksum,
    )


def _read_size(headers: Headers, name: str, most_bytes: int) -> int:
    size = headers.get(name, "")
    if not (size.isascii() and size.isdecimal()):
        if "content-length" not in headers and "transfer-encoding" not in headers:
            return 0
        raise S3Error("MissingContentLength", f"You must provide the {name} HTTP header.")
    if len(size) > 15 or int(size) > most_bytes:
        message = "Your proposed upload exceeds the maximum allowed size"
        raise S3Error("EntityTooLarge", message, ProposedSize=size, MaxSizeAllowed=str(most_bytes))
    return int(size)


def _read_md5(headers: Headers) -> bytes | None:
    value = headers.get("content-md5")
    if value is None:
        return None
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise S3Error("InvalidDigest", "The Content-MD5 you specified was invalid.") from error
    if len(digest) != 16:
        raise S3Error("InvalidDigest", "The Content-MD5 you specified was invalid.")
    return digest


def _read_checksum(headers: Headers) -> tuple[str | None, str | None]:
    """The algorithm, and the value if it is there already."""
    trailing = [name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",")]
    names = {name for name in [*headers.keys(), *trailing] if name.startswith(HEADER)} - _NOT_ALGORITHMS
    if not names:
        return None, None
    if len(names) > 1:
        raise S3Error(
            "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    (name,) = names
    algorithm = algorithm_named(name.removeprefix(HEADER))
    value = headers.get(name)
    return algorithm, value if value is None else check_encoded(algorithm, value)


async def receive_body(
    receive: Receive, announced: Announced, hashes: Hashes, write: Callable[[bytes], object]
) -> Checksum | None:
    """Receive a body whole and check it.

    Args:
        hashes: made by `announced.hashes`.
        write: gets the content, in a thread, in pieces of about `PIECE_BYTES`.

    Returns:
        The checksum that the client sent, which is right.

    Raises:
        S3Error: IncompleteBody, BadDigest, XAmzContentSHA256Mismatch, RequestTimeout, InvalidRequest.
        ClientDisconnect: the client went away.
    """

    def take(data: bytes) -> None:
        hashes.update(data)
        write(data)

    decoder = ChunkedDecoder() if announced.is_chunked else None
    waiting: list[bytes] = []
    held = received = 0
    async for data in _content(receive, decoder):
        received += len(data)
        if received > announced.size:
            raise S3Error("IncompleteBody", "The body is longer than announced.")
        waiting.append(data)
        held += len(data)
        if held >= PIECE_BYTES:
            await run_in_threadpool(take, b"".join(waiting))
            waiting.clear()
            held = 0
    if waiting:
        await run_in_threadpool(take, b"".join(waiting))
    return _check(announced, hashes, decoder.trailers if decoder else {})


async def receive_xml(receive: Receive, headers: Headers, *, checksum_is_of_object: bool = False) -> bytes:
    """Receive a small body whole and check it; raises as `read_announced` and `receive_body`.

    Args:
        checksum_is_of_object: x-amz-checksum-* does not tell of the body.
    """
    announced = read_announced(headers, MOST_XML_BYTES)
    if checksum_is_of_object:
        announced = replace(announced, algorithm=None, checksum=None)
    content = bytearray()
    await receive_body(receive, announced, announced.hashes(), content.extend)
    return bytes(content)


async def _content(receive: Receive, decoder: ChunkedDecoder | None) -> AsyncIterator[bytes]:
    more = True
    while more:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                message = await receive()
        except TimeoutError as error:
            message_text = (
                "Your socket connection to the server was not read from or written to within the timeout period."
            )
            raise S3Error("RequestTimeout", message_text) from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        data = message.get("body", b"")
        for piece in decoder.feed(data) if decoder else [data]:
            yield piece
    if decoder:
        decoder.finish()


def _check(announced: Announced, hashes: Hashes, trailers: dict[str, str]) -> Checksum | None:
    if hashes.size != announced.size:
        raise S3Error(
            "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header."
        )
    if announced.md5 is not None and announced.md5 != hashes.md5:
        raise S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.")
    if announced.sha256 is not None and announced.sha256 != hashes.digest("SHA256").hex():
        message = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise S3Error("XAmzContentSHA256Mismatch", message)
    algorithm = announced.algorithm
    if algorithm is None:
        return None
    assert algorithm in ALGORITHMS
    sent = announced.checksum or trailers.get(HEADER + algorithm.lower())
    if sent is None:
        raise S3Error("MalformedTrailerError", f"The trailing header {HEADER}{algorithm.lower()} is missing.")
    if sent != encode(hashes.digest(algorithm)):
        raise S3Error("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")
    return Checksum(algorithm, sent)
