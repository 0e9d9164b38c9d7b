"""MLflow's own server on this machine, and a line to it that can be cut."""

import os
import selectors
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 120.0
SILENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


@contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[str]:
    """The address of a server that keeps everything in a folder, while the block runs."""
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = [
        "--backend-store-uri",
        f"sqlite:///{folder}/runs.sqlite",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    # Its jobs are none of what is tested, and need one more package.
    environment = {**os.environ, **SILENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *stores], env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, process_group=0
        )
    try:
        _wait_until_it_answers(address, process, folder / "server.log")
        yield address
    finally:
        os.killpg(process.pid, 9)
        process.wait(30)


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


class Line:
    """A port that leads to another one, until it is cut; then connections are refused, as those to a dead server."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.join()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def join(self) -> None:
        """Let connections through, at the same port as before."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._stop.clear()
        self._thread = threading.Thread(target=self._carry, args=(listener,))
        self._thread.start()

    def cut(self) -> None:
        """End all connections, and take no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(30)

    def _carry(self, listener: socket.socket) -> None:
        others: dict[socket.socket, socket.socket] = {}
        with selectors.DefaultSelector() as selector, listener:
            selector.register(listener, selectors.EVENT_READ)
            while not self._stop.is_set():
                for key, _ in selector.select(0.02):
                    if key.fileobj is listener:
                        near, far = listener.accept()[0], socket.create_connection(("127.0.0.1", self.target))
                        others |= {near: far, far: near}
                        for end in (near, far):
                            selector.register(end, selectors.EVENT_READ)
                    elif (end := key.fileobj) in others:
                        self._pass_on(end, others, selector)  # type: ignore[arg-type]
            for end in others:
                end.close()

    @staticmethod
    def _pass_on(
        end: socket.socket, others: dict[socket.socket, socket.socket], selector: selectors.BaseSelector
    ) -> None:
        data = end.recv(65536)
        if data:
            others[end].sendall(data)
            return
        for one in (end, others[end]):
            selector.unregister(one)
            del others[one]
            one.close()
