"""What comes with a request: its body, and who has sent it."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.types import Scope

from imclass.sagemaker.control_plane.api.errors import ApiError
from imclass.sagemaker.control_plane.api.signature import SignatureError, Verifier

DISCARDED_BYTES = 64 << 20
"""Of a body that is too large, so much is taken in and thrown away: whoever still sends reads no answer."""


@dataclass(frozen=True)
class Refusals:
    """How a protocol tells that a request is not taken at all.

    Attributes:
        too_large: the code for a body that has too many bytes.
        codes: for those of `SignatureError`; the others are told as they are.
        status: of HTTP, for what is wrong with a signature.
    """

    too_large: str
    codes: Mapping[str, str]
    status: HTTPStatus


EXCEPTIONS = {
    "AccessDenied": "AccessDeniedException",
    "ExpiredToken": "ExpiredTokenException",
    "InvalidAccessKeyId": "UnrecognizedClientException",
    "InvalidToken": "UnrecognizedClientException",
    "RequestTimeTooSkewed": "InvalidSignatureException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "XAmzContentSHA256Mismatch": "InvalidSignatureException",
}
CLIENTS = {"InvalidAccessKeyId": "InvalidClientTokenId", "InvalidToken": "InvalidClientTokenId"}
OF_JSON = Refusals("SerializationException", EXCEPTIONS, HTTPStatus.BAD_REQUEST)
OF_QUERY = Refusals("SerializationException", CLIENTS, HTTPStatus.FORBIDDEN)
OF_RUNTIME = Refusals("ValidationError", EXCEPTIONS, HTTPStatus.FORBIDDEN)


async def checked_body(request: Request, verifier: Verifier, refusals: Refusals, *, most: int) -> bytes:
    """The body, of a sender who may send it.

    Args:
        most: bytes that it may have.

    Raises:
        ApiError: it is too large, or the signature is wrong.
    """
    body = await read_body(request, most, refusals.too_large)
    try:
        verifier.check(request.method, address_of(request.scope), headers_of(request), body)
    except SignatureError as error:
        raise ApiError(refusals.codes.get(error.code, error.code), error.message, refusals.status) from error
    return body


async def read_body(request: Request, most: int, code: str) -> bytes:
    """The whole body.

    Args:
        most: bytes that it may have.
        code: of the error for one that has more.

    Raises:
        ApiError: it is too large.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= most:
            parts.append(part)
        elif size > most + DISCARDED_BYTES:
            break
    if size > most:
        raise ApiError(code, f"HTTP content length exceeded {most} bytes.", 413)
    return b"".join(parts)


def address_of(scope: Scope) -> str:
    """Path and query as they were sent."""
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


def headers_of(request: Request) -> Mapping[str, str]:
    """By name in lower case; those that came several times are joined."""
    names = {name.decode("latin-1") for name, _ in request.headers.raw}
    return {name: ",".join(request.headers.getlist(name)) for name in names}
