"""What headers say of an object, and the headers that say it again."""

from starlette.datastructures import Headers

from imclass.sagemaker.s3.checksums import HEADER
from imclass.sagemaker.s3.descriptions import DEFAULT_TYPE, Attributes, Description
from imclass.sagemaker.s3.errors import S3Error

KEPT = ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires")
METADATA = "x-amz-meta-"
MOST_METADATA_BYTES = 2048

_REFUSED = (
    "x-amz-tagging",
    "x-amz-server-side-encryption-customer-",
    "x-amz-copy-source-server-side-encryption-customer-",
    "x-amz-object-lock-",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
)


def read_attributes(headers: Headers) -> Attributes:
    """What a client says of an object that it writes.

    Raises:
        S3Error: MetadataTooLarge; NotImplemented: it wants something that is not to be had here.
    """
    for name in headers:
        if name.startswith(_REFUSED):
            raise S3Error(
                "NotImplemented", "A header you provided implies functionality that is not implemented", Header=name
            )
    kept = {name: headers[name] for name in KEPT if name in headers}
    if encoding := _without_chunking(kept.pop("content-encoding", "")):
        kept["content-encoding"] = encoding
    metadata = {name.removeprefix(METADATA): value for name, value in headers.items() if name.startswith(METADATA)}
    size = sum(len(name) + len(value.encode("latin-1")) for name, value in metadata.items())
    if size > MOST_METADATA_BYTES:
        message = "Your metadata headers exceed the maximum allowed metadata size"
        raise S3Error("MetadataTooLarge", message, Size=str(size), MaxSizeAllowed=str(MOST_METADATA_BYTES))
    return Attributes(kept, metadata)


def object_headers(description: Description, *, with_checksum: bool) -> dict[str, str]:
    """The headers that tell of an object, without its length."""
    attributes = description.attributes
    headers = {
        "accept-ranges": "bytes",
        "content-type": DEFAULT_TYPE,
        "etag": f'"{description.etag}"',
        "last-modified": description.last_modified,
        **attributes.headers,
        **{METADATA + name: value for name, value in attributes.metadata.items()},
    }
    checksum = attributes.checksum
    if with_checksum and checksum is not None:
        headers[checksum.header] = checksum.value
        headers[HEADER + "type"] = checksum.kind
    return headers


def _without_chunking(encoding: str) -> str:
    """The encodings of the object itself; aws-chunked is that of the request."""
    names = (name.strip() for name in encoding.split(","))
    return ",".join(name for name in names if name and name != "aws-chunked")
