"""A request of S3: which bucket and key it is about, and what else its URL says."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from imclass.sagemaker.s3.errors import S3Error
from imclass.sagemaker.s3.paths import is_bucket_name

HOSTS = ("s3.localhost", "localhost")
"""Below which a bucket may be named in the host, as in http://BUCKET.localhost:4566/KEY."""
MOST_PARAMETERS = 64


@dataclass(frozen=True)
class S3Request:
    """A request.

    Attributes:
        method: of HTTP.
        url: as it was sent, with host and query.
        bucket: empty for the list of all.
        key: empty for the bucket itself.
        query: the parameters; the empty text for those without a value.
        headers: of HTTP.
        receive: for the body.
    """

    method: str
    url: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: Headers
    receive: Receive


def read_request(scope: Scope, receive: Receive) -> S3Request:
    """Read what ASGI knows of a request.

    Raises:
        S3Error: InvalidURI: the path is no UTF-8; InvalidArgument: the query is no good.
    """
    headers = Headers(scope=scope)
    raw_path = scope["raw_path"].decode("latin-1")
    raw_query = scope["query_string"].decode("latin-1")
    host = headers.get("host", "")
    url = f"{scope['scheme']}://{host}{raw_path}" + (f"?{raw_query}" if raw_query else "")
    bucket, key = _address(host, raw_path)
    return S3Request(scope["method"], url, bucket, key, _read_query(raw_query), headers, receive)


def decode_uri(text: str) -> str:
    """Undo the encoding of URLs.

    Raises:
        S3Error: InvalidURI: it is no UTF-8.
    """
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise S3Error("InvalidURI", "Couldn't parse the specified URI: it is not UTF-8.") from error


def bucket_in_host(host: str) -> str:
    """The bucket that a Host header names, as BUCKET.localhost:4566 does; empty for none."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    for suffix in HOSTS:
        bucket = name.lower().removesuffix(f".{suffix}")
        if bucket != name.lower() and is_bucket_name(bucket):
            return bucket
    return ""


def _address(host: str, raw_path: str) -> tuple[str, str]:
    path = raw_path.removeprefix("/")
    if bucket := bucket_in_host(host):
        return bucket, decode_uri(path)
    bucket, _, key = path.partition("/")
    return decode_uri(bucket), decode_uri(key)


def _read_query(raw: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS))
    except (UnicodeDecodeError, ValueError) as error:
        raise S3Error("InvalidArgument", "The query of the URL cannot be read.") from error
