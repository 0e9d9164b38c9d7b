"""A connection between two hosts that notices when the other one is gone.

Each message is one line of JSON, at most 256 KiB with its line end::

    {"kind": "alive"}                                   every 2 seconds, from both ends
    {"kind": "here", "host": "algo-2", "processes": 8}  first message to the leader
    {"kind": "begin", "address": "10.0.0.1", "port": 42424}   the leader's, once all hosts are here
    {"kind": "failed", "failure": {...}}                this host, or one that the leader heard of, has failed
    {"kind": "done"}                                    this host has nothing more to say

A host that sends nothing for 20 seconds, or ends the connection without a last word, is lost.
"""

import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

LARGEST_MESSAGE = 256 << 10
ALIVE_SECONDS = 2.0
SILENCE_SECONDS = 20.0
LAST_WORDS = frozenset({"failed", "done"})

Message = Mapping[str, object]


class Link:
    """One end of a connection.

    Args:
        connection: connected; closed by `close`.
        host: the name of the other end.
        on_message: gets each message, on a thread of the link.
        on_loss: is told once, in words, when the other end is gone without a last word.
        silence_seconds: after which it counts as gone.
    """

    def __init__(
        self,
        connection: socket.socket,
        host: str,
        *,
        on_message: Callable[["Link", Message], None],
        on_loss: Callable[["Link", str], None],
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self.host = host
        self._connection = connection
        self._on_message = on_message
        self._on_loss = on_loss
        self._silence_seconds = silence_seconds
        self._sends = threading.Lock()
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._keep_alive)]
        connection.settimeout(silence_seconds)

    def start(self) -> None:
        """Begin to read, and to say that this end is alive."""
        for thread in self._threads:
            thread.start()

    def send(self, kind: str, **values: object) -> None:
        """Send a message; one that cannot be sent is dropped, because then reading fails as well and tells of it."""
        line = json.dumps({"kind": kind, **values}).encode() + b"\n"
        try:
            with self._sends:
                self._connection.sendall(line)
        except OSError as error:
            log.debug("%s cannot be told: %s", self.host, error)

    def close(self) -> None:
        """End the connection and both threads."""
        self._closed.set()
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError as error:  # the other end was quicker
            log.debug("%s: %s", self.host, error)
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(self._silence_seconds)
        self._connection.close()

    def _keep_alive(self) -> None:
        while not self._closed.wait(min(ALIVE_SECONDS, self._silence_seconds / 4)):
            self.send("alive")

    def _read(self) -> None:
        loss = self._read_messages()
        if loss and not self._closed.is_set():
            self._on_loss(self, loss)

    def _read_messages(self) -> str:
        """Pass messages on until a last word; else say how the connection ended."""
        try:
            with self._connection.makefile("rb") as lines:
                while line := lines.readline(LARGEST_MESSAGE + 1):
                    message = read_message(line)
                    if message["kind"] != "alive":
                        self._on_message(self, message)
                    if message["kind"] in LAST_WORDS:
                        return ""
        except TimeoutError:
            return f"it has sent nothing for {self._silence_seconds:g} seconds"
        except OSError as error:
            return f"the connection to it broke: {error.strerror or error}"
        except (ValueError, KeyError, TypeError) as error:
            return f"it sent something that is no message: {error}"
        return "it ended without a word"


def read_message(line: bytes) -> Message:
    """One line as a message.

    Raises:
        ValueError: it is none.
    """
    if not line.endswith(b"\n"):
        raise ValueError("a line that does not end")
    message = json.loads(line)
    if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise ValueError("no object with a kind")
    return message
