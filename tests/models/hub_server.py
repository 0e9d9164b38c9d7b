"""A small model hub on this machine: the two download routes, as the real one answers them."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from tests.loopback import serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def hub(files: Mapping[str, bytes], *, cut_at: int | None = None) -> Iterator[tuple[str, list[str]]]:
    """Serve `files` ("owner/name/file" to content); gives the address and the list of requests so far.

    With `cut_at`, every download is broken off after so many bytes.
    """
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            requests.append(f"{self.command} {self.path}")
            content = files.get(self.path.removeprefix("/").replace("/resolve/main/", "/"))
            if content is None:
                self.send_response(404)
                known = any(self.path.startswith(f"/{name.rsplit('/', 1)[0]}/resolve/") for name in files)
                self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
                self.send_header("X-Error-Message", "there is no such thing here")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            if with_body:
                self.wfile.write(content[start : start + cut_at if cut_at else None])
                self.close_connection = cut_at is not None

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the list of requests tells it."""

    with serving(Handler) as url:
        yield url, requests
