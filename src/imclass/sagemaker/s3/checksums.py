"""The checksums that S3 knows beside the MD5 of its ETags."""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from awscrt import checksums as crt

from imclass.sagemaker.s3.errors import S3Error

ChecksumType = Literal["COMPOSITE", "FULL_OBJECT"]
HEADER = "x-amz-checksum-"


class Digest(Protocol):
    """A running checksum, as those of hashlib."""

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""

    def digest(self) -> bytes:
        """The checksum of what was taken in, most significant byte first."""


class _Crc:
    """A cyclic redundancy check as a `Digest`."""

    def __init__(self, step: Callable[[bytes, int], int], size: int) -> None:
        self._step = step
        self._size = size
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


ALGORITHMS: dict[str, Callable[[], Digest]] = {
    "CRC32": lambda: _Crc(zlib.crc32, 4),
    "CRC32C": lambda: _Crc(crt.crc32c, 4),
    "CRC64NVME": lambda: _Crc(crt.crc64nvme, 8),
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "SHA256": hashlib.sha256,
}
FULL_OBJECT_ALGORITHMS = frozenset({"CRC32", "CRC32C", "CRC64NVME"})
"""Those that multipart uploads may have over the whole object."""


class Hashes:
    """The MD5 of an ETag, and checksums, of bytes as they pass.

    Args:
        algorithms: among `ALGORITHMS`.
    """

    def __init__(self, algorithms: Iterable[str] = ()) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._digests = {algorithm: ALGORITHMS[algorithm]() for algorithm in algorithms}
        self.size = 0

    def update(self, data: bytes) -> None:
        """Take in more bytes."""
        self.size += len(data)
        self._md5.update(data)
        for digest in self._digests.values():
            digest.update(data)

    @property
    def md5(self) -> bytes:
        """Of all bytes."""
        return self._md5.digest()

    @property
    def etag(self) -> str:
        """Of an object with these bytes, without quotes."""
        return self._md5.hexdigest()

    def digest(self, algorithm: str) -> bytes:
        """The checksum of all bytes, by one of the algorithms asked for."""
        return self._digests[algorithm].digest()


@dataclass(frozen=True)
class Checksum:
    """A checksum of an object or a part.

    Attributes:
        algorithm: one of `ALGORITHMS`.
        value: base64; with `-N` behind it for the checksum of the checksums of N parts.
        kind: over the whole object, or over the checksums of its parts.
    """

    algorithm: str
    value: str
    kind: ChecksumType = "FULL_OBJECT"

    @property
    def header(self) -> str:
        """The name of the header that carries it."""
        return HEADER + self.algorithm.lower()


def algorithm_named(name: str) -> str:
    """An algorithm by its name in any case.

    Raises:
        S3Error: InvalidRequest: unknown.
    """
    if name.upper() not in ALGORITHMS:
        raise S3Error("InvalidRequest", f"Checksum algorithm provided is unsupported: {name}")
    return name.upper()


def encode(digest: bytes) -> str:
    """A checksum as headers carry it."""
    return base64.b64encode(digest).decode("ascii")


def check_encoded(algorithm: str, value: str) -> str:
    """Check that a value can be a checksum of an algorithm.

    Raises:
        S3Error: InvalidRequest: it is no base64, or of another length.
    """
    try:
        size = len(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        size = -1
    if size != len(ALGORITHMS[algorithm]().digest()):
        raise S3Error("InvalidRequest", f"Value for {HEADER}{algorithm.lower()} header is invalid.")
    return value


def composite(algorithm: str, parts: Sequence[str]) -> Checksum:
    """The checksum of the checksums of the parts of a multipart upload, each in base64."""
    digest = ALGORITHMS[algorithm]()
    for part in parts:
        digest.update(base64.b64decode(part))
    return Checksum(algorithm, f"{encode(digest.digest())}-{len(parts)}", "COMPOSITE")
