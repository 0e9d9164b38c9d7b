"""Connects this process to a Ray cluster, or says in words why not."""

import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from urllib.parse import urlsplit

from imclass.errors import UserError

CONNECT_SECONDS = 10.0
WORDS = ("auto", "local")


def connected(address: str, namespace: str | None = None) -> ModuleType:
    """The module ray, connected to a cluster; its `shutdown` ends the connection.

    Args:
        address: of the cluster's head, HOST:PORT; auto for the one that this machine belongs to; local for a new one on
            this machine alone.
        namespace: in which names of actors are looked for.

    Raises:
        UserError: Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError("a cluster needs the package ray", where="ray", fix="pip install 'imclass[ray]'") from error
    try:
        if address not in WORDS:
            check_head(address)
        with own_handler(signal.SIGTERM):
            ray.init(address=address, namespace=namespace, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"there is no Ray cluster: {str(error).splitlines()[0]}",
            where=f"ray {address}",
            fix="Start one with: ray start --head",
        ) from error
    module: ModuleType = ray
    return module


@contextmanager
def own_handler(number: signal.Signals) -> Iterator[None]:
    """Keep this process's handler of a signal, of which Ray makes the end of the process with a status of its own."""
    before = signal.getsignal(number)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(number, before)


def check_head(address: str) -> None:
    """Find out quickly that nobody listens at HOST:PORT; Ray itself would try for many minutes.

    Raises:
        OSError: nobody does.
        ValueError: the address is neither HOST:PORT nor one of Ray's words.
    """
    parts = urlsplit(f"//{address}")
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"{address!r} is not HOST:PORT, auto or local")
    socket.create_connection((parts.hostname, parts.port), CONNECT_SECONDS).close()
