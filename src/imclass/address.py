"""Where a server listens."""

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

from imclass.errors import UserError

BACKLOG = 2048
"""Connections that may wait until they are accepted."""


@dataclass(frozen=True)
class Address:
    """Where to listen, and how.

    Attributes:
        host: name or address.
        port: 0 for any that is free.
        certificate: PEM file of the certificate chain, or None for plain HTTP.
        key: PEM file of its private key.
    """

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    @property
    def url(self) -> str:
        """For people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name other than localhost counts as public."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listening_socket(address: Address) -> socket.socket:
    """A socket bound to the address, which nobody else has, to be closed by the caller.

    Raises:
        UserError: the port is taken, or the address is not one of this machine.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(place)
        except OSError:
            opened.close()
            raise
    except OSError as error:
        raise UserError(
            f"cannot listen on {address.host} port {address.port}: {error.strerror or error}",
            where="port",
            fix="Stop what uses it, or choose another with --port and --host.",
        ) from error
    return opened
