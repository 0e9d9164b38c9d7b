"""Servers on real sockets, in a thread or as processes, and clients that see every byte."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from imclass.address import Address, listening_socket
from imclass.inference.serving.application import Parts, create_application
from imclass.inference.serving.server import make_server

DEADLINE = 60.0


@contextmanager
def in_thread(parts: Parts) -> Iterator[int]:
    """The application on a real socket, in a thread of this process; gives its port."""
    address = Address("127.0.0.1", 0)
    with listening_socket(address) as opened:
        port = int(opened.getsockname()[1])
        server = make_server(create_application(parts), address, parts.models)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([opened])))
        thread.start()
        try:
            wait_for(lambda: parts.models.are_healthy)
            yield port
        finally:
            server.should_exit = True
            thread.join(DEADLINE)
            assert not thread.is_alive()


@dataclass
class ServerProcess:
    """A running `imclass serve`."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return self.found(r"listening on (\S+)")

    @property
    def admin_url(self) -> str:
        return self.found(r"administration on (\S+)")

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def found(self, pattern: str) -> str:
        match = re.search(pattern, self.log.read_text())
        assert match is not None, self.log.read_text()
        return match[1]


@contextmanager
def as_process(folder: Path, *arguments: object, variables: dict[str, str] | None = None) -> Iterator[ServerProcess]:
    """`imclass serve ARGUMENTS --port 0`, ready; killed when the block ends."""
    log = folder / f"log-{time.monotonic_ns()}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(variables or {})}
    options = [*arguments, "--port", 0, "--device", "cpu", "--threads", 2]
    command = [sys.executable, "-m", "imclass", "serve", *map(str, options)]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stderr=stream, env=environment)
    try:
        wait_for(lambda: "INFO ready" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield ServerProcess(process, log)
    finally:
        process.kill()
        process.wait(DEADLINE)


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)


def exchange(port: int, sent: bytes) -> bytes:
    """Send bytes, and read until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
        connection.sendall(sent)
        return received(connection)


def received(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def request(body: bytes, *headers: str, path: str = "/invocations", close: bool = True) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *headers]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body


def metric(url: str, line: str) -> bool:
    """Whether a line is among the server's figures."""
    return line in httpx.get(f"{url}/metrics").text.splitlines()
