"""Servers on this machine for tests of remote data: S3's protocol in a process of its own, and a web server."""

import functools
import hashlib
import http.server
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.loopback import serving

KEYS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret"}
START_SECONDS = 60.0


@contextmanager
def s3_server() -> Iterator[str]:
    """moto's S3 server on a free port; gives its address."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    stop = threading.Timer(START_SECONDS, process.kill)
    stop.start()
    try:
        found = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stderr)), None)
        stop.cancel()
        assert found is not None, "the server did not start"
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        yield found[0]
    finally:
        stop.cancel()
        process.kill()
        process.wait()
        process.stderr.close()


@dataclass
class Bucket:
    """A bucket of the S3 server, and what boto3 does to it."""

    url: str
    name: str
    client: Any = field(init=False)

    def __post_init__(self) -> None:
        import boto3  # here, so that other tests run where it is not installed
        from botocore.config import Config

        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )
        self.client.create_bucket(Bucket=self.name)

    def put(self, key: str, content: bytes, **more: Any) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content, **more)

    def put_folder(self, prefix: str, folder: Path) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def address(self, key: str = "") -> str:
        return f"s3://{self.name}/{key}"


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, with ETag and ranges, or without either; and its folders as Google's buckets."""

    protocol_version = "HTTP/1.1"
    requests: list[str]
    plain: bool
    refuses_head: bool
    pauses: tuple[float, ...]
    refuses_list: bool

    def do_HEAD(self) -> None:
        if self.refuses_head:
            self.requests.append("HEAD")
            self.send_error(403)
        else:
            self._answer(with_body=False)

    def do_GET(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # who asked has gone
            self._answer(with_body=True)

    def _list(self, bucket: str, prefix: str) -> None:
        """Google's listing of a bucket: a folder of the folder."""
        root = Path(self.directory, bucket)
        objects = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
            f"<ETag>{escape(_etag(path.read_bytes()))}</ETag><Size>{path.stat().st_size}</Size></Contents>"
            for path in sorted(root.rglob("*"))
            if path.is_file() and (key := path.relative_to(root).as_posix()).startswith(prefix)
        )
        content = f"<ListBucketResult>{objects}<IsTruncated>false</IsTruncated></ListBucketResult>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, *, with_body: bool) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if "list-type" in query and self.refuses_list:
            self.send_error(403)
            return
        if "list-type" in query:
            self._list(unquote(parts.path).strip("/"), query.get("prefix", [""])[0])
            return
        self.requests.append(" ".join(filter(None, (self.command, self.headers.get("Range")))))
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        etag = _etag(content)
        if not self.plain and self.headers.get("If-Match", etag) != etag:
            self.send_error(412)
            return
        start, stop = 0, len(content)
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked and not self.plain:
            start, stop = int(asked[1]), min(int(asked[2]) + 1, len(content))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        else:
            self.send_response(200)
        if not self.plain:
            self.send_header("ETag", etag)
            self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if with_body:
            size = -(-(stop - start) // len(self.pauses))
            for number, pause in enumerate(self.pauses):
                self.wfile.write(content[start:stop][number * size : (number + 1) * size])
                time.sleep(pause)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the list of requests tells it."""


@contextmanager
def web_server(
    folder: Path,
    *,
    plain: bool = False,
    refuses_head: bool = False,
    refuses_list: bool = False,
    pauses: tuple[float, ...] = (0.0,),
) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder; gives the address and the list of requests so far.

    Args:
        plain: without ETag, dates and ranges.
        refuses_head: as a link does that is signed for GET.
        refuses_list: as a bucket does whose objects one may read, but not list.
        pauses: seconds after each of so many pieces of an answer.
    """
    requests: list[str] = []
    names = {
        "requests": requests, "plain": plain, "refuses_head": refuses_head, "refuses_list": refuses_list,
        "pauses": pauses,
    }  # fmt: skip
    handler = functools.partial(type("Handler", (_Handler,), names), directory=str(folder))
    with serving(handler) as url:
        yield url, requests
