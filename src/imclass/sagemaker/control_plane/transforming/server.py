"""The container's `serve` as a child of this process, on a free port of the loopback interface."""

import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from typing import IO

from imclass.sagemaker.endpoint import OPTIONS_VARIABLE

PING_SECONDS = 240.0
"""After which a container that is not healthy counts as broken, as AWS has it."""
ANSWER_SECONDS = 2.0
LOOK_AGAIN_SECONDS = 0.05
STOP_SECONDS = 30.0
"""From SIGTERM to SIGKILL, as AWS has it."""
LISTENING = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")
HOST = "127.0.0.1"


class ContainerError(Exception):
    """The container does not become healthy, or has ended."""


class ModelServer:
    """A container that serves.

    Args:
        process: its standard output and error are one pipe.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._last_line = ""
        self._port: int | None = None
        assert process.stdout is not None
        self._lines = threading.Thread(target=self._pass_on, args=(process.stdout,), name="container", daemon=True)
        self._lines.start()

    def wait_until_healthy(self) -> int:
        """Wait for the first good answer to /ping.

        Returns:
            The port.

        Raises:
            ContainerError: it does not come, or the container has ended.
        """
        deadline = time.monotonic() + PING_SECONDS
        while time.monotonic() < deadline:
            self.check_alive()
            if self._port is not None and _is_healthy(self._port):
                return self._port
            time.sleep(LOOK_AGAIN_SECONDS)
        raise ContainerError(f"the container did not answer /ping with 200 within {PING_SECONDS:g} seconds")

    def check_alive(self) -> None:
        """Raise ContainerError if the container has ended."""
        status = self._process.poll()
        if status is not None:
            self._lines.join(ANSWER_SECONDS)
            raise ContainerError(f"the container ended with exit status {status}: {self._last_line}")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._lines.join(ANSWER_SECONDS)

    def _pass_on(self, output: IO[bytes]) -> None:
        """Print what the container prints, and find its port in it."""
        with output:
            for line in output:
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
                text = line.decode("utf-8", "replace").strip()
                self._last_line = text or self._last_line
                if self._port is None and (found := LISTENING.search(text)):
                    self._port = int(found[1])


@contextmanager
def model_server(request_seconds: float, environment: Mapping[str, str] = os.environ) -> Iterator[ModelServer]:
    """Run the container's `serve` while the block lasts.

    Args:
        request_seconds: that a request may take.
        environment: of this process, whose folders and options the container shares.
    """
    options = ["--host", HOST, "--port", "0", "--request-timeout", f"{request_seconds:g}"]
    own = shlex.split(environment.get(OPTIONS_VARIABLE, ""))  # what is ours comes last and wins
    process = subprocess.Popen(
        [sys.executable, "-m", "imclass.sagemaker.control_plane.contained", "serve", str(os.getpid())],
        env={**environment, OPTIONS_VARIABLE: shlex.join([*own, *options])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    server = ModelServer(process)
    try:
        yield server
    finally:
        server.close()


def _is_healthy(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)
    with suppress(OSError, HTTPException):
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        finally:
            connection.close()
    return False
