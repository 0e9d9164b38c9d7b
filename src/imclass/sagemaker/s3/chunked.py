"""The encoding aws-chunked, in which clients send bodies with signatures between and checksums behind the content.

    size in hexadecimal digits [;chunk-signature=64 hexadecimal digits] CR LF
    that many bytes CR LF
    ... as often as needed ...
    0 [;chunk-signature=...] CR LF
    [name:value CR LF]...            trailing headers: x-amz-checksum-crc32:AAAAAA==, x-amz-trailer-signature:...
    CR LF

Signatures between are read over, not checked: what they would protect from is somebody between client and server.
"""

from collections.abc import Iterator
from enum import Enum, auto

from imclass.sagemaker.s3.errors import S3Error

MOST_LINE_BYTES = 1024
MOST_TRAILERS = 16
_MOST_SIZE_DIGITS = 16
_HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")


class _Next(Enum):
    """What comes next in the encoded body."""

    SIZE = auto()
    CONTENT = auto()
    CONTENT_END = auto()
    TRAILER = auto()
    NOTHING = auto()


class ChunkedDecoder:
    """Takes the encoded body in any pieces, and gives the content in pieces as it comes.

    Attributes:
        trailers: the trailing headers by lower-case name, complete after `finish`.
    """

    def __init__(self) -> None:
        self.trailers: dict[str, str] = {}
        self._next = _Next.SIZE
        self._left = 0
        self._line = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the content in more of the body; at most one line is kept for later.

        Raises:
            S3Error: InvalidRequest, MalformedTrailerError: this is not the encoding.
        """
        start = 0
        while start < len(data):
            if self._next is _Next.CONTENT:
                piece = data[start : start + self._left]
                self._left -= len(piece)
                start += len(piece)
                if not self._left:
                    self._next = _Next.CONTENT_END
                yield piece
                continue
            end = data.find(b"\n", start) + 1 or len(data)
            self._line += data[start:end]
            if len(self._line) > MOST_LINE_BYTES:
                raise _malformed("a line is too long")
            start = end
            if self._line.endswith(b"\n"):
                self._take_line()

    def finish(self) -> None:
        """Check that the body is complete.

        Raises:
            S3Error: IncompleteBody: it is not.
        """
        if self._next is not _Next.NOTHING:
            raise S3Error("IncompleteBody", "The body ended within its aws-chunked encoding.")

    def _take_line(self) -> None:
        if not self._line.endswith(b"\r\n"):
            raise _malformed("a line does not end with CR LF")
        line = bytes(self._line[:-2])
        self._line.clear()
        match self._next:
            case _Next.SIZE:
                self._left = _size(line)
                self._next = _Next.CONTENT if self._left else _Next.TRAILER
            case _Next.CONTENT_END:
                if line:
                    raise _malformed("a chunk is longer than announced")
                self._next = _Next.SIZE
            case _Next.TRAILER:
                self._take_trailer(line)
            case _:
                raise _malformed("something follows its end")

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self._next = _Next.NOTHING
            return
        name, colon, value = line.partition(b":")
        is_header = colon and name.strip() and line.isascii()
        shown = name.strip().lower().decode("latin-1")
        if not is_header or shown in self.trailers or len(self.trailers) == MOST_TRAILERS:
            raise S3Error("MalformedTrailerError", "The trailing headers are not well-formed.")
        self.trailers[shown] = value.strip().decode("ascii")


def _size(line: bytes) -> int:
    digits, _, _ = line.partition(b";")
    if not 0 < len(digits) <= _MOST_SIZE_DIGITS or not _HEXADECIMAL.issuperset(digits):
        raise _malformed("the size of a chunk is no hexadecimal number")
    return int(digits, 16)


def _malformed(why: str) -> S3Error:
    return S3Error("InvalidRequest", f"The body is not in aws-chunked encoding: {why}.")
