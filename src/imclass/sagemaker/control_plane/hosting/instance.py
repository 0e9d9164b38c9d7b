"""One instance of a variant: a server process that is started again, with growing pauses, when it fails."""

import asyncio
import logging
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from imclass.sagemaker.control_plane.hosting.serving_process import ServingProcess, UnhealthyError

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""Who was healthy for so long begins with the first pause again."""
DRAIN_SECONDS = 65.0
"""For the requests that it has: a little more than one may take."""
LOOK_AGAIN_SECONDS = 0.02

Launch = Callable[["Instance"], ServingProcess]
"""Starts the process of an instance."""


class Instance:
    """A server that is kept going.

    Args:
        folder: of its own; made by whoever launches it.
        startup_seconds: within which a process must be healthy.
        on_change: called whenever `process` has changed.

    Attributes:
        id: such as i-0a1b2c3d4e5f60718.
        process: that answers requests; None while there is none. Other threads read it.
        requests: that are being answered now; counted by the router under its lock.
    """

    def __init__(self, folder: Path, startup_seconds: float, launch: Launch, on_change: Callable[[], None]) -> None:
        self.id = f"i-{secrets.token_hex(9)[:17]}"
        self.folder = folder / self.id
        self.process: ServingProcess | None = None
        self.requests = 0
        self._startup_seconds = startup_seconds
        self._launch = launch
        self._on_change = on_change
        self._launched: ServingProcess | None = None

    async def start(self) -> None:
        """Start the process, and wait until it is healthy.

        Raises:
            UnhealthyError: it does not get so far; it is ended then.
        """
        try:
            self._launched = self._launch(self)
        except OSError as error:
            raise UnhealthyError(f"It cannot be started: {error}") from error
        try:
            await self._launched.until_healthy(self._startup_seconds)
        except UnhealthyError:
            await self._launched.end()
            raise
        self._set(self._launched)

    async def keep(self) -> None:
        """Keep the process going until cancelled; start it first when it was not started."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = time.monotonic()
            try:
                if self.process is None:
                    await self.start()
                    began = time.monotonic()
                assert self.process is not None
                await self.process.until_unhealthy()
            except UnhealthyError as error:
                log.warning("The instance %s is not healthy. %s", self.id, error)
            failed, self.process = self.process, None
            self._on_change()
            if failed is not None:
                await failed.end()
                if time.monotonic() - began > STEADY_SECONDS:
                    pause = FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def drain(self) -> None:
        """Wait until the last request is answered; nobody sends new ones."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.requests and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def end(self) -> None:
        """End the process, if there is one, and remove its folder; nobody keeps it any more."""
        self._set(None)
        if self._launched is not None:
            await self._launched.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _set(self, process: ServingProcess | None) -> None:
        self.process = process
        self._on_change()
