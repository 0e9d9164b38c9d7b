"""What S3 does with buckets, and its lists of objects."""

import base64
import binascii
from collections.abc import Callable
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from imclass.sagemaker.s3 import response_xml as xml
from imclass.sagemaker.s3.bodies import receive_xml
from imclass.sagemaker.s3.errors import S3Error
from imclass.sagemaker.s3.listing import MOST_ITEMS, Page, list_page
from imclass.sagemaker.s3.request_xml import read_delete, read_location
from imclass.sagemaker.s3.requests import S3Request
from imclass.sagemaker.s3.store import Store

DEFAULT_REGION = "us-east-1"


class BucketOperations:
    """Answers requests about buckets.

    Args:
        region: where all buckets are said to be.
    """

    def __init__(self, store: Store, region: str) -> None:
        self._store = store
        self._region = region

    async def list_buckets(self, request: S3Request) -> Response:
        """ListBuckets."""
        buckets = await run_in_threadpool(self._store.buckets)
        listed = (
            xml.element("Bucket", xml.text("Name", bucket.name), xml.text("CreationDate", xml.time(bucket.created)))
            for bucket in buckets
        )
        return xml_response(xml.document("ListAllMyBucketsResult", xml.owner(), xml.element("Buckets", *listed)))

    async def create(self, request: S3Request) -> Response:
        """CreateBucket. Any location is accepted, and means this machine."""
        read_location(await receive_xml(request.receive, request.headers))
        try:
            await run_in_threadpool(self._store.create_bucket, request.bucket)
        except S3Error as error:
            # In this region S3 lets its owner create a bucket again.
            if error.code != "BucketAlreadyOwnedByYou" or self._region != DEFAULT_REGION:
                raise
        return Response(headers={"location": f"/{request.bucket}"})

    async def head(self, request: S3Request) -> Response:
        """HeadBucket."""
        await run_in_threadpool(self._store.bucket_folder, request.bucket)
        return Response(headers={"x-amz-bucket-region": self._region})

    async def delete(self, request: S3Request) -> Response:
        """DeleteBucket."""
        await run_in_threadpool(self._store.delete_bucket, request.bucket)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def location(self, request: S3Request) -> Response:
        """GetBucketLocation."""
        await run_in_threadpool(self._store.bucket_folder, request.bucket)
        region = "" if self._region == DEFAULT_REGION else self._region
        return xml_response(xml.document("LocationConstraint", region))

    async def versioning(self, request: S3Request) -> Response:
        """GetBucketVersioning: there are no versions."""
        await run_in_threadpool(self._store.bucket_folder, request.bucket)
        return xml_response(xml.document("VersioningConfiguration"))

    async def delete_objects(self, request: S3Request) -> Response:
        """DeleteObjects."""
        wanted = read_delete(await receive_xml(request.receive, request.headers))
        return xml_response(await run_in_threadpool(self._delete_all, request.bucket, wanted.keys, wanted.quiet))

    async def list_objects(self, request: S3Request) -> Response:
        """ListObjects, the first version."""
        query = request.query
        marker = query.get("marker", "")
        page, limit = await self._page(request, marker)
        show = _encoder(query)
        # Without a delimiter the last key is the marker, and S3 says no more.
        next_marker = page.next_marker if query.get("delimiter") else None
        content = [
            *_common(request, page, limit, show),
            xml.text("Marker", show(marker)),
            xml.optional("NextMarker", None if next_marker is None else show(next_marker)),
            *_contents(page, show, with_owner=True),
        ]
        return xml_response(xml.document("ListBucketResult", *content))

    async def list_objects_v2(self, request: S3Request) -> Response:
        """ListObjectsV2."""
        query = request.query
        token = query.get("continuation-token")
        start_after = query.get("start-after")
        page, limit = await self._page(request, (start_after or "") if token is None else _read_token(token))
        show = _encoder(query)
        next_token = None if page.next_marker is None else _write_token(page.next_marker)
        content = [
            *_common(request, page, limit, show),
            xml.text("KeyCount", len(page.objects) + len(page.prefixes)),
            xml.optional("ContinuationToken", token),
            xml.optional("NextContinuationToken", next_token),
            xml.optional("StartAfter", None if start_after is None else show(start_after)),
            *_contents(page, show, with_owner=query.get("fetch-owner") == "true"),
        ]
        return xml_response(xml.document("ListBucketResult", *content))

    async def _page(self, request: S3Request, after: str) -> tuple[Page, int]:
        query = request.query
        limit = read_count(query, "max-keys", MOST_ITEMS)
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        arguments = (self._store, request.bucket, prefix, delimiter, after, min(limit, MOST_ITEMS))
        return await run_in_threadpool(list_page, *arguments), limit

    def _delete_all(self, bucket: str, keys: list[str], quiet: bool) -> bytes:
        self._store.bucket_folder(bucket)
        content = []
        for key in keys:
            try:
                self._store.delete(bucket, key)
            except S3Error as error:
                told = (xml.text("Key", key), xml.text("Code", error.code), xml.text("Message", error.message))
                content.append(xml.element("Error", *told))
                continue
            if not quiet:
                content.append(xml.element("Deleted", xml.text("Key", key)))
        return xml.document("DeleteResult", *content)


def xml_response(content: bytes) -> Response:
    """A response with a document."""
    return Response(content, media_type="application/xml")


def read_count(query: dict[str, str], name: str, default: int) -> int:
    """A parameter that counts something.

    Raises:
        S3Error: InvalidArgument: it is no number from 0 to 2,147,483,647.
    """
    value = query.get(name) or str(default)
    if not (value.isascii() and value.isdecimal()) or len(value) > 10 or int(value) > 2**31 - 1:
        message = f"Provided {name} not an integer or within integer range"
        raise S3Error("InvalidArgument", message, ArgumentName=name, ArgumentValue=value)
    return int(value)


def _encoder(query: dict[str, str]) -> Callable[[str], str]:
    encoding = query.get("encoding-type")
    if encoding not in (None, "url"):
        message = "Invalid Encoding Method specified in Request"
        raise S3Error("InvalidArgument", message, ArgumentName="encoding-type", ArgumentValue=str(encoding))
    return xml.encoder(encoding)


def _common(request: S3Request, page: Page, limit: int, show: Callable[[str], str]) -> list[str]:
    """What both versions of the list begin with."""
    delimiter = request.query.get("delimiter")
    return [
        xml.text("Name", request.bucket),
        xml.text("Prefix", show(request.query.get("prefix", ""))),
        xml.optional("Delimiter", show(delimiter) if delimiter else None),
        xml.text("MaxKeys", min(limit, MOST_ITEMS)),
        xml.optional("EncodingType", request.query.get("encoding-type")),
        xml.text("IsTruncated", page.next_marker is not None),
    ]


def _contents(page: Page, show: Callable[[str], str], *, with_owner: bool) -> list[str]:
    owner = xml.owner() if with_owner else ""
    objects = []
    for listed in page.objects:
        description, checksum = listed.description, listed.description.attributes.checksum
        content = [
            xml.text("Key", show(listed.key)),
            xml.text("LastModified", xml.time(description.modified)),
            xml.etag(description.etag),
            xml.optional("ChecksumAlgorithm", checksum and checksum.algorithm),
            xml.optional("ChecksumType", checksum and checksum.kind),
            xml.text("Size", description.size),
            owner,
            xml.text("StorageClass", "STANDARD"),
        ]
        objects.append(xml.element("Contents", *content))
    return objects + [xml.element("CommonPrefixes", xml.text("Prefix", show(prefix))) for prefix in page.prefixes]


def _write_token(marker: str) -> str:
    return base64.urlsafe_b64encode(marker.encode()).decode("ascii")


def _read_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        message = "The continuation token provided is incorrect"
        raise S3Error("InvalidArgument", message, ArgumentName="continuation-token") from error
