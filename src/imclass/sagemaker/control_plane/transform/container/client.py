"""Requests to a model server, with their repetitions."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from imclass.sagemaker.control_plane.jobs.server_process import HOST

FIRST_PAUSE_SECONDS = 0.25
"""Before the first repetition; it doubles from one to the next."""
SERVER_ERRORS = 500
LONGEST_MESSAGE = 1000  # characters of an error that are told


class InvocationError(Exception):
    """A request without a result.

    Args:
        status: of HTTP; None when there was no answer.
        message: what the container said, or what happened.
    """

    def __init__(self, status: int | None, message: str) -> None:
        self.status = status
        self.message = message[:LONGEST_MESSAGE]
        super().__init__(f"{status}: {message}")

    @property
    def is_users(self) -> bool:
        """Whether the sender can put it right."""
        return self.status is not None and self.status < SERVER_ERRORS


@dataclass(frozen=True)
class ExecutionParameters:
    """How a container wants to be asked; None for what it does not say."""

    max_concurrent_transforms: int | None = None
    max_payload_in_mb: int | None = None


class Client:
    """Sends requests, from any thread, each on a connection of its own that stays open.

    Args:
        port: of the server.
        headers: of each request.
        timeout: seconds for an answer.
        max_retries: how often a request is repeated that was not answered, or with a status of 500 or more.
        check_alive: raises when it makes no sense to ask again.
    """

    def __init__(
        self,
        port: int,
        headers: Mapping[str, str],
        timeout: float,
        max_retries: int,
        check_alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._port = port
        self._headers = dict(headers)
        self._timeout = timeout
        self._max_retries = max_retries
        self._check_alive = check_alive
        self._of_thread = threading.local()
        self._connections: list[HTTPConnection] = []

    def close(self) -> None:
        """Close all connections; nobody may be asking any more."""
        for connection in self._connections:
            connection.close()

    def invoke(self, body: bytes) -> bytes:
        """The answer to a request.

        Raises:
            InvocationError: it is an error, and so were all repetitions.
            Exception: what `check_alive` raises.
        """
        pause = FIRST_PAUSE_SECONDS
        for _ in range(self._max_retries):
            try:
                return self._invoke_once(body)
            except InvocationError as error:
                if error.is_users:
                    raise
            self._check_alive()
            time.sleep(pause)
            pause *= 2
        try:
            return self._invoke_once(body)
        except InvocationError:
            self._check_alive()
            raise

    def execution_parameters(self) -> ExecutionParameters:
        """What GET /execution-parameters says; a container need not have it.

        Raises:
            InvocationError: there is no answer, or it is no JSON object of such parameters.
        """
        status, body = self._ask("GET", "/execution-parameters", b"")
        if status == 404:
            return ExecutionParameters()
        try:
            values = {str(name): value for name, value in json.loads(body).items()}
            concurrent, payload = (values.get(name) for name in ("MaxConcurrentTransforms", "MaxPayloadInMB"))
            return ExecutionParameters(
                None if concurrent is None else int(concurrent), None if payload is None else int(payload)
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise InvocationError(status, f"/execution-parameters cannot be understood: {error}") from error

    def _invoke_once(self, body: bytes) -> bytes:
        status, answer = self._ask("POST", "/invocations", body)
        if status != 200:
            raise InvocationError(status, _message(answer))
        return answer

    def _ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        connection = self._connection()
        try:
            connection.request(method, path, body, self._headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException) as error:
            connection.close()  # the next request opens it again
            raise InvocationError(None, f"there was no answer: {error or type(error).__name__}") from error

    def _connection(self) -> HTTPConnection:
        connection: HTTPConnection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = HTTPConnection(HOST, self._port, timeout=self._timeout)
            self._connections.append(connection)
        return connection


def _message(answer: bytes) -> str:
    """The text of an error, which the server has in JSON."""
    text = answer.decode("utf-8", "replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, TypeError, KeyError):
        return text
