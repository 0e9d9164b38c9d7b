"""Other clients than boto3's plain calls: its transfers, obstore, s3fs and the AWS CLI."""

import os
import random
import subprocess
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig

from imclass.data.remote.addresses import parse_address
from tests.sagemaker.s3.server import CREDENTIALS

SMALL_PARTS = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=4)
# An environment with clients that imclass does not need: python -m venv X; X/bin/pip install awscli s3fs
CLIENTS = os.environ.get("IMCLASS_S3_CLIENTS")
needs_clients = pytest.mark.skipif(
    CLIENTS is None, reason="IMCLASS_S3_CLIENTS names no environment with awscli and s3fs"
)


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def environment(url: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        **{name.upper(): value for name, value in CREDENTIALS.items()},
    }


@pytest.mark.parametrize("size", [0, 1, 5 << 20, (12 << 20) + 7])
def test_transfers_of_boto3(client, tmp_path, size):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(noise(size))
    client.upload_file(str(source), "photos", "train/data.rec", Config=SMALL_PARTS, ExtraArgs={"Metadata": {"x": "1"}})
    client.download_file("photos", "train/data.rec", str(target), Config=SMALL_PARTS)
    assert target.read_bytes() == source.read_bytes()
    client.copy({"Bucket": "photos", "Key": "train/data.rec"}, "photos", "copy", Config=SMALL_PARTS)
    assert client.get_object(Bucket="photos", Key="copy")["Body"].read() == source.read_bytes()
    assert client.head_object(Bucket="photos", Key="copy")["Metadata"] == {"x": "1"}


def test_the_resource_of_boto3(client, url):
    import boto3

    resource = boto3.resource("s3", endpoint_url=url, region_name="us-east-1", **CREDENTIALS)
    bucket = resource.Bucket("photos")
    for number in range(3):
        bucket.put_object(Key=f"train/{number}", Body=bytes(number))
    assert [found.key for found in bucket.objects.filter(Prefix="train/")] == ["train/0", "train/1", "train/2"]
    bucket.objects.all().delete()
    assert list(bucket.objects.all()) == []


def test_obstore(client, url):
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        "photos",
        endpoint=url,
        region="us-east-1",
        access_key_id=CREDENTIALS["aws_access_key_id"],
        secret_access_key=CREDENTIALS["aws_secret_access_key"],
        client_options={"allow_http": True},
    )
    content = noise(11 << 20)
    obstore.put(store, "a/large é", content, use_multipart=True, chunk_size=5 << 20)
    obstore.put(store, "a/small", b"x", mode="create")
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        obstore.put(store, "a/small", b"y", mode="create")
    assert bytes(obstore.get(store, "a/large é").bytes()) == content
    assert bytes(obstore.get_range(store, "a/large é", start=5, end=25)) == content[5:25]
    obstore.copy(store, "a/small", "b/copy")
    assert sorted(found["path"] for chunk in obstore.list(store) for found in chunk) == [
        "a/large é",
        "a/small",
        "b/copy",
    ]
    assert obstore.list_with_delimiter(store)["common_prefixes"] == ["a", "b"]
    obstore.delete(store, ["a/large é", "a/small", "b/copy"])
    assert [found for chunk in obstore.list(store) for found in chunk] == []


def test_imclass_reads_from_it(client, url, monkeypatch):
    from imclass.data.remote.stores import Store

    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    for name, value in {**CREDENTIALS, "aws_region": "us-east-1"}.items():
        monkeypatch.setenv(name.upper(), value)
    client.put_object(Bucket="photos", Key="train/a.rec", Body=noise(1000))
    store = Store(parse_address("s3://photos/train/a.rec"))
    found = store.find("train/a.rec")
    assert found is not None
    assert bytes(store.read(found, 10, 20)) == noise(1000)[10:20]
    assert [listed.key for listed in store.below("train")] == ["train/a.rec"]


@needs_clients
def test_the_aws_cli(client, url, tmp_path):
    def aws(*arguments: str) -> str:
        command = [f"{CLIENTS}/bin/aws", *arguments]
        return subprocess.run(
            command, env=environment(url), check=True, capture_output=True, text=True, timeout=120, cwd=tmp_path
        ).stdout

    source = tmp_path / "source"
    (source / "dog").mkdir(parents=True)
    contents = {"dog/a b.jpg": noise(10), "dog/é.jpg": noise(20), "large.rec": noise(20 << 20)}
    for name, content in contents.items():
        (source / name).write_bytes(content)
    aws("s3", "mb", "s3://data")
    assert aws("s3", "sync", "source", "s3://data/train").count("upload:") == 3
    assert aws("s3", "sync", "source", "s3://data/train") == ""
    listed = aws("s3", "ls", "s3://data/train/", "--recursive")
    assert all(f"train/{name}" in listed for name in contents)
    assert "PRE dog/" in aws("s3", "ls", "s3://data/train/")
    aws("s3", "cp", "s3://data/train", "s3://data/copy", "--recursive")
    aws("s3", "cp", "s3://data/copy", "target", "--recursive")
    assert {name: (tmp_path / "target" / name).read_bytes() for name in contents} == contents
    aws("s3", "rm", "s3://data/copy/dog", "--recursive")
    assert aws("s3", "sync", "s3://data/copy", "source", "--delete").count("delete:") == 2
    aws("s3", "rb", "s3://data", "--force")
    assert "data" not in aws("s3", "ls")


S3FS_VISIT = """
import random, s3fs, sys
content = random.Random(1).randbytes(12 << 20)
fs = s3fs.S3FileSystem(endpoint_url=sys.argv[1], key="test-key", secret="test-secret")
fs.mkdir("by-s3fs")
with fs.open("by-s3fs/a/large", "wb", block_size=5 << 20) as file:
    file.write(content)
with fs.open("by-s3fs/a/large", "rb") as file:
    file.seek(7 << 20)
    assert file.read(100) == content[7 << 20 :][:100]
fs.pipe({f"by-s3fs/a/{number}": bytes([number]) for number in range(5)})
assert fs.cat("by-s3fs/a/3") == bytes([3])
assert fs.ls("by-s3fs/a") == [f"by-s3fs/a/{name}" for name in ("0", "1", "2", "3", "4", "large")]
assert fs.info("by-s3fs/a/large")["size"] == len(content)
fs.copy("by-s3fs/a/large", "by-s3fs/b/copy")
assert fs.cat("by-s3fs/b/copy") == content
assert fs.find("by-s3fs") == [f"by-s3fs/{name}" for name in ("a/0", "a/1", "a/2", "a/3", "a/4", "a/large", "b/copy")]
fs.rm("by-s3fs", recursive=True)
assert not fs.exists("by-s3fs/a/1")
print("done")
"""


@needs_clients
def test_s3fs(client, url, tmp_path: Path):
    command = [f"{CLIENTS}/bin/python", "-c", S3FS_VISIT, url]
    visit = subprocess.run(command, env=environment(url), capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert visit.returncode == 0, visit.stderr
    assert visit.stdout == "done\n"
