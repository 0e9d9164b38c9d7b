"""What S3 answers when a request cannot be met."""

from http import HTTPStatus

_STATUS = {
    "AccessDenied": HTTPStatus.FORBIDDEN,
    "BadDigest": HTTPStatus.BAD_REQUEST,
    "BucketAlreadyOwnedByYou": HTTPStatus.CONFLICT,
    "BucketNotEmpty": HTTPStatus.CONFLICT,
    "EntityTooLarge": HTTPStatus.BAD_REQUEST,
    "EntityTooSmall": HTTPStatus.BAD_REQUEST,
    "ExpiredToken": HTTPStatus.BAD_REQUEST,
    "IncompleteBody": HTTPStatus.BAD_REQUEST,
    "InternalError": HTTPStatus.INTERNAL_SERVER_ERROR,
    "InvalidAccessKeyId": HTTPStatus.FORBIDDEN,
    "InvalidArgument": HTTPStatus.BAD_REQUEST,
    "InvalidBucketName": HTTPStatus.BAD_REQUEST,
    "InvalidDigest": HTTPStatus.BAD_REQUEST,
    "InvalidPart": HTTPStatus.BAD_REQUEST,
    "InvalidPartOrder": HTTPStatus.BAD_REQUEST,
    "InvalidRange": HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    "InvalidRequest": HTTPStatus.BAD_REQUEST,
    "InvalidToken": HTTPStatus.BAD_REQUEST,
    "InvalidURI": HTTPStatus.BAD_REQUEST,
    "KeyTooLongError": HTTPStatus.BAD_REQUEST,
    "MalformedTrailerError": HTTPStatus.BAD_REQUEST,
    "MalformedXML": HTTPStatus.BAD_REQUEST,
    "MetadataTooLarge": HTTPStatus.BAD_REQUEST,
    "MethodNotAllowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "MissingContentLength": HTTPStatus.LENGTH_REQUIRED,
    "NoSuchBucket": HTTPStatus.NOT_FOUND,
    "NoSuchKey": HTTPStatus.NOT_FOUND,
    "NoSuchUpload": HTTPStatus.NOT_FOUND,
    "NotImplemented": HTTPStatus.NOT_IMPLEMENTED,
    "PreconditionFailed": HTTPStatus.PRECONDITION_FAILED,
    "RequestTimeout": HTTPStatus.BAD_REQUEST,
    "RequestTimeTooSkewed": HTTPStatus.FORBIDDEN,
    "SignatureDoesNotMatch": HTTPStatus.FORBIDDEN,
    "StorageFull": HTTPStatus.INSUFFICIENT_STORAGE,
    "XAmzContentSHA256Mismatch": HTTPStatus.BAD_REQUEST,
}


class S3Error(Exception):
    """A request that gets an error for an answer.

    Args:
        code: of S3, one of those that have a status here.
        message: what is wrong, for people.
        details: more elements of the answer, by name.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, code: str, message: str, **details: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = details
        self.status = _STATUS[code]


def no_such_key(key: str) -> S3Error:
    """There is no object with this key."""
    return S3Error("NoSuchKey", "The specified key does not exist.", Key=key)


def no_such_bucket(bucket: str) -> S3Error:
    """There is no bucket of this name."""
    return S3Error("NoSuchBucket", "The specified bucket does not exist", BucketName=bucket)
