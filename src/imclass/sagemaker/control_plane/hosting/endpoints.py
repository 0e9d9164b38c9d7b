"""All endpoints, kept by one thread with an event loop of its own, so that requests do not wait for what it does."""

import asyncio
import logging
import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress

from imclass.sagemaker.control_plane.hosting.documents import (
    ALL,
    CREATING,
    DELETING,
    ENDPOINT,
    IN_SERVICE,
    OUT_OF_SERVICE,
)
from imclass.sagemaker.control_plane.hosting.endpoint_run import EndpointRun
from imclass.sagemaker.control_plane.hosting.fleet import HostingPlaces
from imclass.sagemaker.control_plane.hosting.routing import Router
from imclass.sagemaker.control_plane.store.state import Document, MissingError

log = logging.getLogger(__name__)

JOIN_SECONDS = 60.0


class Endpoints:
    """The endpoints of the state; for any thread.

    Server processes are children of the thread, and the kernel ends them with it: however the control plane ends, none
    is left behind.

    Attributes:
        router: knows where requests go.
    """

    def __init__(self, places: HostingPlaces) -> None:
        self.router = Router()
        self._places = places
        self._runs: dict[str, tuple[EndpointRun, asyncio.Task[None]]] = {}
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._work, name="endpoints", daemon=True)

    def start(self) -> None:
        """Bring back the endpoints that the state has."""
        for document in self._documents(IN_SERVICE):
            with self._places.state.changing(ENDPOINT, document["EndpointName"]) as changed:
                changed["status"] = OUT_OF_SERVICE
        self._remove_left_over()
        self._thread.start()
        if not self._is_up.wait(JOIN_SECONDS):
            raise RuntimeError("the thread of the endpoints does not work, see above")

    def wake(self, name: str) -> None:
        """Do what the state asks for of an endpoint; it may be new there."""
        self._loop.call_soon_threadsafe(self._wake, name)

    def healthy_counts(self, name: str) -> Mapping[str, int]:
        """How many instances of an endpoint answer, by variant name."""
        run = self._runs.get(name)
        return {} if run is None else run[0].healthy_counts

    def close(self) -> None:
        """End all server processes; the next server with the same state starts them again."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(JOIN_SECONDS)
        if self._thread.is_alive():
            log.warning("Some endpoints have not ended; their processes are killed with this one")

    def _work(self) -> None:
        asyncio.run(self._keep())

    async def _keep(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        for document in self._documents(*ALL):
            self._wake(document["EndpointName"])
        self._is_up.set()
        await self._closing.wait()
        tasks = [task for _, task in self._runs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wake(self, name: str) -> None:
        if name not in self._runs:
            run = EndpointRun(name, self._places, self.router)
            task = asyncio.create_task(run.run())
            self._runs[name] = run, task
            task.add_done_callback(lambda _: self._ended(name))
        self._runs[name][0].wake()

    def _ended(self, name: str) -> None:
        """Forget a run; what was asked for while it ended, another does."""
        del self._runs[name]
        if not self._closing.is_set():
            with suppress(MissingError):
                if self._places.state.get(ENDPOINT, name)["status"] in (CREATING, DELETING):
                    self._wake(name)

    def _remove_left_over(self) -> None:
        """Remove the folders of endpoints that are no more."""
        names = {document["EndpointName"] for document in self._documents(*ALL)}
        if self._places.folder.is_dir():
            for folder in self._places.folder.iterdir():
                if folder.name not in names:
                    shutil.rmtree(folder, ignore_errors=True)

    def _documents(self, *statuses: str) -> list[Document]:
        return [each for status in statuses for each in self._places.state.of_status(ENDPOINT, status)]
