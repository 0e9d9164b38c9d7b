import time

import pytest

from imclass.sagemaker.s3.errors import S3Error
from imclass.sagemaker.s3.request_xml import read_complete, read_delete, read_location

NAMESPACE = b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


@pytest.mark.parametrize("namespace", [b"", NAMESPACE])
def test_keys_to_delete(namespace):
    body = (
        b"<Delete"
        + namespace
        + b"><Object><Key>a&amp;b &#xe9;</Key></Object><Object><Key> c\n</Key></Object><Quiet>true</Quiet></Delete>"
    )
    request = read_delete(body)
    assert request.keys == ["a&b é", " c\n"]
    assert request.quiet


def test_parts_to_complete():
    content = b"<ETag>&quot;ab&quot;</ETag><PartNumber>2</PartNumber><ChecksumSHA1>x=</ChecksumSHA1>"
    (part,) = read_complete(b"<CompleteMultipartUpload><Part>" + content + b"</Part></CompleteMultipartUpload>")
    assert (part.number, part.etag, part.checksum) == (2, "ab", "x=")


def test_location():
    assert read_location(b"") is None
    assert (
        read_location(
            b"<CreateBucketConfiguration><LocationConstraint>x</LocationConstraint></CreateBucketConfiguration>"
        )
        == "x"
    )


ENTITIES = (
    b'<!DOCTYPE d [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>'
)
FILE = b'<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&a;</Key></Object></Delete>'


@pytest.mark.parametrize(
    "body",
    [
        b"", b"no xml", b"<Delete>", b"<Delete/>", b"<Other/>", b"<Delete><Object/></Delete>", b"\xff<Delete/>",
        ENTITIES, FILE, b"<Delete><Object><Key></Key></Object></Delete>", b"<a>" * 100_000,
        b'<?xml version="1.0" encoding="x-none"?><Delete/>',
        b"<Delete>" + b"<Object><Key>a</Key></Object>" * 1001 + b"</Delete>",
    ],
)  # fmt: skip
def test_what_is_no_list_of_keys_is_refused_soon(body):
    start = time.perf_counter()
    with pytest.raises(S3Error) as caught:
        read_delete(body)
    assert caught.value.code == "MalformedXML"
    assert time.perf_counter() - start < 5


def test_long_texts_are_read_in_linear_time():
    start = time.perf_counter()
    read_delete(b"<Delete><Object><Key>" + b"&amp;" * 1_000_000 + b"</Key></Object></Delete>")
    assert time.perf_counter() - start < 5
