"""What S3 does with objects that come in parts."""

from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from imclass.sagemaker.s3 import response_xml as xml
from imclass.sagemaker.s3.attributes import read_attributes
from imclass.sagemaker.s3.bodies import MOST_OBJECT_BYTES, read_announced, receive_body, receive_xml
from imclass.sagemaker.s3.bucket_operations import read_count, xml_response
from imclass.sagemaker.s3.checksums import FULL_OBJECT_ALGORITHMS, HEADER, ChecksumType, Hashes, algorithm_named
from imclass.sagemaker.s3.conditions import check_copy, check_write, read_copy_range
from imclass.sagemaker.s3.descriptions import Description
from imclass.sagemaker.s3.errors import S3Error
from imclass.sagemaker.s3.multipart import MOST_PARTS, NamedPart, Part, Upload, Uploads
from imclass.sagemaker.s3.object_operations import read_copy_source
from imclass.sagemaker.s3.request_xml import read_complete
from imclass.sagemaker.s3.requests import S3Request
from imclass.sagemaker.s3.store import Store

MOST_LISTED = 1000


class UploadOperations:
    """Answers requests about multipart uploads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._uploads = Uploads(store)

    async def create(self, request: S3Request) -> Response:
        """CreateMultipartUpload."""
        algorithm, kind = _read_checksum_choice(request)
        attributes = read_attributes(request.headers)
        upload = await run_in_threadpool(self._uploads.create, request.bucket, request.key, attributes, algorithm, kind)
        content = (xml.text("Bucket", upload.bucket), xml.text("Key", upload.key), xml.text("UploadId", upload.id))
        response = xml_response(xml.document("InitiateMultipartUploadResult", *content))
        if algorithm:
            response.headers[HEADER + "algorithm"] = algorithm
            response.headers[HEADER + "type"] = kind
        return response

    async def put_part(self, request: S3Request) -> Response:
        """UploadPart."""
        number = _part_number(request)
        announced = read_announced(request.headers, MOST_OBJECT_BYTES)
        upload = await self._find(request)
        hashes = announced.hashes(*_algorithms(upload))
        with await run_in_threadpool(self._store.stage) as staged:
            checksum = await receive_body(request.receive, announced, hashes, staged.write)
            if checksum is not None and upload.algorithm not in (None, checksum.algorithm):
                message = f"Checksum Type mismatch occurred, expected {upload.algorithm}, got {checksum.algorithm}"
                raise S3Error("InvalidRequest", message)
            algorithm = checksum.algorithm if checksum is not None else None
            part = await run_in_threadpool(self._uploads.put_part, upload, number, staged, hashes, algorithm)
        headers = {"etag": f'"{part.etag}"'}
        if checksum is not None:
            headers[checksum.header] = checksum.value
        return Response(headers=headers)

    async def copy_part(self, request: S3Request) -> Response:
        """UploadPartCopy."""
        number = _part_number(request)
        upload = await self._find(request)
        part = await run_in_threadpool(self._copy_part, request, upload, number)
        content = (
            xml.text("LastModified", xml.time(part.modified)),
            xml.etag(part.etag),
            _part_checksum(part),
        )
        return xml_response(xml.document("CopyPartResult", *content))

    async def complete(self, request: S3Request) -> Response:
        """CompleteMultipartUpload."""
        body = await receive_xml(request.receive, request.headers, checksum_is_of_object=True)
        upload = await self._find(request)
        description = await run_in_threadpool(self._complete, request, upload, read_complete(body))
        checksum = description.attributes.checksum
        content = [
            xml.text("Location", request.url.partition("?")[0]),
            xml.text("Bucket", upload.bucket),
            xml.text("Key", upload.key),
            xml.etag(description.etag),
            xml.text(f"Checksum{checksum.algorithm}", checksum.value) if checksum else "",
            xml.text("ChecksumType", checksum.kind) if checksum else "",
        ]
        return xml_response(xml.document("CompleteMultipartUploadResult", *content))

    async def abort(self, request: S3Request) -> Response:
        """AbortMultipartUpload."""
        upload = await self._find(request)
        await run_in_threadpool(self._uploads.abort, upload)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def list_parts(self, request: S3Request) -> Response:
        """ListParts."""
        after = read_count(request.query, "part-number-marker", 0)
        limit = min(read_count(request.query, "max-parts", MOST_LISTED), MOST_LISTED)
        upload = await self._find(request)
        parts = [part for part in await run_in_threadpool(self._uploads.parts, upload) if part.number > after]
        listed = parts[:limit]
        is_truncated = 0 < len(listed) < len(parts)
        content = [
            xml.text("Bucket", upload.bucket),
            xml.text("Key", upload.key),
            xml.text("UploadId", upload.id),
            xml.element("Initiator", xml.text("ID", xml.OWNER), xml.text("DisplayName", xml.OWNER)),
            xml.owner(),
            xml.text("StorageClass", "STANDARD"),
            xml.text("PartNumberMarker", after),
            xml.optional("NextPartNumberMarker", listed[-1].number if listed else None),
            xml.text("MaxParts", limit),
            xml.text("IsTruncated", is_truncated),
            *(_listed_part(part) for part in listed),
        ]
        return xml_response(xml.document("ListPartsResult", *content))

    async def list_uploads(self, request: S3Request) -> Response:
        """ListMultipartUploads."""
        query = request.query
        if query.get("delimiter"):
            raise S3Error("NotImplemented", "Uploads are listed without a delimiter.")
        prefix, limit = query.get("prefix", ""), min(read_count(query, "max-uploads", MOST_LISTED), MOST_LISTED)
        after = (query.get("key-marker", ""), query.get("upload-id-marker", ""))
        unfinished = await run_in_threadpool(self._uploads.unfinished, request.bucket)
        uploads = [upload for upload in unfinished if upload.key.startswith(prefix)]
        uploads = _behind(uploads, *after)
        listed = uploads[:limit]
        is_truncated = 0 < len(listed) < len(uploads)
        show = xml.encoder(query.get("encoding-type"))
        content = [
            xml.text("Bucket", request.bucket),
            xml.text("KeyMarker", show(after[0])),
            xml.text("UploadIdMarker", after[1]),
            xml.optional("NextKeyMarker", show(listed[-1].key) if is_truncated else None),
            xml.optional("NextUploadIdMarker", listed[-1].id if is_truncated else None),
            xml.text("Prefix", show(prefix)),
            xml.optional("EncodingType", query.get("encoding-type")),
            xml.text("MaxUploads", limit),
            xml.text("IsTruncated", is_truncated),
            *(
                xml.element(
                    "Upload",
                    xml.text("Key", show(upload.key)),
                    xml.text("UploadId", upload.id),
                    xml.owner("Initiator"),
                    xml.owner(),
                    xml.text("StorageClass", "STANDARD"),
                    xml.text("Initiated", xml.time(upload.initiated)),
                )
                for upload in listed
            ),
        ]
        return xml_response(xml.document("ListMultipartUploadsResult", *content))

    async def _find(self, request: S3Request) -> Upload:
        arguments = (request.bucket, request.key, request.query["uploadId"])
        return await run_in_threadpool(self._uploads.find, *arguments)

    def _copy_part(self, request: S3Request, upload: Upload, number: int) -> Part:
        opened = self._store.open(*read_copy_source(request.headers["x-amz-copy-source"]))
        with opened.file, self._store.stage() as staged:
            check_copy(request.headers, opened.description)
            start, stop = 0, opened.description.size
            if wanted := request.headers.get("x-amz-copy-source-range"):
                start, stop = read_copy_range(wanted, stop)
            if stop - start > MOST_OBJECT_BYTES:
                raise S3Error("InvalidRequest", "The specified copy source is larger than the maximum allowable size")
            hashes = Hashes(_algorithms(upload))
            opened.file.seek(start)
            staged.copy(opened.file, hashes, stop - start)
            return self._uploads.put_part(upload, number, staged, hashes)

    def _complete(self, request: S3Request, upload: Upload, parts: list[NamedPart]) -> Description:
        def precondition(present: Description | None) -> None:
            check_write(request.headers, request.key, present)

        checksum = request.headers.get(HEADER + upload.algorithm.lower()) if upload.algorithm else None
        return self._uploads.complete(upload, parts, checksum, precondition)


def _read_checksum_choice(request: S3Request) -> tuple[str | None, ChecksumType]:
    """The algorithm of the checksums of an upload, and what that of the object is over."""
    asked = request.headers.get(HEADER + "algorithm")
    kind = request.headers.get(HEADER + "type", "").upper()
    if asked is None:
        return None, "COMPOSITE"
    algorithm = algorithm_named(asked)
    if kind not in ("", "COMPOSITE", "FULL_OBJECT"):
        raise S3Error("InvalidRequest", f"Value for {HEADER}type header is invalid.")
    if kind == "FULL_OBJECT" and algorithm not in FULL_OBJECT_ALGORITHMS:
        message = f"The FULL_OBJECT checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        raise S3Error("InvalidRequest", message)
    if kind == "COMPOSITE" and algorithm == "CRC64NVME":
        message = "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm."
        raise S3Error("InvalidRequest", message)
    if kind == "FULL_OBJECT" or algorithm == "CRC64NVME":
        return algorithm, "FULL_OBJECT"
    return algorithm, "COMPOSITE"


def _part_number(request: S3Request) -> int:
    number = read_count(request.query, "partNumber", 0)
    if not 1 <= number <= MOST_PARTS:
        message = f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive"
        raise S3Error("InvalidArgument", message, ArgumentName="partNumber", ArgumentValue=str(number))
    return number


def _algorithms(upload: Upload) -> list[str]:
    return [upload.algorithm] if upload.algorithm else []


def _part_checksum(part: Part) -> str:
    return xml.optional(f"Checksum{part.algorithm}", part.checksum)


def _listed_part(part: Part) -> str:
    content = (
        xml.text("PartNumber", part.number),
        xml.text("LastModified", xml.time(part.modified)),
        xml.etag(part.etag),
        xml.text("Size", part.size),
        _part_checksum(part),
    )
    return xml.element("Part", *content)


def _behind(uploads: list[Upload], key: str, upload_id: str) -> list[Upload]:
    """The uploads behind a marker: those of greater keys, and those of the same key behind the upload named."""
    same = [upload for upload in uploads if upload.key == key]
    named = [place for place, upload in enumerate(same) if upload.id == upload_id]
    return (same[named[0] + 1 :] if named else []) + [upload for upload in uploads if upload.key > key]
