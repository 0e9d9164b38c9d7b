"""Preconditions and ranges of requests: RFC 9110, as far as S3 follows it."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from imclass.sagemaker.s3.descriptions import Description
from imclass.sagemaker.s3.errors import S3Error, no_such_key

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def check_read(headers: Mapping[str, str], description: Description) -> HTTPStatus:
    """Check the conditions under which an object is wanted.

    Returns:
        OK, or NOT_MODIFIED.

    Raises:
        S3Error: PreconditionFailed.
    """
    matched = headers.get("if-match")
    if matched is not None:
        if not _names(matched, description):
            raise _failed("If-Match")
    elif (time := _time(headers.get("if-unmodified-since"))) is not None and description.modified > time:
        raise _failed("If-Unmodified-Since")
    known = headers.get("if-none-match")
    if known is not None:
        return HTTPStatus.NOT_MODIFIED if _names(known, description) else HTTPStatus.OK
    if (time := _time(headers.get("if-modified-since"))) is not None and description.modified <= time:
        return HTTPStatus.NOT_MODIFIED
    return HTTPStatus.OK


def check_copy(headers: Mapping[str, str], source: Description) -> None:
    """Check the conditions under which an object is to be copied: x-amz-copy-source-if-*.

    Raises:
        S3Error: PreconditionFailed.
    """
    prefix = "x-amz-copy-source-"
    conditions = {
        name.removeprefix(prefix): value for name, value in headers.items() if name.startswith(prefix + "if-")
    }
    if check_read(conditions, source) != HTTPStatus.OK:
        raise _failed("x-amz-copy-source-If-None-Match, x-amz-copy-source-If-Modified-Since")


def check_write(headers: Mapping[str, str], key: str, present: Description | None) -> None:
    """Check the conditions under which an object may be written.

    Raises:
        S3Error: PreconditionFailed; NoSuchKey: If-Match, and there is none; NotImplemented: S3 has no such condition.
    """
    known, matched = headers.get("if-none-match"), headers.get("if-match")
    if known is not None and known != "*":
        raise S3Error("NotImplemented", "If-None-Match with anything but * is not possible when writing.")
    if known is not None and present is not None:
        raise _failed("If-None-Match")
    if matched is not None and present is None:
        raise no_such_key(key)
    if matched is not None and present is not None and not _names(matched, present):
        raise _failed("If-Match")


def read_range(value: str | None, size: int) -> tuple[int, int] | None:
    """The bytes that are wanted: first, and one behind the last. None for all; more than one range counts as none.

    Raises:
        S3Error: InvalidRange: none of them is there.
    """
    found = _RANGE.fullmatch(value or "")
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if first and last and int(first) > int(last):
        return None
    start = int(first) if first else max(0, size - int(last))
    stop = min(int(last) + 1, size) if first and last else size
    if start >= stop:
        message = "The requested range is not satisfiable"
        raise S3Error("InvalidRange", message, RangeRequested=value or "", ActualObjectSize=str(size))
    return start, stop


def read_copy_range(value: str, size: int) -> tuple[int, int]:
    """The bytes of an object that become a part: `bytes=first-last`, both within it.

    Raises:
        S3Error: InvalidArgument, InvalidRange.
    """
    found = _RANGE.fullmatch(value)
    if found is None or not all(found.groups()):
        message = "The x-amz-copy-source-range value must be of the form bytes=first-last"
        raise S3Error("InvalidArgument", message, ArgumentName="x-amz-copy-source-range", ArgumentValue=value)
    first, last = map(int, found.groups())
    if not first <= last < size:
        raise S3Error("InvalidRange", f"Range specified is not valid for source object of size: {size}")
    return first, last + 1


def _names(value: str, description: Description) -> bool:
    """Whether a list of ETags has that of an object."""
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in value.split(",")]
    return "*" in tags or description.etag in tags


def _time(value: str | None) -> float | None:
    """Seconds since 1970; a time that cannot be read counts as none, as HTTP wants it."""
    if value is None:
        return None
    try:
        return parsedate_to_datetime(value).timestamp()
    except ValueError:
        return None


def _failed(condition: str) -> S3Error:
    message = "At least one of the pre-conditions you specified did not hold"
    return S3Error("PreconditionFailed", message, Condition=condition)
