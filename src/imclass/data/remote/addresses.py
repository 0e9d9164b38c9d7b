"""Addresses of data on other machines: `s3://bucket/key`, `gs://bucket/key`, `https://host/path`."""

import posixpath
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from imclass.data.remote.naming import name_problem
from imclass.errors import DataError

BUCKET_SCHEMES = ("s3", "gs")
WEB_SCHEMES = ("https", "http")
SCHEMES = BUCKET_SCHEMES + WEB_SCHEMES


@dataclass(frozen=True, slots=True)
class Address:
    """A place in a bucket or on a web server.

    Attributes:
        scheme: one of `SCHEMES`.
        container: the bucket, or host and port.
        key: the rest, decoded, without slashes at its ends; "" is the whole bucket.
        query: what follows `?` in a web address, say a signature; never shown, as it may be secret.
    """

    scheme: str
    container: str
    key: str
    query: str = ""

    @property
    def is_web(self) -> bool:
        """Whether this is a file of a web server, which lists no folders."""
        return self.scheme in WEB_SCHEMES

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The ending of the name, in lower case."""
        return posixpath.splitext(self.name)[1].lower()

    @property
    def parent(self) -> "Address":
        """The folder that this is in."""
        return replace(self, key=self.key.rpartition("/")[0], query="")

    def __truediv__(self, relative: str) -> "Address":
        """The address of a path relative to this folder."""
        return replace(self, key=f"{self.key}/{relative}".strip("/"), query="")

    def with_key(self, key: str) -> "Address":
        """Another key of the same bucket, or path of the same server."""
        return replace(self, key=key)

    def __str__(self) -> str:
        key = quote(self.key) if self.is_web else self.key
        return f"{self.scheme}://{self.container}/{key}" if key else f"{self.scheme}://{self.container}"


def is_remote(text: str | Path) -> bool:
    """Whether a text is an address on another machine: only texts can be, as a `Path` joins its slashes."""
    scheme, separator, _ = str(text).partition("://")
    return isinstance(text, str) and bool(separator) and scheme.lower() in SCHEMES


def parse_address(text: str) -> Address:
    """Take an address apart.

    Raises:
        DataError: no bucket or host, a name and password in a web address, or a web address of no file.
    """
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme in BUCKET_SCHEMES:  # a key may hold any character, also ? and #
        bucket, _, key = rest.partition("/")
        if not bucket:
            raise DataError("the address names no bucket", where=text, fix=f"Write {scheme}://BUCKET/KEY.")
        return Address(scheme, bucket, key.strip("/"))
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise DataError(f"this is no web address: {error}", where=text) from error
    if "@" in parts.netloc:
        raise DataError(
            "an address with a name and a password in it is not accepted, as it would stand in logs",
            where=f"{scheme}://{parts.netloc.rpartition('@')[2]}",
        )
    key = unquote(parts.path).strip("/")
    if not parts.netloc or not key:
        raise DataError("the address names no file", where=text, fix=f"Write {scheme}://HOST/FILE.rec.")
    return Address(scheme, parts.netloc, key, parts.query)


def remote_address(reference: str, base: Address | None) -> Address | None:
    """The address that a reference in a list means.

    Args:
        reference: an address or a path.
        base: the folder of the list, if it is remote itself.

    Returns:
        None for a path on this machine.

    Raises:
        ValueError: it names no object.
    """
    if is_remote(reference):
        try:
            address = parse_address(reference)
        except DataError as error:
            raise ValueError(f"{reference[:100]!r}: {error.what}") from error
        return _named(address, reference)
    if base is None:
        return None
    if reference.startswith("/"):
        raise ValueError(f"{reference[:100]!r} is a path on this machine, and the list is on another one")
    key = posixpath.normpath(f"{base.key}/{reference}".lstrip("/"))
    if key.startswith(".."):
        raise ValueError(f"{reference[:100]!r} leads out of {base.scheme}://{base.container}")
    return _named(base.with_key(key), reference)


def _named(address: Address, reference: str) -> Address:
    problem = "names no object" if not address.key else name_problem(address.key)
    if problem:
        raise ValueError(f"{reference[:100]!r}: {problem}")
    return address
