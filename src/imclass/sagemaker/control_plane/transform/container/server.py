"""The container's `serve` as a child of this process."""

import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from typing import IO

from imclass.sagemaker.control_plane.jobs.server_process import (
    HOST,
    LOOK_AGAIN_SECONDS,
    REACH,
    STOP_SECONDS,
    ServerProcess,
)
from imclass.sagemaker.endpoint import OPTIONS_VARIABLE

PING_SECONDS = 240.0
"""After which a container that is not healthy counts as broken, as AWS has it."""
ANSWER_SECONDS = 2.0


class ContainerError(Exception):
    """The container does not become healthy, or has ended."""


class ModelServer(ServerProcess):
    """A container that serves, and prints what it prints here.

    Args:
        environment: all of it.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(environment, own_output, leads_group=False)  # whoever ends the job ends its whole group

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
            if self.port is not None and _is_healthy(self.port):
                return self.port
            time.sleep(LOOK_AGAIN_SECONDS)
        raise ContainerError(f"the container did not answer /ping with 200 within {PING_SECONDS:g} seconds")

    def check_alive(self) -> None:
        """Raise ContainerError if the container has ended."""
        status = self.status
        if status is not None:
            raise ContainerError(f"the container ended with exit status {status}: {''.join([*self.last_lines][-1:])}")

    def close(self) -> None:
        """End it."""
        self.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while not self.has_ended and time.monotonic() < deadline:
            time.sleep(LOOK_AGAIN_SECONDS)
        self.kill()
        self._reader.join(ANSWER_SECONDS)


def own_output() -> IO[bytes]:
    """The standard output of this process, which shows each line at once."""
    return open(sys.stdout.fileno(), "wb", buffering=0, closefd=False)


@contextmanager
def model_server(request_seconds: float, environment: Mapping[str, str] = os.environ) -> Iterator[ModelServer]:
    """Run the container's `serve` while the block lasts.

    Args:
        request_seconds: that a request may take.
        environment: of this process, whose folders and options the container shares.
    """
    own = shlex.split(environment.get(OPTIONS_VARIABLE, ""))
    options = [*own, *REACH, "--request-timeout", f"{request_seconds:g}"]  # what is ours comes last and wins
    server = ModelServer({**environment, OPTIONS_VARIABLE: shlex.join(options)})
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
