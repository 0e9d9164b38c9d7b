"""Which operation a request asks for, and what becomes of errors: S3 as an ASGI application."""

import errno
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from secrets import token_hex
from typing import Protocol

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from imclass.errors import UserError
from imclass.sagemaker.s3.bodies import IncomingBody
from imclass.sagemaker.s3.bucket_operations import DEFAULT_REGION, BucketOperations
from imclass.sagemaker.s3.errors import S3Error
from imclass.sagemaker.s3.object_operations import ObjectOperations
from imclass.sagemaker.s3.requests import S3Request, read_request
from imclass.sagemaker.s3.response_xml import error_document
from imclass.sagemaker.s3.store import Store
from imclass.sagemaker.s3.upload_operations import UploadOperations

logger = logging.getLogger(__name__)

Operation = Callable[[S3Request], Awaitable[Response]]

_NOT_HERE = frozenset(
    {
        "accelerate", "acl", "analytics", "attributes", "cors", "encryption", "inventory", "legal-hold", "lifecycle",
        "logging", "metrics", "notification", "object-lock", "ownershipControls", "policy", "policyStatus",
        "publicAccessBlock", "replication", "requestPayment", "restore", "retention", "select", "session", "torrent",
        "versions", "website",
    }
)  # fmt: skip
"""What URLs of S3 can ask for, and this one does not have."""


class Verify(Protocol):
    """Checks who sends a request."""

    def __call__(self, method: str, url: str, headers: Mapping[str, str]) -> None:
        """Return if the request may be answered.

        Args:
            url: as it was sent, with host and query.
            headers: by lower-case name.

        Raises:
            S3Error: AccessDenied, SignatureDoesNotMatch, InvalidAccessKeyId, InvalidToken, ExpiredToken,
                RequestTimeTooSkewed.
        """


def accept_all(method: str, url: str, headers: Mapping[str, str]) -> None:
    """Let every request through: for servers that only this machine reaches."""


def create_s3_application(folder: Path, verify: Verify = accept_all, region: str = DEFAULT_REGION) -> ASGIApp:
    """S3 as an ASGI application, for requests of HTTP only. A folder has one at a time.

    Args:
        folder: of the buckets; made if it is not there.
        verify: called with each request before anything else is done with it.
        region: where the buckets are said to be.

    Raises:
        UserError: the folder cannot be used.
    """
    return S3Application(Store(folder), verify, region)


class S3Application:
    """S3 as an ASGI application over a store, for requests of HTTP only; arguments as of `create_s3_application`."""

    def __init__(self, store: Store, verify: Verify = accept_all, region: str = DEFAULT_REGION) -> None:
        self._verify = verify
        self._buckets = BucketOperations(store, region)
        self._objects = ObjectOperations(store)
        self._uploads = UploadOperations(store)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        assert scope["type"] == "http"
        body = IncomingBody(scope, receive)
        try:
            response = await self._answer(scope, body.receive)
            if not await body.is_over():
                response.headers["connection"] = "close"
        except ClientDisconnect:
            return
        await response(scope, body.receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        request_id = token_hex(8).upper()
        try:
            request = read_request(scope, receive)
            self._verify(request.method, request.url, request.headers)
            response = await self._operation(request)(request)
        except S3Error as error:
            response = _problem(error, scope, request_id)
        except UserError as error:
            logger.error("%s", error)
            response = _problem(_storage_error(error), scope, request_id)
        except ClientDisconnect:
            raise
        except Exception:
            logger.exception("request %s: %s %s", request_id, scope["method"], scope["path"])
            fault = S3Error("InternalError", "We encountered an internal error, which the server has logged.")
            response = _problem(fault, scope, request_id)
        response.headers["x-amz-request-id"] = request_id
        return response

    def _operation(self, request: S3Request) -> Operation:
        """What a request asks for.

        Raises:
            S3Error: NotImplemented, MethodNotAllowed.
        """
        unknown = _NOT_HERE.intersection(request.query)
        if request.query.get("versionId", "null") != "null":
            unknown |= {"versionId"}
        if unknown:
            message = "A header or query you provided implies functionality that is not implemented"
            raise S3Error("NotImplemented", message, Query=", ".join(sorted(unknown)))
        if request.key:
            found = self._object_operation(request)
        elif request.bucket:
            found = self._bucket_operation(request)
        else:
            found = self._buckets.list_buckets if request.method == "GET" else None
        if found is None:
            raise S3Error("MethodNotAllowed", "The specified method is not allowed against this resource.")
        return found

    def _bucket_operation(self, request: S3Request) -> Operation | None:
        query, buckets = request.query, self._buckets
        match request.method:
            case "GET" if "location" in query:
                return buckets.location
            case "GET" if "versioning" in query:
                return buckets.versioning
            case "GET" if "uploads" in query:
                return self._uploads.list_uploads
            case "GET" if query.get("list-type") == "2":
                return buckets.list_objects_v2
            case "GET" if "tagging" not in query:
                return buckets.list_objects
            case "HEAD":
                return buckets.head
            case "PUT" if not {"tagging", "versioning"}.intersection(query):
                return buckets.create
            case "DELETE" if "tagging" not in query:
                return buckets.delete
            case "POST" if "delete" in query:
                return buckets.delete_objects
        return None

    def _object_operation(self, request: S3Request) -> Operation | None:
        query, objects, uploads = request.query, self._objects, self._uploads
        is_copy = "x-amz-copy-source" in request.headers
        match request.method:
            case "GET" if "uploadId" in query:
                return uploads.list_parts
            case "GET" if "tagging" in query:
                return objects.tags
            case "GET" | "HEAD" if "partNumber" not in query:
                return objects.get
            case "PUT" if "uploadId" in query:
                return uploads.copy_part if is_copy else uploads.put_part
            case "PUT" if "tagging" not in query:
                return objects.copy if is_copy else objects.put
            case "POST" if "uploads" in query:
                return uploads.create
            case "POST" if "uploadId" in query:
                return uploads.complete
            case "DELETE" if "uploadId" in query:
                return uploads.abort
            case "DELETE" if "tagging" not in query:
                return objects.delete
        return None


def _problem(error: S3Error, scope: Scope, request_id: str) -> Response:
    if scope["method"] == "HEAD":
        return Response(status_code=error.status)
    content = error_document(error.code, error.message, scope["path"], request_id, error.details)
    return Response(content, status_code=error.status, media_type="application/xml")


def _storage_error(error: UserError) -> S3Error:
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return S3Error("StorageFull", "The disk of the server is full.")
    return S3Error("InternalError", "The server cannot write to its folder, which it has logged.")
