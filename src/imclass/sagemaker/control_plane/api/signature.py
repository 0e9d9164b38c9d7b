"""Signature V4 of requests, computed once more with botocore's own signer and compared.

A request tells in its `Authorization` header who signed it and how:

    AWS4-HMAC-SHA256 Credential=KEY/20260131/REGION/SERVICE/aws4_request, SignedHeaders=host;x-amz-date, Signature=HEX

Addresses that carry their signature in the query (presigned) have the same facts as `X-Amz-*` parameters there. Whoever
signs with credentials of AssumeRole sends their token too, as `X-Amz-Security-Token`.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from imclass.sagemaker.control_plane.api.sessions import Sessions

ALGORITHM = "AWS4-HMAC-SHA256"
HEADER = re.compile(
    rf"{ALGORITHM} Credential=([^,\s]+), ?SignedHeaders=([a-z0-9;._-]+), ?Signature=([0-9a-f]{{64}})", re.ASCII
)
TIME = "%Y%m%dT%H%M%SZ"
CLOCK_DIFFERENCE = timedelta(minutes=15)
LONGEST_PRESIGNED = 7 * 24 * 3600  # seconds
CONTENT_HASH = "x-amz-content-sha256"
TOKEN = "X-Amz-Security-Token"
UNSIGNED = "UNSIGNED-PAYLOAD"


class SignatureError(Exception):
    """A request whose sender is not who it should be.

    Attributes:
        code: of S3: AccessDenied, InvalidAccessKeyId, InvalidToken, ExpiredToken, SignatureDoesNotMatch,
            RequestTimeTooSkewed or XAmzContentSHA256Mismatch.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


class Verifier(Protocol):
    """Says who may send requests.

    Attributes:
        sessions: whose credentials it takes, until they expire.
    """

    sessions: Sessions

    def check(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> None:
        """Check one request.

        Args:
            url: path and query as they were received.
            headers: names in lower case.
            body: None when whoever reads it compares it with the header `x-amz-content-sha256`, as S3 does.

        Raises:
            SignatureError: it is refused.
        """


class AcceptAll:
    """For servers that only this machine reaches; sessions last for ever."""

    def __init__(self) -> None:
        self.sessions = Sessions(secrets.token_hex())

    def check(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> None:
        """Let every request pass."""


@dataclass(frozen=True)
class Claim:
    """What a request says about its signature.

    Attributes:
        token: of a session; None without one.
    """

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    time: str
    lifetime: timedelta
    is_presigned: bool
    token: str | None


class SignatureVerifier:
    """Lets requests pass that were signed with one key, or in a session that began with it.

    Args:
        access_key, secret_key: of the only user.
    """

    def __init__(self, access_key: str, secret_key: str) -> None:
        self._credentials = Credentials(access_key, secret_key)
        self.sessions = Sessions(secret_key)

    def check(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> None:
        """See `Verifier`."""
        claim, now = read_claim(url, headers), datetime.now(UTC)
        credentials = self._credentials_of(claim, now)
        check_time(claim, now)
        check_signed_headers(claim, headers)
        expected = signature_of(claim, credentials, method, url, headers, body)
        if not hmac.compare_digest(expected, claim.signature):
            raise SignatureError(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method.",
            )
        stated = headers.get(CONTENT_HASH)
        if body is None and stated is None and not claim.is_presigned:
            raise _denied(f"The request has no {CONTENT_HASH}.")
        if body is not None and stated not in (None, UNSIGNED) and stated != hashlib.sha256(body).hexdigest():
            raise SignatureError("XAmzContentSHA256Mismatch", "The body is not the one that was signed.")

    def _credentials_of(self, claim: Claim, now: datetime) -> Credentials:
        """What a request must have been signed with. The user needs no token: one that comes along says nothing.

        Raises:
            SignatureError: nobody has this key, or no longer.
        """
        if hmac.compare_digest(claim.access_key.encode(), self._credentials.access_key.encode()):
            return self._credentials
        if claim.token is None:
            raise SignatureError("InvalidAccessKeyId", "The access key ID you provided does not exist in our records.")
        session = self.sessions.find(claim.access_key, claim.token)
        if session is None:
            raise SignatureError("InvalidToken", "The security token included in the request is invalid.")
        if now >= session.expiration:
            raise SignatureError("ExpiredToken", "The security token included in the request is expired")
        return Credentials(session.access_key, session.secret_key)


def signature_of(
    claim: Claim, credentials: Credentials, method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> str:
    """The signature that a request must have."""
    kind = S3SigV4Auth if claim.service == "s3" else SigV4Auth
    signer = kind(credentials, claim.service, claim.region)
    signed = {name: headers[name] for name in claim.signed_headers}
    request = AWSRequest(method, f"http://{headers['host']}{_without_signature(url)}", headers=signed, data=body)
    if claim.is_presigned and CONTENT_HASH not in signed:
        request.headers[CONTENT_HASH] = UNSIGNED
    request.context["timestamp"] = claim.time
    canonical = canonical_request(signer, request, claim)
    return str(signer.signature(signer.string_to_sign(request, canonical), request))


def canonical_request(signer: SigV4Auth, request: AWSRequest, claim: Claim) -> str:
    """botocore's text of a request, with exactly the headers that the claim names."""
    lines = str(signer.canonical_request(request)).split("\n")
    if not claim.is_presigned:
        return "\n".join(lines)
    # The signer of headers adds the hash of the body to what it signs; a presigned address has none there.
    names = ";".join(sorted(claim.signed_headers))
    kept = [line for line in lines[3:-3] if line.partition(":")[0] in claim.signed_headers]
    return "\n".join([*lines[:3], *kept, "", names, lines[-1]])


def read_claim(url: str, headers: Mapping[str, str]) -> Claim:
    """What a request says about its signature.

    Raises:
        SignatureError: it has none that can be understood.
    """
    header, query = headers.get("authorization"), dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    if header is not None:
        found = HEADER.fullmatch(header.strip())
        if found is None:
            raise _denied("The Authorization header is not one of Signature V4.")
        credential, names, signature = found.groups()
        time, lifetime, is_presigned = headers.get("x-amz-date", ""), CLOCK_DIFFERENCE, False
        token = headers.get(TOKEN.lower())
    elif query.get("X-Amz-Algorithm") == ALGORITHM:
        credential, names = query.get("X-Amz-Credential", ""), query.get("X-Amz-SignedHeaders", "")
        signature, time = query.get("X-Amz-Signature", ""), query.get("X-Amz-Date", "")
        lifetime, is_presigned = _lifetime(query.get("X-Amz-Expires", "")), True
        token = query.get(TOKEN)
    elif "AWSAccessKeyId" in query:  # what boto3 presigns with unless it is told otherwise
        raise _denied("Signature V2 is not accepted; presign with Config(signature_version='s3v4').")
    else:
        raise _denied("The request is not signed.")
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request":
        raise _denied("The credential is not KEY/DATE/REGION/SERVICE/aws4_request.")
    access_key, date, region, service, _ = parts
    return Claim(
        access_key, date, region, service, tuple(names.split(";")), signature, time, lifetime, is_presigned, token
    )


def check_time(claim: Claim, now: datetime) -> None:
    """Check that a signature is neither old nor of the future.

    Raises:
        SignatureError: it is.
    """
    try:
        time = datetime.strptime(claim.time, TIME).replace(tzinfo=UTC)
    except ValueError as error:
        raise _denied("The time of the signature is missing or not of the form 20260131T235959Z.") from error
    if claim.time[:8] != claim.date:
        raise _denied("The date of the credential is not that of the signature.")
    if now > time + claim.lifetime and claim.is_presigned:
        raise _denied("Request has expired")
    if now > time + claim.lifetime or now < time - CLOCK_DIFFERENCE:
        raise SignatureError(
            "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
        )


def check_signed_headers(claim: Claim, headers: Mapping[str, str]) -> None:
    """Check that what decides about a request is signed: the host, and all headers of AWS.

    Raises:
        SignatureError: it is not, or a header that is signed did not come.
    """
    needed = {"host", *(name for name in headers if name.startswith("x-amz-"))}
    if missing := sorted(needed - set(claim.signed_headers)):
        raise _denied(f"There were headers present in the request which were not signed: {', '.join(missing)}")
    if absent := sorted(set(claim.signed_headers) - set(headers)):
        raise _denied(f"Signed headers are not there: {', '.join(absent)}")


def _lifetime(text: str) -> timedelta:
    seconds = int(text) if text.isascii() and text.isdecimal() and len(text) <= 6 else 0
    if not 1 <= seconds <= LONGEST_PRESIGNED:
        raise _denied(f"X-Amz-Expires must be 1 to {LONGEST_PRESIGNED} seconds.")
    return timedelta(seconds=seconds)


def _without_signature(url: str) -> str:
    """The address as it was when it was presigned; one that was not has no such parameter."""
    path, mark, query = url.partition("?")
    kept = [part for part in query.split("&") if not part.startswith("X-Amz-Signature=")]
    return f"{path}{mark}{'&'.join(kept)}"


def _denied(message: str) -> SignatureError:
    return SignatureError("AccessDenied", message)
