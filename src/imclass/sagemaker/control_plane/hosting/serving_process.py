"""One server process of the container's contract, `serve`, from its start to its end.

The process has a folder in place of /opt/ml, and listens on a port of the loopback interface that it chooses itself and
tells in its log. It answers nobody who does not bear its token. It ends, whatever happens, with the thread that has
started it: the kernel sees to that.
"""

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from imclass.sagemaker.control_plane.hosting import http_client
from imclass.sagemaker.control_plane.keeper import end_group
from imclass.sagemaker.control_plane.log_files import LONGEST_MESSAGE, LogWriter

log = logging.getLogger(__name__)

LISTENING = re.compile(rb"listening on http://127\.0\.0\.1:(\d{1,5})\b")
LOOK_AGAIN_SECONDS = 0.05
PING_SECONDS = 5.0  # between two
PONG_SECONDS = 2.0  # for the answer
MOST_LOST_PINGS = 6
"""After so many in a row the process is given up. Machines that are busy train jobs beside their endpoints."""
STOP_SECONDS = 30.0
"""From SIGTERM to SIGKILL, as AWS has it for endpoints."""
LAST_WORDS_SECONDS = 1.0
"""For what a process that has ended wrote last, and is on its way."""
REMEMBERED_LINES = 5


class UnhealthyError(Exception):
    """A process has ended, or does not answer; the message says how."""


class ServingProcess:
    """A process; to be made and used in a thread that outlives it, apart from `pool`.

    Args:
        environment: all of it.
        log_file: where its output goes.
        token: that requests must bear.

    Attributes:
        token: likewise.
        pool: connections to it, once it is healthy; for the event loop that sends requests.
    """

    def __init__(self, environment: Mapping[str, str], log_file: Path, token: str) -> None:
        self.token = token
        self.pool: http_client.Pool | None = None
        self._port: int | None = None
        self._is_over = False
        self._last_lines: deque[str] = deque(maxlen=REMEMBERED_LINES)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "imclass.sagemaker.control_plane.contained", "serve", str(os.getpid())],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout, log_file), daemon=True)
        self._reader.start()

    def _read(self, output: IO[bytes], log_file: Path) -> None:
        """Write each line of output to the log, and find out the port."""
        with output, LogWriter(log_file) as writer:
            while line := output.readline(LONGEST_MESSAGE):
                writer.write(line)
                self._last_lines.append(line.decode("utf-8", "replace").rstrip())
                if self._port is None and (found := LISTENING.search(line)):
                    self._port = int(found[1])

    async def until_healthy(self, seconds: float) -> None:
        """Wait for the first good answer to a ping.

        Raises:
            UnhealthyError: the process has ended, or takes longer.
        """
        deadline = time.monotonic() + seconds
        while not await self._is_healthy():
            self._check_running()
            if time.monotonic() > deadline:
                raise UnhealthyError(f"It was not healthy within {seconds:g} seconds.{self._last_words()}")
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        assert self._port is not None
        self.pool = http_client.Pool(self._port)

    async def until_unhealthy(self) -> None:
        """Watch a healthy process for ever.

        Raises:
            UnhealthyError: it has ended, or does not answer any more.
        """
        asked, lost = time.monotonic(), 0
        while True:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            self._check_running()
            if time.monotonic() - asked > PING_SECONDS:
                lost = 0 if await self._is_healthy() else lost + 1
                asked = time.monotonic()
            if lost == MOST_LOST_PINGS:
                raise UnhealthyError(f"It has not answered {lost} pings.{self._last_words()}")

    async def _is_healthy(self) -> bool:
        if self._port is None:
            return False
        try:
            async with asyncio.timeout(PONG_SECONDS):
                return (await http_client.get(self._port, "/ping")).status == 200
        except (http_client.ServerGoneError, TimeoutError):
            return False

    def _check_running(self) -> None:
        status = self._process.poll()
        if status is not None:
            self._reader.join(LAST_WORDS_SECONDS)
            how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
            raise UnhealthyError(f"It {how}.{self._last_words()}")

    def _last_words(self) -> str:
        return " ".join([" Its last words:", *self._last_lines]) if self._last_lines else ""

    async def end(self) -> None:
        """Let the process answer what it has accepted, and end it and all that it has started."""
        if self._is_over:  # its number may be another's by now
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        if not self._is_over:
            self._is_over = True
            end_group(self._process)
