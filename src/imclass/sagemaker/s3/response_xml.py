"""Writes the XML of answers."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote
from xml.sax.saxutils import escape

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
OWNER = "imclass"

# What XML 1.0 cannot hold or would change; S3 writes references to them all the same.
_CONTROL = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")


def element(name: str, *content: str) -> str:
    """An element with other elements in it."""
    return f"<{name}>{''.join(content)}</{name}>"


def text(name: str, value: object) -> str:
    """An element with text in it; truth values as true and false."""
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{name}>{_CONTROL.sub(lambda match: f'&#x{ord(match[0]):x};', escape(shown))}</{name}>"


def optional(name: str, value: object | None) -> str:
    """An element with text in it, or nothing for None."""
    return "" if value is None else text(name, value)


def etag(value: str) -> str:
    """The element of an ETag, with its quotes."""
    return text("ETag", f'"{value}"')


def owner(name: str = "Owner") -> str:
    """The element of the owner of everything."""
    return element(name, text("ID", OWNER), text("DisplayName", OWNER))


def document(root: str, *content: str) -> bytes:
    """A document in S3's namespace."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{NAMESPACE}">{"".join(content)}</{root}>'.encode()


def error_document(code: str, message: str, resource: str, request_id: str, details: dict[str, str]) -> bytes:
    """The document of an error, which has no namespace."""
    content = [text("Code", code), text("Message", message), *(text(name, value) for name, value in details.items())]
    content += [text("Resource", resource), text("RequestId", request_id)]
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{element("Error", *content)}'.encode()


def time(seconds: float) -> str:
    """A time as S3's XML has it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def encoder(encoding_type: str | None) -> Callable[[str], str]:
    """How keys are shown: as they are, or encoded as in URLs."""
    return (lambda key: quote(key, safe="/")) if encoding_type == "url" else (lambda key: key)
