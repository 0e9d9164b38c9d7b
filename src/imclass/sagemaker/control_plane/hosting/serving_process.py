"""One server process of the container's contract, `serve`, from its start to its end.

The process has a folder in place of /opt/ml, and answers nobody who does not bear its token.
"""

import asyncio
import signal
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from imclass.sagemaker.control_plane.hosting import http_client
from imclass.sagemaker.control_plane.jobs.server_process import LOOK_AGAIN_SECONDS, STOP_SECONDS, ServerProcess
from imclass.sagemaker.control_plane.store.log_files import LogWriter

PING_SECONDS = 5.0  # between two
PONG_SECONDS = 2.0  # for the answer
MOST_LOST_PINGS = 6
"""After so many in a row the process is given up. Machines that are busy train jobs beside their endpoints."""


class UnhealthyError(Exception):
    """A process has ended, or does not answer; the message says how."""


class ServingProcess(ServerProcess):
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
        super().__init__(environment, partial(LogWriter, log_file))
        self.token = token
        self.pool: http_client.Pool | None = None
        self._is_over = False

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
        assert self.port is not None
        self.pool = http_client.Pool(self.port)

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
        if self.port is None:
            return False
        try:
            async with asyncio.timeout(PONG_SECONDS):
                return (await http_client.get(self.port, "/ping")).status == 200
        except (http_client.ServerGoneError, TimeoutError):
            return False

    def _check_running(self) -> None:
        status = self.status
        if status is not None:
            how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
            raise UnhealthyError(f"It {how}.{self._last_words()}")

    def _last_words(self) -> str:
        return " ".join([" Its last words:", *self.last_lines]) if self.last_lines else ""

    async def end(self) -> None:
        """Let the process answer what it has accepted, and end it and all that it has started."""
        if self._is_over:  # its number may be another's by now
            return
        self.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while not self.has_ended and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        if not self._is_over:
            self._is_over = True
            self.kill()
