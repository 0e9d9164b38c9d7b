"""Sockets, TLS and signals: the application as a process."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from imclass.address import BACKLOG, Address, is_loopback
from imclass.errors import UserError
from imclass.inference.serving.models import Models
from imclass.inference.serving.protocol import DeadlineProtocol

logger = logging.getLogger(__name__)

STOP_SECONDS = 27
"""For answering what was accepted before SIGTERM. SageMaker kills the process after 30 seconds."""
GIVE_UP_SECONDS = 20.0
"""After which requests that still wait for the model get 503, so that each gets an answer."""
KEEP_ALIVE_SECONDS = 75
"""How long a connection may be idle: longer than load balancers keep theirs, so that they are the ones to close it."""
LINGER_SECONDS = 0.2
"""For requests that were on their way when the stop was asked for."""


def check_exposure(address: Address, *, has_token: bool, insecure_public: bool) -> None:
    """Check that a server that others can reach is protected.

    Raises:
        UserError: it is not, and the user has not said that this is meant.
    """
    if insecure_public or has_token or address.certificate is not None or is_loopback(address.host):
        return
    raise UserError(
        f"{address.host} can be reached from other machines, and anyone there could use the server",
        where="host",
        fix="Give a --token-file or --tls-certificate with --tls-key, or say --insecure-public if this is meant.",
    )


def check_tls(certificate: Path | None, key: Path | None) -> None:
    """Check that the files of TLS belong together.

    Raises:
        UserError: one is missing, cannot be read or does not fit the other.
    """
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        raise UserError("TLS needs a certificate and its key", fix="Give --tls-certificate and --tls-key.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        raise UserError(
            f"the certificate and its key cannot be used: {error}",
            where=f"{certificate}, {key}",
            fix="Give PEM files that belong together, the key without a passphrase.",
        ) from error


def _no_password() -> str:
    raise UserError("the key has a passphrase", where="--tls-key", fix="Give a key without one.")


def read_token(path: Path) -> str:
    """The bearer token in a file.

    Raises:
        UserError: the file cannot be read, or has no token of printable ASCII on its only line.
    """
    try:
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the token cannot be read: {error}", where=str(path)) from error
    if not token or not token.isprintable() or " " in token:
        raise UserError("the file holds no token", where=str(path), fix="Write one line of printable characters.")
    return token


class _Server(uvicorn.Server):
    """A server that answers what it has accepted before it ends.

    Args:
        on_stop: called on the event loop when the server begins to stop.
    """

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        for server in self.servers:
            server.close()
        await asyncio.sleep(LINGER_SECONDS)
        await super().shutdown(sockets)


class _AdminServer(uvicorn.Server):
    """A second server of the process, which leaves signals to the first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_server(application: ASGIApp, address: Address, models: Models) -> uvicorn.Server:
    """A server for the application of some models, which answers what was accepted before it ends."""

    def begin_to_stop() -> None:
        logger.info("stopping; what was accepted is answered first")
        models.is_stopping = True
        asyncio.get_running_loop().call_later(GIVE_UP_SECONDS, models.give_up)

    return _Server(_config(application, address), begin_to_stop)


class Process:
    """Serves an application, and perhaps its administration, until SIGTERM or Ctrl-C.

    Args:
        models: of the application.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._server: uvicorn.Server | None = None
        self._has_failed = False

    def fail(self) -> None:
        """Stop because of a fault of ours; `run` will say so."""
        self._has_failed = True
        assert self._server is not None
        self._server.should_exit = True

    def run(
        self,
        application: ASGIApp,
        address: Address,
        opened: socket.socket,
        admin: tuple[ASGIApp, socket.socket] | None = None,
    ) -> None:
        """Serve until a signal comes, then answer what was accepted, and raise the signal again.

        Args:
            opened: bound to the address.
            admin: a second application with its socket.

        Raises:
            RuntimeError: a model does not work.
        """
        self._server = make_server(application, address, self._models)
        opened.listen(BACKLOG)  # so that whoever reads the next line can connect
        # Port 0 has become a real one by now.
        logger.info("listening on %s", replace(address, port=opened.getsockname()[1]).url)
        if admin is not None:
            logger.info("administration on http://127.0.0.1:%d", admin[1].getsockname()[1])
        with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
            runner.run(_serve(self._server, opened, admin))
        if self._has_failed:
            raise RuntimeError("a model does not work, see above")


async def _serve(server: uvicorn.Server, opened: socket.socket, admin: tuple[ASGIApp, socket.socket] | None) -> None:
    if admin is None:
        await server.serve([opened])
        return
    admin_server = _AdminServer(_config(admin[0], None))
    beside = asyncio.create_task(admin_server.serve([admin[1]]))
    try:
        await server.serve([opened])
    finally:
        admin_server.should_exit = True
        await beside


def _config(application: ASGIApp, address: Address | None) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=DeadlineProtocol,
        ws="none",
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        proxy_headers=False,
        lifespan="on" if address is not None else "off",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        ssl_certfile=address.certificate if address else None,
        ssl_keyfile=address.key if address else None,
    )
