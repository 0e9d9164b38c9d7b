"""Objects that come in parts, through boto3 and a real server."""

import base64
import binascii
import hashlib

import pytest
from botocore.exceptions import ClientError

PART = 5 << 20


def code_of(caught) -> str:
    return caught.value.response["Error"]["Code"]


@pytest.fixture
def upload(client):
    """Begins an upload, and gives the arguments that name it."""

    def begin(**arguments):
        started = client.create_multipart_upload(Bucket="photos", Key="a/b", **arguments)
        return {"Bucket": "photos", "Key": "a/b", "UploadId": started["UploadId"]}

    return begin


def put_parts(client, named, contents, **arguments) -> dict[str, list[dict[str, object]]]:
    parts = []
    for number, content in enumerate(contents, start=1):
        answer = client.upload_part(**named, PartNumber=number, Body=content, **arguments)
        checksums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        parts.append({"PartNumber": number, "ETag": answer["ETag"], **checksums})
    return {"Parts": parts}


def test_parts_become_one_object(client, upload, folder):
    named = upload(ContentType="image/png", Metadata={"x": "1"})
    contents = [b"1" * PART, b"2" * PART, b"3"]
    parts = put_parts(client, named, contents)
    with pytest.raises(ClientError):
        client.head_object(Bucket="photos", Key="a/b")
    done = client.complete_multipart_upload(**named, MultipartUpload=parts)
    digests = b"".join(hashlib.md5(content).digest() for content in contents)
    assert done["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    got = client.get_object(Bucket="photos", Key="a/b")
    assert got["Body"].read() == b"".join(contents) == (folder / "photos/a/b").read_bytes()
    assert (got["ContentType"], got["Metadata"], got["ETag"]) == ("image/png", {"x": "1"}, done["ETag"])
    assert list((folder / ".imclass/uploads/photos").iterdir()) == []
    with pytest.raises(ClientError) as caught:
        client.complete_multipart_upload(**named, MultipartUpload=parts)
    assert code_of(caught) == "NoSuchUpload"


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("CRC32", "COMPOSITE"), ("SHA256", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), ("CRC64NVME", "FULL_OBJECT")],
)
def test_checksums_of_parts_and_of_the_whole(client, upload, algorithm, kind):
    named = upload(ChecksumAlgorithm=algorithm, ChecksumType=kind)
    contents = [b"1" * PART, b"2"]
    parts = put_parts(client, named, contents, ChecksumAlgorithm=algorithm)
    done = client.complete_multipart_upload(**named, MultipartUpload=parts)
    assert done["ChecksumType"] == kind
    got = client.get_object(Bucket="photos", Key="a/b", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"".join(contents)  # checked by boto3 when it is over the whole object
    value = got[f"Checksum{algorithm}"]
    assert value == done[f"Checksum{algorithm}"]
    if (algorithm, kind) == ("CRC32", "FULL_OBJECT"):
        assert int.from_bytes(base64.b64decode(value)) == binascii.crc32(b"".join(contents))
    if algorithm == "SHA256":
        digests = b"".join(hashlib.sha256(content).digest() for content in contents)
        assert value == base64.b64encode(hashlib.sha256(digests).digest()).decode() + "-2"


def test_a_wrong_checksum_of_the_whole_makes_no_object(client, upload):
    named = upload(ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    parts = put_parts(client, named, [b"x"])
    with pytest.raises(ClientError) as caught:
        client.complete_multipart_upload(**named, MultipartUpload=parts, ChecksumCRC32="AAAAAA==")
    assert code_of(caught) == "BadDigest"
    with pytest.raises(ClientError):
        client.head_object(Bucket="photos", Key="a/b")
    client.complete_multipart_upload(**named, MultipartUpload=parts)


def test_a_part_can_be_sent_again(client, upload, folder):
    named = upload()
    client.upload_part(**named, PartNumber=1, Body=b"old")
    parts = put_parts(client, named, [b"new"])
    (kept,) = (folder / ".imclass/uploads/photos" / named["UploadId"]).glob("00001.*[!n]")
    assert kept.read_bytes() == b"new"
    client.complete_multipart_upload(**named, MultipartUpload=parts)
    assert client.get_object(Bucket="photos", Key="a/b")["Body"].read() == b"new"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda parts: parts.reverse(), "InvalidPartOrder"),
        (lambda parts: parts.append({"PartNumber": 3, "ETag": "x"}), "InvalidPart"),
        (lambda parts: parts[0].update(ETag='"other"'), "InvalidPart"),
        (lambda parts: parts[0].update(ChecksumCRC32="AAAAAA=="), "InvalidPart"),
        (lambda parts: None, "EntityTooSmall"),
        (lambda parts: parts.clear(), "MalformedXML"),
        (lambda parts: parts[0].update(PartNumber=0), "MalformedXML"),
    ],
)
def test_completions_that_are_refused(client, upload, change, code):
    named = upload()
    parts = put_parts(client, named, [b"small", b"last"])
    change(parts["Parts"])
    with pytest.raises(ClientError) as caught:
        client.complete_multipart_upload(**named, MultipartUpload=parts)
    assert code_of(caught) == code


def test_conditions_hold_when_an_upload_is_completed(client, upload):
    named = upload()
    parts = put_parts(client, named, [b"late"])
    client.put_object(Bucket="photos", Key="a/b", Body=b"early")
    with pytest.raises(ClientError) as caught:
        client.complete_multipart_upload(**named, MultipartUpload=parts, IfNoneMatch="*")
    assert code_of(caught) == "PreconditionFailed"
    assert client.get_object(Bucket="photos", Key="a/b")["Body"].read() == b"early"


@pytest.mark.parametrize("number", [0, 10_001])
def test_part_numbers_have_a_range(client, upload, number):
    with pytest.raises(ClientError) as caught:
        client.upload_part(**upload(), PartNumber=number, Body=b"x")
    assert code_of(caught) == "InvalidArgument"


@pytest.mark.parametrize("upload_id", ["0" * 32, "..", "../../photos", "x"])
def test_uploads_that_never_began(client, upload_id):
    named = {"Bucket": "photos", "Key": "a/b", "UploadId": upload_id}
    for call in (
        lambda: client.upload_part(**named, PartNumber=1, Body=b"x"),
        lambda: client.abort_multipart_upload(**named),
        lambda: client.list_parts(**named),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert code_of(caught) == "NoSuchUpload"


def test_an_upload_that_is_given_up_leaves_nothing(client, upload, folder):
    named = upload()
    client.upload_part(**named, PartNumber=1, Body=b"x")
    client.abort_multipart_upload(**named)
    assert list((folder / ".imclass/uploads/photos").iterdir()) == []
    with pytest.raises(ClientError) as caught:
        client.upload_part(**named, PartNumber=2, Body=b"x")
    assert code_of(caught) == "NoSuchUpload"


def test_parts_and_uploads_are_listed(client, upload):
    first, second = upload(), upload()
    put_parts(client, first, [b"x" * size for size in (1, 2, 3)])
    pages = client.get_paginator("list_parts").paginate(**first, PaginationConfig={"PageSize": 2})
    assert [(part["PartNumber"], part["Size"]) for page in pages for part in page["Parts"]] == [(1, 1), (2, 2), (3, 3)]
    other = client.create_multipart_upload(Bucket="photos", Key="z é")["UploadId"]
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket="photos", PaginationConfig={"PageSize": 1})
    uploads = [(found["Key"], found["UploadId"]) for page in pages for found in page["Uploads"]]
    assert uploads == [("a/b", first["UploadId"]), ("a/b", second["UploadId"]), ("z é", other)]
    only = client.list_multipart_uploads(Bucket="photos", Prefix="z")
    assert [found["UploadId"] for found in only["Uploads"]] == [other]


def test_parts_are_copied_from_objects(client, upload):
    client.put_object(Bucket="photos", Key="source", Body=b"0123456789" * (PART // 5))
    named = upload(ChecksumAlgorithm="CRC32")
    ranges = [f"bytes=0-{PART - 1}", f"bytes={PART}-{2 * PART - 1}"]
    parts = []
    for number, wanted in enumerate(ranges, start=1):
        copied = client.upload_part_copy(**named, PartNumber=number, CopySource="photos/source", CopySourceRange=wanted)
        parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert client.get_object(Bucket="photos", Key="a/b")["Body"].read() == b"0123456789" * (PART // 5)
    with pytest.raises(ClientError) as caught:
        client.upload_part_copy(
            **upload(), PartNumber=1, CopySource="photos/source", CopySourceRange="bytes=0-99999999"
        )
    assert code_of(caught) == "InvalidRange"


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("CRC16", "COMPOSITE")]
)
def test_checksums_that_no_upload_can_have(client, upload, algorithm, kind):
    with pytest.raises(ClientError) as caught:
        upload(ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert code_of(caught) == "InvalidRequest"
