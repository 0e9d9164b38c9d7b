"""What S3 does with objects."""

from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from imclass.sagemaker.s3 import response_xml as xml
from imclass.sagemaker.s3.attributes import object_headers, read_attributes
from imclass.sagemaker.s3.bodies import MOST_OBJECT_BYTES, read_announced, receive_body
from imclass.sagemaker.s3.bucket_operations import xml_response
from imclass.sagemaker.s3.checksums import HEADER, Checksum, Hashes, algorithm_named, encode
from imclass.sagemaker.s3.conditions import check_copy, check_read, check_write, read_range
from imclass.sagemaker.s3.content import content_response
from imclass.sagemaker.s3.descriptions import Attributes, Description
from imclass.sagemaker.s3.errors import S3Error
from imclass.sagemaker.s3.paths import check_key
from imclass.sagemaker.s3.requests import S3Request, decode_uri
from imclass.sagemaker.s3.staging import StagedFile
from imclass.sagemaker.s3.store import OpenObject, Store

_OVERRIDES = "response-"
"""Parameters of GetObject that change a header of its answer."""
_OVERRIDABLE = frozenset(
    f"{_OVERRIDES}{name}"
    for name in (
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    )
)


class ObjectOperations:
    """Answers requests about objects."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, request: S3Request) -> Response:
        """GetObject and HeadObject."""
        return await run_in_threadpool(self._read, request)

    async def put(self, request: S3Request) -> Response:
        """PutObject."""
        announced = read_announced(request.headers, MOST_OBJECT_BYTES)
        attributes = read_attributes(request.headers)
        check_key(request.key)
        await run_in_threadpool(self._store.bucket_folder, request.bucket)
        hashes = announced.hashes()
        with await run_in_threadpool(self._store.stage) as staged:
            checksum = await receive_body(request.receive, announced, hashes, staged.write)
            attributes = Attributes(attributes.headers, attributes.metadata, checksum)
            await run_in_threadpool(self._put, request, staged, hashes.etag, attributes)
        headers = {"etag": f'"{hashes.etag}"'}
        if checksum is not None:
            headers |= {checksum.header: checksum.value, HEADER + "type": checksum.kind}
        return Response(headers=headers)

    async def copy(self, request: S3Request) -> Response:
        """CopyObject."""
        description = await run_in_threadpool(self._copy, request)
        checksum = description.attributes.checksum
        content = [
            xml.text("LastModified", xml.time(description.modified)),
            xml.etag(description.etag),
            xml.text(f"Checksum{checksum.algorithm}", checksum.value) if checksum else "",
            xml.text("ChecksumType", checksum.kind) if checksum else "",
        ]
        return xml_response(xml.document("CopyObjectResult", *content))

    async def delete(self, request: S3Request) -> Response:
        """DeleteObject."""
        await run_in_threadpool(self._store.delete, request.bucket, request.key)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def tags(self, request: S3Request) -> Response:
        """GetObjectTagging: no object has tags."""
        await run_in_threadpool(self._store.path, request.bucket, request.key)
        return xml_response(xml.document("Tagging", xml.element("TagSet")))

    def _read(self, request: S3Request) -> Response:
        opened = self._store.open(request.bucket, request.key)
        try:
            return _content(request, opened)
        except BaseException:
            opened.file.close()
            raise

    def _put(self, request: S3Request, staged: StagedFile, etag: str, attributes: Attributes) -> Description:
        def precondition(present: Description | None) -> None:
            check_write(request.headers, request.key, present)

        return self._store.put(request.bucket, request.key, staged, etag, attributes, precondition)

    def _copy(self, request: S3Request) -> Description:
        headers = request.headers
        replaces = _replaces_attributes(headers.get("x-amz-metadata-directive", "COPY"))
        bucket, key = read_copy_source(headers["x-amz-copy-source"])
        check_key(request.key)
        self._store.bucket_folder(request.bucket)
        if (bucket, key) == (request.bucket, request.key) and not replaces:
            message = "This copy request is illegal because it is trying to copy an object to itself without changing "
            raise S3Error("InvalidRequest", message + "the object's metadata.")
        opened = self._store.open(bucket, key)
        with opened.file, self._store.stage() as staged:
            source = opened.description
            check_copy(headers, source)
            if source.size > MOST_OBJECT_BYTES:
                raise S3Error("InvalidRequest", "The specified copy source is larger than the maximum allowable size")
            algorithm = headers.get("x-amz-checksum-algorithm")
            hashes = Hashes([algorithm_named(algorithm)] if algorithm else [])
            staged.copy(opened.file, hashes, source.size)
            said = read_attributes(headers) if replaces else source.attributes
            checksum = _copied_checksum(source, hashes, algorithm)
            attributes = Attributes(said.headers, said.metadata, checksum)
            return self._put(request, staged, hashes.etag, attributes)


def read_copy_source(value: str) -> tuple[str, str]:
    """The bucket and key that an object is copied from.

    Raises:
        S3Error: InvalidArgument, InvalidURI; NotImplemented: a version is wanted.
    """
    path, _, version = value.partition("?versionId=")
    if version not in ("", "null"):
        raise S3Error("NotImplemented", "Objects have no versions here.")
    bucket, _, key = decode_uri(path).removeprefix("/").partition("/")
    if not bucket or not key:
        message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
        raise S3Error("InvalidArgument", message, ArgumentName="x-amz-copy-source", ArgumentValue=value)
    return bucket, key


def _replaces_attributes(directive: str) -> bool:
    if directive not in ("COPY", "REPLACE"):
        message = "Unknown metadata directive."
        raise S3Error("InvalidArgument", message, ArgumentName="x-amz-metadata-directive", ArgumentValue=directive)
    return directive == "REPLACE"


def _copied_checksum(source: Description, hashes: Hashes, algorithm: str | None) -> Checksum | None:
    """The checksum of a copy: the one asked for, or that of the source unless that tells of its parts."""
    if algorithm:
        name = algorithm_named(algorithm)
        return Checksum(name, encode(hashes.digest(name)))
    checksum = source.attributes.checksum
    return checksum if checksum is not None and checksum.kind == "FULL_OBJECT" else None


def _content(request: S3Request, opened: OpenObject) -> Response:
    description = opened.description
    status = check_read(request.headers, description)
    wanted = read_range(request.headers.get("range"), description.size)
    # A checksum is that of the whole object, and clients compare it with the body that comes.
    is_whole = wanted is None and status == HTTPStatus.OK
    with_checksum = is_whole and request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"
    headers = object_headers(description, with_checksum=with_checksum)
    overrides = {name: value for name, value in request.query.items() if name in _OVERRIDABLE}
    headers |= {name.removeprefix(_OVERRIDES): value for name, value in overrides.items()}
    if status == HTTPStatus.NOT_MODIFIED:
        opened.file.close()
        return Response(status_code=status, headers=headers)
    start, stop = wanted or (0, description.size)
    if wanted is not None:
        status = HTTPStatus.PARTIAL_CONTENT
        headers["content-range"] = f"bytes {start}-{stop - 1}/{description.size}"
    headers["content-length"] = str(stop - start)
    if request.method == "HEAD":
        opened.file.close()
        return Response(status_code=status, headers=headers)
    return content_response(opened.file, start, stop, status, headers)
