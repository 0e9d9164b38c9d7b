import base64
import random
import zlib
from http.client import HTTPConnection

import pytest

from imclass.sagemaker.s3.chunked import ChunkedDecoder
from imclass.sagemaker.s3.errors import S3Error

SIGNATURE = b";chunk-signature=" + b"a" * 64
UNSIGNED = b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n"
SIGNED = (
    b"5" + SIGNATURE + b"\r\nhello\r\n6" + SIGNATURE + b"\r\n world\r\n0" + SIGNATURE
    + b"\r\nx-amz-checksum-crc32:DUoRhQ==\r\nx-amz-trailer-signature:" + b"b" * 64 + b"\r\n\r\n"
)  # fmt: skip


@pytest.mark.parametrize("body", [UNSIGNED, SIGNED])
def test_any_cuts_give_the_same_content(body):
    generator = random.Random(0)
    for _ in range(200):
        decoder, content, start = ChunkedDecoder(), b"", 0
        while start < len(body):
            stop = start + generator.randint(1, 20)
            content += b"".join(decoder.feed(body[start:stop]))
            start = stop
        decoder.finish()
        assert content == b"hello world"
        assert decoder.trailers["x-amz-checksum-crc32"] == "DUoRhQ=="


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "IncompleteBody"),
        (b"5\r\nhel", "IncompleteBody"),
        (b"5\r\nhello\r\n", "IncompleteBody"),
        (b"0\r\n", "IncompleteBody"),
        (b"0\r\nx-amz-checksum-crc32:AAAA\r\n", "IncompleteBody"),
        (b"\r\n\r\n", "InvalidRequest"),
        (b"-5\r\nhello\r\n", "InvalidRequest"),
        (b"+5\r\nhello\r\n", "InvalidRequest"),
        (b"5_0\r\nhello\r\n", "InvalidRequest"),
        (b"5\nhello\r\n", "InvalidRequest"),
        (b"5\r\nhello world\r\n", "InvalidRequest"),
        (b"0" * 17 + b"\r\n\r\n", "InvalidRequest"),
        (b"5;" + b"x" * 2000, "InvalidRequest"),
        (b"0\r\n\r\nmore\r\n", "InvalidRequest"),
        (b"0\r\nno colon\r\n\r\n", "MalformedTrailerError"),
        (b"0\r\n" + b"a:b\r\n" * 17 + b"\r\n", "MalformedTrailerError"),
    ],
)
def test_what_is_not_the_encoding_is_refused(body, code):
    decoder = ChunkedDecoder()
    with pytest.raises(S3Error) as caught:  # noqa: PT012
        list(decoder.feed(body))
        decoder.finish()
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("trailer", "status", "code"),
    [
        (base64.b64encode(zlib.crc32(b"hello world").to_bytes(4, "big")), 200, b""),
        (b"AAAAAA==", 400, b"BadDigest"),
        (None, 400, b"MalformedTrailerError"),
    ],
)
def test_a_body_with_a_trailing_checksum(client, url, folder, trailer, status, code):
    trailing = b"" if trailer is None else b"x-amz-checksum-crc32:" + trailer + b"\r\n"
    body = b"5\r\nhello\r\n6\r\n world\r\n0\r\n" + trailing + b"\r\n"
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": "11",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "content-encoding": "gzip,aws-chunked",
    }
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.request("PUT", "/photos/a", body=body, headers=headers)
    response = connection.getresponse()
    assert response.status == status
    assert code in response.read()
    connection.close()
    if status == 200:
        got = client.get_object(Bucket="photos", Key="a")
        assert (got["Body"].read(), got["ContentEncoding"]) == (b"hello world", "gzip")
    else:
        assert list((folder / "photos").iterdir()) == []


@pytest.mark.parametrize("size", ["10", "12"])
def test_the_size_of_the_content_must_be_as_announced(client, url, size):
    headers = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length": size}
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.request("PUT", "/photos/a", body=UNSIGNED, headers=headers)
    assert b"IncompleteBody" in connection.getresponse().read()
    connection.close()
