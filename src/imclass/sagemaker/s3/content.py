"""Content of files as the body of an answer."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

SMALL_BYTES = 1 << 18
"""What is read at once, in the thread that opened the file."""
PIECE_BYTES = 1 << 20


def content_response(file: BinaryIO, start: int, stop: int, status: HTTPStatus, headers: dict[str, str]) -> Response:
    """A response with the bytes `start` to `stop` of a file, which it closes.

    Args:
        file: unbuffered.
        headers: content-length among them.
    """
    file.seek(start)
    if stop - start > SMALL_BYTES:
        return _FileResponse(file, stop - start, status, headers)
    with file:
        content = file.read(stop - start)
    # A file that somebody has cut is an answer that ends too early, which the client notices.
    return Response(content, status_code=status, headers=headers)


class _FileResponse(StreamingResponse):
    """Sends a file piece by piece, each read in a thread."""

    def __init__(self, file: BinaryIO, size: int, status: HTTPStatus, headers: dict[str, str]) -> None:
        super().__init__(self._pieces(size), status_code=status, headers=headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()

    async def _pieces(self, left: int) -> AsyncIterator[bytes]:
        while left:
            data = await run_in_threadpool(self._file.read, min(PIECE_BYTES, left))
            if not data:
                raise OSError("the file became shorter while it was sent")
            left -= len(data)
            yield data
