"""Objects, through boto3 and a real server."""

import base64
import hashlib
import os
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.s3.server import make_client, s3_application


def code_of(caught) -> str:
    return caught.value.response["Error"]["Code"]


def test_an_object_is_a_plain_file_and_comes_back_as_it_was_put(client, folder):
    put = client.put_object(
        Bucket="photos", Key="train/dog/a b.jpg", Body=b"pixels", ContentType="image/jpeg", Metadata={"colour": "red"},
        CacheControl="no-cache",
    )  # fmt: skip
    assert (folder / "photos/train/dog/a b.jpg").read_bytes() == b"pixels"
    got = client.get_object(Bucket="photos", Key="train/dog/a b.jpg")
    assert got["Body"].read() == b"pixels"
    assert got["ETag"] == put["ETag"] == f'"{hashlib.md5(b"pixels").hexdigest()}"'
    assert got["Metadata"] == {"colour": "red"}
    assert (got["ContentType"], got["CacheControl"], got["ContentLength"]) == ("image/jpeg", "no-cache", 6)
    head = client.head_object(Bucket="photos", Key="train/dog/a b.jpg")
    assert (head["ETag"], head["ContentLength"], head["Metadata"]) == (put["ETag"], 6, {"colour": "red"})
    assert abs(head["LastModified"].timestamp() - time.time()) < 5


def test_a_file_that_a_person_puts_there_is_an_object(client, folder):
    (folder / "photos/by-hand").mkdir()
    path = folder / "photos/by-hand/b.jpg"
    path.write_bytes(b"one")
    first = client.get_object(Bucket="photos", Key="by-hand/b.jpg")
    assert first["Body"].read() == b"one"
    assert first["ContentType"] == "binary/octet-stream"
    path.write_bytes(b"three")
    assert client.head_object(Bucket="photos", Key="by-hand/b.jpg")["ETag"] != first["ETag"]


def test_a_file_that_a_person_changes_loses_what_was_said_of_it(client, folder):
    etag = client.put_object(Bucket="photos", Key="a", Body=b"old", Metadata={"x": "1"})["ETag"]
    (folder / "photos/a").write_bytes(b"new content")
    head = client.head_object(Bucket="photos", Key="a")
    assert head["Metadata"] == {}
    assert head["ETag"] != etag
    assert head["ContentLength"] == 11


KEYS = [
    "a", "a/b", "a/b/c", "a/", "a//", "a//b", "/a", "//", "..", "../x", "./y", "a/../z", "x" * 900,
    "y" * 300 + "/" + "z" * 300, "50% off", "a%2Eb", "a%20b", "é ü", "𝄞", "new\nline", "tab\t", "nul\x01", "+plus",
    "q?m&e=#", "b\\c", "a%object", "%empty", "sp  ace", "'\"<>&",
]  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
def test_keys_that_are_hard_as_files_are_kept_apart(client, folder, order):
    for key in KEYS[::order]:
        client.put_object(Bucket="photos", Key=key, Body=key.encode())
    for key in KEYS:
        assert client.get_object(Bucket="photos", Key=key)["Body"].read() == key.encode()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="photos", PaginationConfig={"PageSize": 7})
    assert [found["Key"] for page in pages for found in page["Contents"]] == sorted(KEYS, key=str.encode)
    assert not [path for path in folder.parent.iterdir() if path.name != "s3"]
    for key in KEYS[::-order]:
        client.delete_object(Bucket="photos", Key=key)
        with pytest.raises(ClientError) as caught:
            client.head_object(Bucket="photos", Key=key)
        assert code_of(caught) == "404"
    assert list((folder / "photos").iterdir()) == []
    client.delete_bucket(Bucket="photos")


TARGETS = [
    "/photos/../../secret", "/photos/%2e%2e/%2e%2e/secret", "/..%2f..%2fsecret", "/../secret",
    "/photos/..%2f..%2fsecret",
    "/.imclass/staging", "/photos/%00", "//secret", "/..",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_no_path_leads_out_of_a_bucket(client, url, folder, target):
    (folder.parent / "secret").write_bytes(b"secret")
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    for method in ("GET", "PUT", "DELETE"):
        connection.request(method, target, body=b"mine" if method == "PUT" else None)
        response = connection.getresponse()
        assert b"secret" not in response.read().replace(b"/secret", b"").replace(b"secret</", b"</")
        assert response.status < 500
    connection.close()
    assert (folder.parent / "secret").read_bytes() == b"secret"
    assert {path.name for path in folder.iterdir()} <= {".imclass", "photos"}
    assert {path.name for path in folder.parent.iterdir()} == {"s3", "secret"}


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=2-4", 2, 5),
        ("bytes=7-", 7, 10),
        ("bytes=-3", 7, 10),
        ("bytes=-99", 0, 10),
        ("bytes=8-99", 8, 10),
    ],
)
def test_ranges(client, wanted, start, stop):
    client.put_object(Bucket="photos", Key="digits", Body=b"0123456789")
    got = client.get_object(Bucket="photos", Key="digits", Range=wanted)
    assert got["Body"].read() == b"0123456789"[start:stop]
    assert got["ContentRange"] == f"bytes {start}-{stop - 1}/10"
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=10-11", "bytes=-0"])
def test_a_range_without_bytes_is_refused(client, wanted):
    client.put_object(Bucket="photos", Key="digits", Body=b"0123456789")
    with pytest.raises(ClientError) as caught:
        client.get_object(Bucket="photos", Key="digits", Range=wanted)
    assert code_of(caught) == "InvalidRange"


def test_conditions_of_reading(client):
    etag = client.put_object(Bucket="photos", Key="a", Body=b"x")["ETag"]
    modified = client.head_object(Bucket="photos", Key="a")["LastModified"]
    assert client.get_object(Bucket="photos", Key="a", IfMatch=etag)["Body"].read() == b"x"
    for condition in ({"IfMatch": '"other"'}, {"IfUnmodifiedSince": modified.replace(year=2001)}):
        with pytest.raises(ClientError) as caught:
            client.get_object(Bucket="photos", Key="a", **condition)
        assert code_of(caught) == "PreconditionFailed"
    for condition in ({"IfNoneMatch": etag}, {"IfModifiedSince": modified}):
        with pytest.raises(ClientError) as caught:
            client.get_object(Bucket="photos", Key="a", **condition)
        assert code_of(caught) == "304"


def test_conditions_of_writing(client):
    etag = client.put_object(Bucket="photos", Key="a", Body=b"x", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket="photos", Key="a", Body=b"y", IfNoneMatch="*")
    assert code_of(caught) == "PreconditionFailed"
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket="photos", Key="missing", Body=b"y", IfMatch=etag)
    assert code_of(caught) == "NoSuchKey"
    client.put_object(Bucket="photos", Key="a", Body=b"z", IfMatch=etag)
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket="photos", Key="a", Body=b"y", IfMatch=etag)
    assert code_of(caught) == "PreconditionFailed"
    assert client.get_object(Bucket="photos", Key="a")["Body"].read() == b"z"


def test_only_one_of_many_writers_creates_an_object(client, url):
    outcomes: list[bool] = []

    def create(number: int) -> None:
        try:
            make_client(url).put_object(Bucket="photos", Key="lock", Body=str(number).encode(), IfNoneMatch="*")
            outcomes.append(True)
        except ClientError:
            outcomes.append(False)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 7 + [True]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums_are_checked_kept_and_given_back(client, algorithm):
    put = client.put_object(Bucket="photos", Key="a", Body=b"123456789", ChecksumAlgorithm=algorithm)
    got = client.get_object(Bucket="photos", Key="a", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"123456789"  # checked by boto3
    assert got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    wrong = base64.b64encode(bytes(len(base64.b64decode(put[f"Checksum{algorithm}"])))).decode()
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket="photos", Key="a", Body=b"other", **{f"Checksum{algorithm}": wrong})
    assert code_of(caught) == "BadDigest"
    assert client.get_object(Bucket="photos", Key="a")["Body"].read() == b"123456789"


# The check values of the catalogue of parametrised CRC algorithms, for "123456789".
@pytest.mark.parametrize(
    ("algorithm", "value"), [("CRC32", 0xCBF43926), ("CRC32C", 0xE3069283), ("CRC64NVME", 0xAE8B14860A799888)]
)
def test_checksums_have_the_published_values(client, algorithm, value):
    put = client.put_object(Bucket="photos", Key="a", Body=b"123456789", ChecksumAlgorithm=algorithm)
    assert int.from_bytes(base64.b64decode(put[f"Checksum{algorithm}"])) == value


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-MD5": base64.b64encode(bytes(16)).decode()}, "BadDigest"),
        ({"Content-MD5": "short"}, "InvalidDigest"),
        ({"x-amz-content-sha256": "0" * 64}, "XAmzContentSHA256Mismatch"),
        ({"x-amz-checksum-crc32": "?"}, "InvalidRequest"),
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": "AAAA"}, "InvalidRequest"),
        ({"x-amz-checksum-crc16": "AAAA"}, "InvalidRequest"),
        ({"x-amz-tagging": "a=b"}, "NotImplemented"),
        ({"x-amz-meta-long": "x" * 2049}, "MetadataTooLarge"),
        ({"Content-Length": str(6 << 30), "Expect": "100-continue"}, "EntityTooLarge"),
        ({"If-None-Match": '"abc"'}, "NotImplemented"),
    ],
)
def test_puts_that_are_refused(client, url, folder, headers, code):
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.request("PUT", "/photos/a", body=b"content", headers=headers)
    response = connection.getresponse()
    assert f"<Code>{code}</Code>".encode() in response.read()
    connection.close()
    assert list((folder / "photos").iterdir()) == []
    assert list((folder / ".imclass/staging").iterdir()) == []


def test_a_body_that_ends_too_early_is_no_object(client, url, folder):
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.putrequest("PUT", "/photos/a")
    connection.putheader("Content-Length", "100")
    connection.endheaders(b"too short")
    connection.close()
    deadline = time.monotonic() + 10
    while list((folder / ".imclass/staging").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list((folder / ".imclass/staging").iterdir()) == []
    assert list((folder / "photos").iterdir()) == []


def test_large_bodies_to_nowhere_get_their_answer(client):
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket="missing", Key="a", Body=bytes(20 << 20))
    assert code_of(caught) == "NoSuchBucket"
    client.put_object(Bucket="photos", Key="a", Body=b"still there")


def test_copies(client):
    put = client.put_object(
        Bucket="photos", Key="a b/é", Body=b"x" * 100_000, ContentType="image/png", Metadata={"x": "1"}
    )
    client.create_bucket(Bucket="backup")
    copied = client.copy_object(Bucket="backup", Key="c", CopySource={"Bucket": "photos", "Key": "a b/é"})
    assert copied["CopyObjectResult"]["ETag"] == put["ETag"]
    head = client.head_object(Bucket="backup", Key="c")
    assert (head["ContentType"], head["Metadata"]) == ("image/png", {"x": "1"})
    client.copy_object(
        Bucket="backup", Key="c", CopySource="backup/c", MetadataDirective="REPLACE", Metadata={"y": "2"},
        ContentType="image/jpeg", ChecksumAlgorithm="SHA256",
    )  # fmt: skip
    got = client.get_object(Bucket="backup", Key="c", ChecksumMode="ENABLED")
    assert (got["ContentType"], got["Metadata"]) == ("image/jpeg", {"y": "2"})
    assert got["Body"].read() == b"x" * 100_000
    assert base64.b64decode(got["ChecksumSHA256"]) == hashlib.sha256(b"x" * 100_000).digest()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "InvalidRequest"),
        ({"CopySource": "photos/missing"}, "NoSuchKey"),
        ({"CopySource": "missing/a"}, "NoSuchBucket"),
        ({"CopySource": "photos"}, "InvalidArgument"),
        ({"Key": "b", "CopySourceIfMatch": "other"}, "PreconditionFailed"),
        ({"Bucket": "missing"}, "NoSuchBucket"),
    ],
)
def test_copies_that_are_refused(client, changes, code):
    client.put_object(Bucket="photos", Key="a", Body=b"x")
    with pytest.raises(ClientError) as caught:
        client.copy_object(**{"Bucket": "photos", "Key": "a", "CopySource": "photos/a", **changes})
    assert code_of(caught) == code


def test_signed_links_choose_headers(client):
    from urllib.request import urlopen

    client.put_object(Bucket="photos", Key="a", Body=b"x")
    asked = {"Bucket": "photos", "Key": "a", "ResponseContentType": "text/csv"}
    with urlopen(client.generate_presigned_url("get_object", Params=asked), timeout=10) as response:
        assert response.headers["Content-Type"] == "text/csv"
        assert response.read() == b"x"


def test_buckets_can_be_named_in_the_host(client, url):
    port = url.rpartition(":")[2]
    connection = HTTPConnection("127.0.0.1", int(port), timeout=10)
    connection.request("PUT", "/photos/x", body=b"1", headers={"Host": f"photos.localhost:{port}"})
    connection.getresponse().read()
    connection.close()
    assert client.get_object(Bucket="photos", Key="photos/x")["Body"].read() == b"1"


def test_objects_survive_a_restart_and_what_was_on_its_way_does_not(folder):
    with s3_application(folder) as url:
        client = make_client(url)
        client.create_bucket(Bucket="photos")
        client.put_object(Bucket="photos", Key="a", Body=b"x", Metadata={"x": "1"})
        client.close()
    left_over = folder / ".imclass/staging/left-over"
    left_over.write_bytes(b"half")
    with s3_application(folder) as url:
        client = make_client(url)
        assert client.head_object(Bucket="photos", Key="a")["Metadata"] == {"x": "1"}
        client.close()
    assert not left_over.exists()


def test_a_pipe_is_no_object(client, folder):
    os.mkfifo(folder / "photos/pipe")
    with pytest.raises(ClientError) as caught:
        client.get_object(Bucket="photos", Key="pipe")
    assert code_of(caught) == "NoSuchKey"
    assert "Contents" not in client.list_objects_v2(Bucket="photos")


def test_readers_of_an_object_that_is_replaced_get_one_whole_version(client, url):
    contents = [bytes([number]) * 3_000_000 for number in range(4)]
    client.put_object(Bucket="photos", Key="a", Body=contents[0])
    stop = threading.Event()

    def write() -> None:
        writer = make_client(url)
        while not stop.is_set():
            for content in contents:
                writer.put_object(Bucket="photos", Key="a", Body=content)
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(30):
            got = client.get_object(Bucket="photos", Key="a", ChecksumMode="ENABLED")
            content = got["Body"].read()
            assert content in contents
            assert got["ETag"] == f'"{hashlib.md5(content).hexdigest()}"'
    finally:
        stop.set()
        thread.join()


def test_a_verifier_refuses_before_anything_is_done(folder: Path):
    from imclass.sagemaker.s3.errors import S3Error

    seen = []

    def verify(method, url, headers):
        seen.append((method, url, headers["authorization"][:16]))
        raise S3Error("SignatureDoesNotMatch", "The signature does not match.")

    with s3_application(folder, verify) as url:
        client = make_client(url)
        with pytest.raises(ClientError) as caught:
            client.create_bucket(Bucket="photos")
        client.close()
    assert code_of(caught) == "SignatureDoesNotMatch"
    assert seen == [("PUT", f"{url}/photos", "AWS4-HMAC-SHA256")]
    assert not (folder / "photos").exists()
