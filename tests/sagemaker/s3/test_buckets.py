"""Buckets and lists of objects, through boto3 and a real server."""

import random

import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.s3.server import make_client, s3_application


def code_of(caught) -> str:
    return caught.value.response["Error"]["Code"]


def test_buckets_are_folders(client, folder):
    client.create_bucket(Bucket="data")
    client.create_bucket(Bucket="data")  # as in us-east-1, where this is no error
    (folder / "by-hand").mkdir()
    (folder / "Not_A_Bucket").mkdir()
    assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"]] == ["by-hand", "data", "photos"]
    client.head_bucket(Bucket="by-hand")
    client.delete_bucket(Bucket="data")
    assert not (folder / "data").exists()


def test_location_and_region(folder):
    with s3_application(folder, region="eu-west-1") as url:
        client = make_client(url)
        client.create_bucket(Bucket="photos", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        assert client.get_bucket_location(Bucket="photos")["LocationConstraint"] == "eu-west-1"
        assert client.head_bucket(Bucket="photos")["BucketRegion"] == "eu-west-1"
        with pytest.raises(ClientError) as caught:
            client.create_bucket(Bucket="photos", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        assert code_of(caught) == "BucketAlreadyOwnedByYou"
        client.close()


def test_location_of_the_default_region_is_empty(client):
    assert client.get_bucket_location(Bucket="photos")["LocationConstraint"] is None
    assert "Status" not in client.get_bucket_versioning(Bucket="photos")


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("head_bucket", {}, "404"),
        ("delete_bucket", {}, "NoSuchBucket"),
        ("list_objects", {}, "NoSuchBucket"),
        ("list_objects_v2", {}, "NoSuchBucket"),
        ("list_multipart_uploads", {}, "NoSuchBucket"),
        ("get_bucket_location", {}, "NoSuchBucket"),
        ("get_object", {"Key": "a"}, "NoSuchBucket"),
        ("head_object", {"Key": "a"}, "404"),
        ("put_object", {"Key": "a", "Body": b"x"}, "NoSuchBucket"),
        ("delete_object", {"Key": "a"}, "NoSuchBucket"),
        ("delete_objects", {"Delete": {"Objects": [{"Key": "a"}]}}, "NoSuchBucket"),
        ("create_multipart_upload", {"Key": "a"}, "NoSuchBucket"),
        ("get_bucket_acl", {}, "NotImplemented"),
        ("get_bucket_policy", {}, "NotImplemented"),
    ],
)
def test_a_bucket_that_is_not_there(client, operation, arguments, code):
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(Bucket="missing", **arguments)
    assert code_of(caught) == code


def test_a_bucket_with_a_file_stays(client, folder):
    client.put_object(Bucket="photos", Key="a/b/c", Body=b"x")
    with pytest.raises(ClientError) as caught:
        client.delete_bucket(Bucket="photos")
    assert code_of(caught) == "BucketNotEmpty"
    client.delete_object(Bucket="photos", Key="a/b/c")
    (folder / "photos/a%2Eb").write_bytes(b"no object, but somebody's file")
    with pytest.raises(ClientError) as caught:
        client.delete_bucket(Bucket="photos")
    assert code_of(caught) == "BucketNotEmpty"


def test_a_bucket_with_nothing_but_empty_folders_goes(client, folder):
    (folder / "photos/empty/folders").mkdir(parents=True)
    client.delete_bucket(Bucket="photos")
    assert not (folder / "photos").exists()


def test_many_objects_are_deleted_at_once(client, folder):
    for key in ("a", "a/b", "c&d"):
        client.put_object(Bucket="photos", Key=key, Body=b"x")
    keys = [{"Key": key} for key in ("a", "a/b", "c&d", "missing")]
    deleted = client.delete_objects(Bucket="photos", Delete={"Objects": keys})
    assert [found["Key"] for found in deleted["Deleted"]] == ["a", "a/b", "c&d", "missing"]
    assert list((folder / "photos").iterdir()) == []
    assert "Deleted" not in client.delete_objects(Bucket="photos", Delete={"Objects": keys, "Quiet": True})


LONG = "x" * 240
KEYS = ["a", "a!", "a/b", "a/b/c", "a/b!", "a0", "b/", "b/x", "b//y", "c/d/e", f"long/{LONG}!", f"long/{LONG}/y",
        "long/" + "x" * 240, "long/" + "x" * 500, "é", "𝄞", "\uffff"]  # fmt: skip


@pytest.fixture
def listed(client):
    for key in KEYS:
        client.put_object(Bucket="photos", Key=key, Body=key.encode())
    return client


def expected(prefix: str, delimiter: str, after: str = "") -> list[str]:
    """What a list holds, objects and common prefixes, by the definition."""
    found = set()
    for key in KEYS:
        if key.startswith(prefix) and key > after:
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            found.add(key if end < 0 else key[: end + len(delimiter)])
    return sorted(found, key=str.encode)


def found(page) -> list[str]:
    keys = [listed["Key"] for listed in page.get("Contents", [])]
    return sorted(keys + [common["Prefix"] for common in page.get("CommonPrefixes", [])], key=str.encode)


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("delimiter", ["", "/", "b", "/b"])
@pytest.mark.parametrize("prefix", ["", "a", "a/", "b/", "long/", "long/xxx", "none"])
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_lists_and_their_pages(listed, operation, delimiter, prefix, size):
    pages = listed.get_paginator(operation).paginate(
        Bucket="photos", Prefix=prefix, Delimiter=delimiter, PaginationConfig={"PageSize": size}
    )
    pages = list(pages)
    assert [key for page in pages for key in found(page)] == expected(prefix, delimiter)
    assert all(len(found(page)) <= size for page in pages)
    sizes = {listed["Key"]: listed["Size"] for page in pages for listed in page.get("Contents", [])}
    assert all(size == len(key.encode()) for key, size in sizes.items())


@pytest.mark.parametrize("after", ["a", "a/", "a/b", "aa", "b//", "zzz", "é"])
def test_lists_begin_behind_a_key(listed, after):
    assert found(listed.list_objects_v2(Bucket="photos", StartAfter=after)) == expected("", "", after)
    assert found(listed.list_objects(Bucket="photos", Marker=after)) == expected("", "", after)


def test_lists_of_random_keys_are_in_the_order_of_bytes(store):
    from imclass.sagemaker.s3.descriptions import Attributes
    from imclass.sagemaker.s3.listing import list_page

    generator = random.Random(0)
    keys = set()
    while len(keys) < 300:
        key = "".join(
            generator.choice(["a", "b", "/", "%", ".", "x" * 130, "é", "\0", "!", "0"])
            for _ in range(generator.randint(1, 7))
        )
        keys.add(key)
        with store.stage() as staged:
            store.put("photos", key, staged, "etag", Attributes())
    for prefix, delimiter in [("", ""), ("", "/"), ("a", "/"), ("x" * 130, "")]:
        listed, after = [], ""
        while True:
            page = list_page(store, "photos", prefix, delimiter, after, 7)
            listed += sorted([found.key for found in page.objects] + page.prefixes, key=str.encode)
            if page.next_marker is None:
                break
            after = page.next_marker
        wanted = set()
        for key in keys:
            if key.startswith(prefix):
                end = key.find(delimiter, len(prefix)) if delimiter else -1
                wanted.add(key if end < 0 else key[: end + 1])
        assert listed == sorted(wanted, key=str.encode)


@pytest.mark.parametrize(
    "arguments",
    [{"ContinuationToken": "!"}, {"ContinuationToken": "gA=="}, {"EncodingType": "base64"}, {"MaxKeys": -1}],
)
def test_lists_that_are_refused(client, arguments):
    with pytest.raises(ClientError) as caught:
        client.list_objects_v2(Bucket="photos", **arguments)
    assert code_of(caught) == "InvalidArgument"


def test_links_are_followed_unless_they_lead_back(client, folder):
    client.put_object(Bucket="photos", Key="a/b", Body=b"x")
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "c").write_bytes(b"y")
    (elsewhere / "back").symlink_to(folder / "photos/a")
    (folder / "photos/a/loop").symlink_to(folder / "photos")
    (folder / "photos/a/linked").symlink_to(elsewhere)
    (folder / "photos/a/broken").symlink_to(folder / "nothing")
    assert found(client.list_objects_v2(Bucket="photos")) == ["a/b", "a/linked/c"]
    assert client.get_object(Bucket="photos", Key="a/linked/c")["Body"].read() == b"y"
