"""Signatures that botocore makes, and what happens when a request is changed on its way."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from imclass.sagemaker.control_plane.api import signature
from imclass.sagemaker.control_plane.api.signature import SignatureError, SignatureVerifier

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
VERIFIER = SignatureVerifier(KEY, SECRET)
BODY = b'{"TrainingJobName": "a"}'


def signed(
    kind: type[SigV4Auth] = SigV4Auth, service: str = "sagemaker", path: str = "/", method: str = "POST",
    body: bytes | None = BODY,
) -> tuple[str, str, dict[str, str], bytes | None]:  # fmt: skip
    """A request as a server receives it."""
    request = AWSRequest(method, f"http://localhost:4566{path}", headers={"X-Amz-Target": "SageMaker.X"}, data=body)
    kind(Credentials(KEY, SECRET), service, "us-east-1").add_auth(request)
    headers = {name.lower(): value for name, value in request.headers.items()} | {"host": "localhost:4566"}
    parts = urlsplit(request.url)
    return method, f"{parts.path}?{parts.query}" if parts.query else parts.path, headers, body


def code_of(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> str:
    with pytest.raises(SignatureError) as caught:
        VERIFIER.check(method, url, headers, body)
    return caught.value.code


@pytest.mark.parametrize(
    "request_",
    [
        signed(),
        signed(body=b""),
        signed(service="logs", path="/?b=2&a=1%20x"),
        signed(S3SigV4Auth, "s3", "/bucket/a%20b/%C3%A4//c?list-type=2&prefix=x%2Fy", "PUT"),
    ],
)
def test_botocore_s_own_signatures_pass(request_: tuple[str, str, dict[str, str], bytes | None]) -> None:
    VERIFIER.check(*request_)


def test_s3_s_body_may_be_checked_by_its_reader() -> None:
    method, url, headers, _ = signed(S3SigV4Auth, "s3", "/bucket/key", "PUT")
    VERIFIER.check(method, url, headers, None)


def test_a_presigned_address_passes_until_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    request = AWSRequest("GET", "http://localhost:4566/bucket/a%20b?versionId=1")
    S3SigV4QueryAuth(Credentials(KEY, SECRET), "s3", "us-east-1", expires=60).add_auth(request)
    url = request.url.removeprefix("http://localhost:4566")
    headers = {"host": "localhost:4566"}
    VERIFIER.check("GET", url, headers, None)
    assert code_of("GET", url.replace("/bucket/", "/other/"), headers, None) == "SignatureDoesNotMatch"
    assert code_of("PUT", url, headers, None) == "SignatureDoesNotMatch"
    assert code_of("GET", url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"), headers, None) != ""
    later(monkeypatch, timedelta(seconds=61))
    assert code_of("GET", url, headers, None) == "AccessDenied"


def later(monkeypatch: pytest.MonkeyPatch, difference: timedelta) -> None:
    """Let the verifier's clock be another one."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime.now(UTC) + difference

    monkeypatch.setattr(signature, "datetime", Clock)


def test_whatever_is_changed_is_noticed() -> None:
    method, url, headers, body = signed(path="/?a=1")
    assert code_of("PUT", url, headers, body) == "SignatureDoesNotMatch"
    assert code_of(method, "/?a=2", headers, body) == "SignatureDoesNotMatch"
    assert code_of(method, url, headers, BODY + b" ") == "SignatureDoesNotMatch"
    assert code_of(method, url, headers | {"x-amz-target": "SageMaker.Y"}, body) == "SignatureDoesNotMatch"
    assert code_of(method, url, headers | {"host": "elsewhere"}, body) == "SignatureDoesNotMatch"
    assert code_of(method, url, headers | {"x-amz-security-token": "x"}, body) == "AccessDenied"


def test_the_body_of_s3_is_the_signed_one() -> None:
    method, url, headers, _ = signed(S3SigV4Auth, "s3", "/bucket/key", "PUT")
    assert code_of(method, url, headers, b"other") == "XAmzContentSHA256Mismatch"


@pytest.mark.parametrize("minutes", [-16, 16])
def test_old_and_early_requests(monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    request = signed()
    later(monkeypatch, timedelta(minutes=minutes))
    assert code_of(*request) == "RequestTimeTooSkewed"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer x",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=host, Signature=ab",
        f"AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature={'0' * 64}",
    ],
)
def test_headers_that_are_no_signature(header: str) -> None:
    assert code_of("POST", "/", {"host": "h", "authorization": header}, b"") == "AccessDenied"
    assert code_of("POST", "/", {"host": "h"}, b"") == "AccessDenied"
    assert code_of("GET", "/b/k?AWSAccessKeyId=a&Signature=b&Expires=1", {"host": "h"}, None) == "AccessDenied"


def test_headers_that_decide_must_be_signed() -> None:
    method, url, headers, body = signed()
    headers["authorization"] = headers["authorization"].replace(";x-amz-target", "")
    assert code_of(method, url, headers, body) == "AccessDenied"
