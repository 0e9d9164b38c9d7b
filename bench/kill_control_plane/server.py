"""A control plane that is killed and started again, always at the same address."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

START_SECONDS = 120.0
STOP_SECONDS = 60.0
LISTENING = re.compile(r"listening on (http://\S+)")


class Server:
    """One data folder, and the process that works on it.

    Args:
        data: the folder.
        options: of the command, more than address and folder.
    """

    def __init__(self, data: Path, *options: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._data = data
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._started = 0.0
        self.kills = 0
        self.is_there = threading.Event()

    @property
    def seconds_up(self) -> float:
        """Since the last start."""
        return time.monotonic() - self._started

    def start(self) -> float:
        """Start it and wait until it listens; returns the seconds that this took.

        Raises:
            RuntimeError: it ended, or did not listen in time.
        """
        began = time.monotonic()
        self._starts += 1
        log = self._data / f"server-{self._starts}.log"
        command = [sys.executable, "-m", "imclass", "control-plane", "--port", str(self._port)]
        with log.open("wb") as output:
            self._process = subprocess.Popen([*command, "--data", str(self._data), *self._options], stderr=output)
        while LISTENING.search(log.read_text()) is None:
            if self._process.poll() is not None or time.monotonic() - began > START_SECONDS:
                raise RuntimeError(f"the control plane does not start:\n{log.read_text()}")
            time.sleep(0.02)
        self._started = time.monotonic()
        self.is_there.set()
        return self._started - began

    def kill(self) -> None:
        """End it as a power failure would, its jobs not included."""
        self.kills += 1
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it as `systemctl stop` would; returns the exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self.is_there.clear()
        self._process.send_signal(number)
        return self._process.wait(STOP_SECONDS)

    def tracebacks(self) -> list[str]:
        """Logs that tell of faults of the server's own."""
        logs = [self._data / f"server-{start}.log" for start in range(1, self._starts + 1)]
        return [f"{log.name} has a traceback" for log in logs if "Traceback" in log.read_text()]

    def client(self, service: str) -> Any:
        """Of boto3, which asks once: what a kill does to a request is to be seen."""
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self._port}",
            region_name="us-east-1",
            aws_access_key_id="nobody",
            aws_secret_access_key="nothing",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=70),
        )

    def processes(self) -> list[str]:
        """Command lines of the processes on this machine that work in the data folder."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                facts = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it has ended, or is somebody else's
                continue
            if os.fsencode(self._data) in facts and int(folder.name) != os.getpid():
                found.append(f"{folder.name}: {command}")
        return found
