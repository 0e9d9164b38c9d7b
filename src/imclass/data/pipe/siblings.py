"""Unix sockets between the process of a host that reads a pipe and the others, which get their samples from it.

Only one process can read a FIFO. The first of a host does so and listens on a socket in a folder of its own that nobody
else may enter; the others connect anew for each pass. `imclass.data.pipe.messages` shows the bytes. A process that does
not keep up stops the reader through the socket's own bound; every wait has a deadline.
"""

import select
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from imclass.data.pipe.fifo import STOP_SECONDS, WaitGivenUp
from imclass.data.pipe.messages import BODY_LIMIT, HEAD, Kind, alive_message
from imclass.errors import DataError

GREETING = struct.Struct("<II")  # local rank, number of the pass
ALIVE_SECONDS = 10.0
READ_PIECE = 1 << 20

GivesUp = Callable[[], bool]


class Listener:
    """Where the other processes of the host find the one that reads the pipe."""

    def __init__(self, siblings: int, deadline_seconds: float) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="imclass-")
        self.address = str(Path(self._folder.name) / "pipe")
        self._siblings = siblings
        self._deadline_seconds = deadline_seconds
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(self.address)
        except OSError as error:
            self.close()
            raise DataError(
                f"no socket can be made: {error}", where=self.address, fix="Set TMPDIR to a folder with a short path."
            ) from error
        self._socket.listen(2 * siblings)

    def outlets(self, number: int, gives_up: GivesUp) -> "Outlets":
        """Wait until all other processes of the host have come for pass `number`.

        Raises:
            RuntimeError: they do not come before the deadline.
            WaitGivenUp: the pass is not wanted any more.
        """
        connections: dict[int, socket.socket] = {}
        until = time.monotonic() + self._deadline_seconds
        try:
            while len(connections) < self._siblings:
                wait_readable(self._socket, until, gives_up, "processes of this host that train on the same pipe")
                connection, _ = self._socket.accept()
                connection.settimeout(self._deadline_seconds)
                local_rank, asked = GREETING.unpack(_receive(connection, GREETING.size, until, gives_up))
                if asked == number:
                    connections[local_rank] = connection
                else:  # left over from a pass that was given up
                    connection.close()
        except BaseException:
            for connection in connections.values():
                connection.close()
            raise
        return Outlets(connections)

    def close(self) -> None:
        """Close the socket and remove its folder."""
        self._socket.close()
        self._folder.cleanup()


class Outlets:
    """The connections of one pass from the process that reads to the others, by local rank."""

    def __init__(self, connections: dict[int, socket.socket]) -> None:
        self._connections = connections
        self._last_sent = time.monotonic()

    def send(self, local_rank: int, message: bytes) -> None:
        """Send a message.

        Raises:
            RuntimeError: the other process has ended, or takes nothing until the deadline.
        """
        try:
            self._connections[local_rank].sendall(message)
        except OSError as error:
            raise RuntimeError(f"process {local_rank} of this host takes no samples any more: {error}") from error

    def send_all(self, message: bytes) -> None:
        """Send a message to all."""
        for local_rank in self._connections:
            self.send(local_rank, message)
        self._last_sent = time.monotonic()

    def keep_alive(self) -> None:
        """Show the others now and then that the reader lives, also while it has nothing for them."""
        if time.monotonic() - self._last_sent > ALIVE_SECONDS:
            self.send_all(alive_message())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection in self._connections.values():
            connection.close()


class Inlet:
    """The connection of one pass to the process that reads.

    Raises:
        RuntimeError: the process that reads does not answer before the deadline, or has ended.
        WaitGivenUp: the pass is not wanted any more.
    """

    def __init__(self, address: str, local_rank: int, number: int, deadline_seconds: float, gives_up: GivesUp) -> None:
        self._deadline_seconds = deadline_seconds
        self._gives_up = gives_up
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(deadline_seconds)
        try:
            self._socket.connect(address)
            self._socket.sendall(GREETING.pack(local_rank, number))
        except OSError as error:
            self._socket.close()
            raise RuntimeError(f"the process that reads the pipe cannot be reached: {error}") from error

    def receive(self) -> tuple[Kind, int, bytes]:
        """Wait for the next message: its kind, its number of samples, its body."""
        until = time.monotonic() + self._deadline_seconds
        kind, samples, body_bytes = HEAD.unpack(_receive(self._socket, HEAD.size, until, self._gives_up))
        if body_bytes > BODY_LIMIT:
            raise RuntimeError(f"a message of {body_bytes} bytes")
        return Kind(kind), samples, _receive(self._socket, body_bytes, until, self._gives_up)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()


def _receive(connection: socket.socket, count: int, until: float, gives_up: GivesUp) -> bytes:
    pieces: list[bytes] = []
    while count > 0:
        wait_readable(connection, until, gives_up, "the process that reads the pipe")
        piece = connection.recv(min(count, READ_PIECE))
        if not piece:
            raise RuntimeError("the process at the other end of the socket has ended")
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def wait_readable(connection: socket.socket, until: float, gives_up: GivesUp, whom: str) -> None:
    """Wait until a socket has something to read.

    Raises:
        RuntimeError: nothing came until the monotonic clock showed `until`.
        WaitGivenUp: `gives_up` answered yes.
    """
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    while not poll.poll(STOP_SECONDS * 1000):
        if gives_up():
            raise WaitGivenUp
        if time.monotonic() > until:
            raise RuntimeError(f"nothing came in time from {whom}")
