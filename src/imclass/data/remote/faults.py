"""What the storage library's errors mean to the user.

obstore tells kinds of errors apart, but many are "generic", with the server's XML in their text; the
code in it says more: `<Error><Code>NoSuchBucket</Code>...`.
"""

import re

from obstore import exceptions

from imclass.data.remote.addresses import Address
from imclass.errors import DataError

METADATA_SERVICE = "169.254.169.254"
NO_CREDENTIALS = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE; for a public bucket AWS_SKIP_SIGNATURE=true."
)
NO_GOOGLE = "Set GOOGLE_APPLICATION_CREDENTIALS; for a public bucket GOOGLE_SKIP_SIGNATURE=true."
CREDENTIALS = {
    "s3": "Check the AWS variables or the profile, and their rights to list and read the bucket, and to write results.",
    "gs": "Check GOOGLE_APPLICATION_CREDENTIALS, and its rights to list and read the bucket, and to write results.",
}

_CODE = re.compile(r"<Code>(\w+)</Code>")
_BAD_CREDENTIALS = {
    "InvalidAccessKeyId": "the access key is not known there",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
    "ExpiredToken": "the credentials have expired",
    "InvalidToken": "the session token is not valid",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
}
_OTHER_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")


class ChangedObjectError(DataError):
    """A remote object is no longer what it was when it was looked at first."""


class MissingObjectError(DataError):
    """There is no such object."""


class AccessDeniedError(DataError):
    """The credentials, or the lack of any, do not allow this."""


class RangesNotServedError(DataError):
    """A web server that ignores range requests."""


def changed(address: Address) -> ChangedObjectError:
    """The error of an object that was replaced or deleted meanwhile."""
    return ChangedObjectError(
        "the object has changed since it was opened", where=str(address), fix="Start again with what is there now."
    )


def fault(error: Exception, address: Address) -> DataError:
    """The user's view of an error of obstore."""
    text = str(error).partition("\n\nDebug source")[0]
    code = found[1] if (found := _CODE.search(text)) else ""
    where = str(address)
    if isinstance(error, exceptions.PreconditionError):
        return changed(address)
    if METADATA_SERVICE in text:
        return DataError(
            "no credentials were found", where=where, fix=NO_GOOGLE if address.scheme == "gs" else NO_CREDENTIALS
        )
    if code == "NoSuchBucket":
        return DataError("there is no such bucket", where=where, fix="Check the name, the region and the endpoint.")
    if isinstance(error, FileNotFoundError):
        return MissingObjectError("there is no such object", where=where, fix="Check the name; letter case counts.")
    if code in _BAD_CREDENTIALS:
        return DataError(_BAD_CREDENTIALS[code], where=where, fix=CREDENTIALS.get(address.scheme))
    if code in _OTHER_REGION or "redirect without LOCATION" in text:
        return DataError("the bucket is in another region", where=where, fix="Set AWS_REGION to that of the bucket.")
    denied = isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError)
    if denied or code == "AccessDenied" or "403 Forbidden" in text:
        return AccessDeniedError("access is denied", where=where, fix=CREDENTIALS.get(address.scheme))
    if isinstance(error, exceptions.InvalidPathError):
        return DataError(
            f"a name that cannot become a file: {_first_line(text)}",
            where=where,
            fix="Rename that object, or name a folder without it.",
        )
    if isinstance(error, exceptions.NotSupportedError):
        return RangesNotServedError(
            "the server gives whole files only, no ranges", where=where, fix="Leave --stream out."
        )
    if "HTTP error" in text:
        what = "the connection broke, or fell silent" if "body error" in text else "the server cannot be reached"
        return DataError(
            f"{what}: {_first_line(text)}", where=where, fix="Check the address, AWS_ENDPOINT_URL, and the network."
        )
    return DataError(f"the server refuses: {_first_line(text)}", where=where)


def _first_line(text: str, limit: int = 240) -> str:
    """The beginning of a message, without the query of an address in it, which may hold a signature."""
    line = re.sub(r"(https?://[^\s?]+)\?\S+", r"\1", text.strip().split("\n")[0])
    return line if len(line) <= limit else line[:limit] + "..."
