"""How fast remote data are fetched: imclass beside boto3 and s3fs, from an S3 server on this machine, in one run.

    python bench/remote.py [--files 2000] [--file-bytes 20000] [--large-bytes 268435456] [--rounds 3]

The server is a process of its own that answers from memory, so that the clients are what is measured. boto3 downloads
file after file (as most scripts do) and on 16 threads; s3fs is measured where it is installed. Every client runs in a
fresh process and writes to an empty folder; the best round counts, the ratio is the client's seconds over imclass's.
"""

import argparse
import asyncio
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
PAGE = 1000
ETAG = '"0123456789abcdef0123456789abcdef"'

CLIENTS = {
    "imclass": """
from imclass.data import local_path
began = clock()
local_path(f"s3://bucket/{prefix}", quiet=True)
""",
    "boto3, one by one": """
import boto3
client = boto3.client("s3")
began = clock()
for key in keys(client):
    download(client, key)
""",
    "boto3, 16 threads": """
import boto3
from concurrent.futures import ThreadPoolExecutor
client = boto3.client("s3")
began = clock()
with ThreadPoolExecutor(16) as pool:
    list(pool.map(lambda key: download(client, key), keys(client)))
""",
    "s3fs": """
import s3fs
files = s3fs.S3FileSystem()
began = clock()
files.get(f"bucket/{prefix}", target, recursive=True)
""",
}
COMMON = """
import pathlib, resource, sys, time
prefix, target = sys.argv[1:]
clock = time.perf_counter

def keys(client):
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=prefix):
        for each in page["Contents"]:
            yield each["Key"]

def download(client, key):
    path = pathlib.Path(target, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    client.download_file("bucket", key, str(path))
"""
END = """
print(clock() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


class Server(asyncio.Protocol):
    """As much of S3's protocol as downloads need."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            self.answer(head.decode())

    def answer(self, head: str) -> None:
        method, target, _ = head.split(" ", 2)
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        key = unquote(parts.path).removeprefix("/bucket").strip("/")
        if "list-type" in query:
            return self.send("200 OK", self.listing(query), "Content-Type: application/xml")
        content = self.objects.get(key)
        if content is None:
            return self.send("404 Not Found", b"", "x-amz-request-id: 1")
        headers = f"ETag: {ETAG}\r\nLast-Modified: Mon, 23 Nov 2026 07:00:00 GMT\r\nAccept-Ranges: bytes"
        asked = re.search(r"^range: *bytes=(\d+)-(\d*)", head, re.IGNORECASE | re.MULTILINE)
        if asked is None:
            return self.send("200 OK", content, headers, with_body=method == "GET")
        start, stop = int(asked[1]), min(int(asked[2] or len(content)) + 1, len(content))
        headers += f"\r\nContent-Range: bytes {start}-{stop - 1}/{len(content)}"
        return self.send("206 Partial Content", memoryview(content)[start:stop], headers)

    def listing(self, query: dict[str, list[str]]) -> bytes:
        prefix = query.get("prefix", [""])[0]
        found = sorted(key for key in self.objects if key.startswith(prefix))
        start = int(query.get("continuation-token", ["0"])[0])
        entries = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-11-23T07:00:00.000Z</LastModified><ETag>{ETAG}</ETag>"
            f"<Size>{len(self.objects[key])}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key in found[start : start + PAGE]
        )
        rest = start + PAGE < len(found)
        token = f"<NextContinuationToken>{start + PAGE}</NextContinuationToken>" if rest else ""
        head = f"<Name>bucket</Name><Prefix>{prefix}</Prefix><KeyCount>{len(found)}</KeyCount><MaxKeys>{PAGE}</MaxKeys>"
        return (
            f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{head}'
            f"<IsTruncated>{str(rest).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
        ).encode()

    def send(self, status: str, content: bytes | memoryview, headers: str, with_body: bool = True) -> None:
        self.transport.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n{headers}\r\n\r\n".encode())
        if with_body:
            self.transport.write(content)


async def serve(files: int, file_bytes: int, large_bytes: int) -> None:
    content = os.urandom(1 << 20)
    objects = {
        f"photos/{n % 10}/{n:06d}.jpg": (content * (file_bytes // len(content) + 1))[:file_bytes] for n in range(files)
    }
    objects["large/train.bin"] = (content * (large_bytes // len(content) + 1))[:large_bytes]
    server = await asyncio.get_running_loop().create_server(lambda: Server(objects), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def measure(client: str, prefix: str, port: int) -> tuple[float, float]:
    """Seconds and MB of memory of one client in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "IMCLASS_CACHE": folder}
        command = [sys.executable, "-c", COMMON + CLIENTS[client] + END, prefix, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        seconds, memory = map(float, done.stdout.split())
        fetched = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.suffix in (".jpg", ".bin"))
    assert fetched > 0
    return seconds, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--file-bytes", type=int, default=20_000)
    parser.add_argument("--large-bytes", type=int, default=256 << 20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = (arguments.files, arguments.file_bytes, arguments.large_bytes)
    if arguments.serve:
        asyncio.run(serve(*sizes))
    options = [f"--files={sizes[0]}", f"--file-bytes={sizes[1]}", f"--large-bytes={sizes[2]}"]
    command = [sys.executable, __file__, "--serve", *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        cases = {
            "photos": f"{sizes[0]:,} files of {sizes[1]:,} bytes",
            "large": f"one file of {sizes[2] / 1e6:,.0f} MB",
        }
        for prefix, name in cases.items():
            compare(prefix, name, sizes[0] * sizes[1] if prefix == "photos" else sizes[2], port, arguments.rounds)
    finally:
        server.kill()
        server.wait()


def compare(prefix: str, name: str, size: int, port: int, rounds: int) -> None:
    print(name)
    ours = 0.0
    for client in CLIENTS:
        if client == "s3fs" and importlib.util.find_spec("s3fs") is None:
            print("  s3fs                 not installed")
            continue
        seconds, memory = min(measure(client, prefix, port) for _ in range(rounds))
        ours = ours or seconds
        print(
            f"  {client:20} {seconds:7.2f} s  {size / seconds / 1e6:7.1f} MB/s  {memory:5.0f} MB of memory  "
            f"{seconds / ours:5.1f} x imclass's time"
        )


if __name__ == "__main__":
    main()
