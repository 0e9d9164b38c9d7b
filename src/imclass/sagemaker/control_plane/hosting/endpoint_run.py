"""One endpoint, from its creation to its deletion.

What is wanted is in the state at any moment, and so another run goes on there after a restart. A run looks at it
whenever something changes, and does the next thing: start what is pending, send requests to it when it is healthy, and
only then end what answered before.
"""

import asyncio
import logging
import shutil
from collections.abc import Coroutine, Mapping
from typing import Any

from imclass.sagemaker.control_plane.hosting.data_capture import DataCapture
from imclass.sagemaker.control_plane.hosting.deployment import Capture, Deployment
from imclass.sagemaker.control_plane.hosting.documents import (
    CHANGEABLE,
    CREATING,
    DELETING,
    ENDPOINT,
    FAILED,
    IN_SERVICE,
    OUT_OF_SERVICE,
    UPDATING,
    arrive,
    deployment_of,
    give_up,
)
from imclass.sagemaker.control_plane.hosting.fleet import INSTANCES, DeploymentFailedError, Fleet, HostingPlaces
from imclass.sagemaker.control_plane.hosting.routing import Route, RoutedVariant, Router
from imclass.sagemaker.control_plane.jobs.failure_reasons import OUR_FAULT
from imclass.sagemaker.control_plane.store.state import Document

log = logging.getLogger(__name__)

CAPTURE_SECONDS = 2.0


class EndpointRun:
    """An endpoint at work; for one event loop, apart from `healthy_counts`.

    Args:
        router: which is told where its requests go.
    """

    def __init__(self, name: str, places: HostingPlaces, router: Router) -> None:
        self._name = name
        self._places = places
        self._router = router
        self._folder = places.folder / name
        self._changed = asyncio.Event()
        self._fleet: Fleet | None = None
        self._fleets: list[Fleet] = []  # all that may have processes
        self._coming: asyncio.Task[Fleet] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._captures: dict[Capture, DataCapture] = {}

    def wake(self) -> None:
        """Look at the state: something has changed there."""
        self._changed.set()

    @property
    def healthy_counts(self) -> Mapping[str, int]:
        """How many instances answer, by variant name; for any thread."""
        fleet = self._fleet
        return {} if fleet is None else fleet.healthy_counts

    async def run(self) -> None:
        """Do what the state asks for until the endpoint is deleted, or this is cancelled, which ends its processes."""
        capturing = asyncio.create_task(self._keep_writing_captures())
        try:
            await self._resume()
            while True:
                self._changed.clear()
                document = self._document
                if document["status"] == DELETING:
                    break
                self._advance(document)
                await self._changed.wait()
            await self._delete()
        except Exception:
            log.exception("The endpoint %s cannot be kept", self._name)
            self._set_status(FAILED, OUR_FAULT)
        finally:
            self._router.remove(self._name)
            await self._cancel([capturing, *([] if self._coming is None else [self._coming]), *self._leaving])
            await self._write_captures()
            await asyncio.gather(*(fleet.end_now() for fleet in self._fleets))

    async def _resume(self) -> None:
        """Start the instances that were there before a restart of the server."""
        document = self._document
        await asyncio.to_thread(self._remove_left_over, document)
        deployed = deployment_of(document, "deployed")
        if deployed is None or document["status"] in (DELETING, FAILED):
            return
        fleet = self._new_fleet(deployed)
        try:
            await fleet.resume()
        except DeploymentFailedError as error:
            self._set_status(FAILED, str(error))
            return
        self._fleet = fleet
        self._route(fleet)

    def _remove_left_over(self, document: Document) -> None:
        """Remove what is not needed any more, or belonged to processes that have ended with the server."""
        kept = {document[name]["id"] for name in ("deployed", "pending") if name in document}
        if self._folder.is_dir():
            for folder in self._folder.iterdir():
                if folder.name not in kept:
                    shutil.rmtree(folder, ignore_errors=True)
            for folder in self._folder.glob(f"*/*/{INSTANCES}"):
                shutil.rmtree(folder, ignore_errors=True)

    def _advance(self, document: Document) -> None:
        """Do the next thing."""
        pending = deployment_of(document, "pending")
        if self._coming is None and pending is not None and document["status"] in (CREATING, UPDATING):
            self._coming = self._started(self._deploy(pending))
        elif self._coming is not None and self._coming.done():
            coming, self._coming = self._coming, None
            self._settle(coming)
        self._show_health()

    async def _deploy(self, pending: Deployment) -> Fleet:
        """Start a deployment, or what it has more than that which runs."""
        if self._fleet is not None and self._fleet.deployment.id == pending.id:
            await self._fleet.scale(pending)
            return self._fleet
        fleet = self._new_fleet(pending)
        try:
            await fleet.start()
        except DeploymentFailedError:
            await self._end(fleet)
            raise
        return fleet

    def _new_fleet(self, deployment: Deployment) -> Fleet:
        fleet = Fleet(self._name, deployment, self._places, self.wake)
        self._fleets.append(fleet)
        return fleet

    async def _end(self, fleet: Fleet) -> None:
        """Let a fleet answer what it has, and remove what is left of it."""
        await fleet.end()
        await fleet.remove_folder()
        self._fleets.remove(fleet)

    def _settle(self, coming: asyncio.Task[Fleet]) -> None:
        """Send requests to what has come, and end what answered before; or tell why nothing has come."""
        try:
            fleet = coming.result()
        except Exception as error:
            is_known = isinstance(error, DeploymentFailedError)
            log.warning("The endpoint %s cannot be deployed: %s", self._name, error, exc_info=not is_known)
            with self._places.state.changing(ENDPOINT, self._name) as document:
                give_up(document, str(error) if is_known else OUR_FAULT)
            return
        old, self._fleet = self._fleet, fleet
        self._route(fleet)
        with self._places.state.changing(ENDPOINT, self._name) as document:
            arrive(document)
        log.info("The endpoint %s is in service", self._name)
        if old is not None:  # beside everything else
            leaving = self._started(fleet.shrink() if old is fleet else self._end(old))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._left)

    def _left(self, leaving: asyncio.Task[None]) -> None:
        self._leaving.remove(leaving)
        if not leaving.cancelled() and (error := leaving.exception()) is not None:
            log.error("Instances of %s have not ended as they should", self._name, exc_info=error)

    def _route(self, fleet: Fleet) -> None:
        """Send requests to a fleet, as its deployment says."""
        deployment = fleet.deployment
        variants = [RoutedVariant(each.name, each.weight, fleet.wanted(each)) for each in deployment.variants]
        self._router.set(self._name, Route(variants, self._capture_of(deployment.capture)))

    def _capture_of(self, settings: Capture | None) -> DataCapture | None:
        if settings is None:
            return None
        if settings not in self._captures:
            self._captures[settings] = DataCapture(self._name, settings, self._places.buckets)
        return self._captures[settings]

    async def _keep_writing_captures(self) -> None:
        """Bring what was captured to S3 now and then."""
        while True:
            await asyncio.sleep(CAPTURE_SECONDS)
            await self._write_captures()

    async def _write_captures(self) -> None:
        for capture in list(self._captures.values()):
            await asyncio.to_thread(capture.write)

    def _show_health(self) -> None:
        """Tell in the state whether an endpoint that should answer does."""
        status = IN_SERVICE if any(self.healthy_counts.values()) else OUT_OF_SERVICE
        if self._document["status"] in CHANGEABLE and self._document["status"] != status:
            with self._places.state.changing(ENDPOINT, self._name) as document:
                if document["status"] in CHANGEABLE:
                    document["status"] = status

    def _set_status(self, status: str, reason: str) -> None:
        with self._places.state.changing(ENDPOINT, self._name) as document:
            document |= {"status": status, "FailureReason": reason}

    async def _delete(self) -> None:
        """Answer what was accepted, end all processes, and forget the endpoint."""
        self._router.remove(self._name)
        await self._cancel([] if self._coming is None else [self._coming])
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await asyncio.gather(*(self._end(fleet) for fleet in list(self._fleets)))
        await self._write_captures()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        self._places.state.remove(ENDPOINT, self._name)

    def _started(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task at whose end the run looks at the state."""
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self.wake())
        return task

    async def _cancel(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _document(self) -> Document:
        return self._places.state.get(ENDPOINT, self._name)
