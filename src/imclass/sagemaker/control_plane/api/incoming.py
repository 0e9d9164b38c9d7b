"""What comes with a request: its body, and who has sent it."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import Scope

from imclass.sagemaker.control_plane.api.errors import ApiError
from imclass.sagemaker.control_plane.api.signature import SignatureError, Verifier

DISCARDED_BYTES = 64 << 20
"""Of a body that is too large, so much is taken in and thrown away: whoever still sends reads no answer."""


async def checked_body(request: Request, verifier: Verifier, *, most: int, code: str) -> bytes:
    """The body, of a sender who may send it.

    Args:
        most: bytes that it may have.
        code: of the error for one that has more.

    Raises:
        ApiError: it is too large, or the signature is wrong.
    """
    body = await read_body(request, most, code)
    try:
        verifier.check(request.method, address_of(request.scope), headers_of(request), body)
    except SignatureError as error:
        raise ApiError(error.code, error.message, 403) from error
    return body


async def read_body(request: Request, most: int, code: str) -> bytes:
    """The whole body; arguments and errors are those of `checked_body`."""
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
