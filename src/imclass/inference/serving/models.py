"""The models that a server has, by name."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from http import HTTPStatus

from imclass.inference.serving.problems import RequestError
from imclass.inference.serving.service import ModelService

logger = logging.getLogger(__name__)


class Models:
    """Models that come and go while the server runs.

    Args:
        services: the first ones; they are started by `start`.
        removed: told the name of each model that is gone.
    """

    def __init__(self, services: list[ModelService], removed: Callable[[str], None] = lambda name: None) -> None:
        self._services = {service.name: service for service in services}
        self._removed = removed
        self.is_stopping = False

    def __iter__(self) -> Iterator[ModelService]:
        return iter(list(self._services.values()))

    @property
    def names(self) -> list[str]:
        """In the order in which they came."""
        return list(self._services)

    @property
    def are_healthy(self) -> bool:
        """Whether every model is warm and getting on, and the server is not about to stop."""
        return not self.is_stopping and all(service.is_healthy for service in self)

    def get(self, name: str | None) -> ModelService:
        """The model called `name`; the only one for None.

        Raises:
            RequestError: 404, there is no such model, or there are several to choose from.
        """
        if name is None and len(self._services) == 1:
            return next(iter(self))
        if name is None:
            raise RequestError(HTTPStatus.NOT_FOUND, f"say which model: /models/NAME/... {self._known()}")
        if name not in self._services:
            raise RequestError(HTTPStatus.NOT_FOUND, f"there is no model {name!r}: {self._known()}")
        return self._services[name]

    async def start(self) -> None:
        """Start and warm all models.

        Raises:
            Exception: a model cannot compute.
        """
        await asyncio.gather(*(service.start() for service in self))

    async def add(self, service: ModelService) -> None:
        """Start and warm a model, then serve it.

        Raises:
            RequestError: 409, there is one of that name.
            Exception: it cannot compute.
        """
        self.check_is_new(service.name)
        try:
            await service.start()
            self.check_is_new(service.name)
        except BaseException:
            await service.stop()
            raise
        self._services[service.name] = service

    def check_is_new(self, name: str) -> None:
        """Check that no model is called `name`.

        Raises:
            RequestError: 409, there is one.
        """
        if name in self._services:
            raise RequestError(HTTPStatus.CONFLICT, f"there is a model {name!r} already: delete it first")

    async def remove(self, name: str) -> None:
        """Stop serving a model, when it has answered what it has accepted.

        Raises:
            RequestError: 404, there is no such model.
        """
        service = self.get(name)
        del self._services[name]
        await service.finish()
        await service.stop()
        self._removed(name)

    def give_up(self) -> None:
        """Answer all requests that wait for a model with 503."""
        for service in self:
            service.give_up()

    async def stop(self) -> None:
        """Stop all models."""
        self.is_stopping = True
        await asyncio.gather(*(service.stop() for service in self))

    def _known(self) -> str:
        return f"the models are {', '.join(self._services)}" if self._services else "there are no models"
