"""Parts of a server for tests: a backend that computes something simple, and the application around it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import httpx
import numpy as np
from numpy.typing import NDArray

from imclass import artifact
from imclass.inference.serving.application import Parts, create_application
from imclass.inference.serving.backends import LoadedModel
from imclass.inference.serving.decoding import Decoder
from imclass.inference.serving.limits import Limits
from imclass.inference.serving.metrics import Metrics
from imclass.inference.serving.models import Models
from imclass.inference.serving.service import Batching, ModelService

EXAMPLE = np.array([0.6257858276367188, 0.37421420216560364], np.float32)
"""Two probabilities of a recorded answer of the original."""

JPEG = {"content-type": "image/jpeg"}


class ExampleBackend:
    """Answers every image with `EXAMPLE`; remembers the sizes of its batches, and can be held up or broken."""

    name = "example"
    precision = "float32"
    device = "cpu"
    concurrency = 1

    def __init__(self, answer: NDArray[np.float32] = EXAMPLE) -> None:
        self.batches: list[int] = []
        self.answer = answer
        self.fault: Exception | None = None
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.has_begun = threading.Event()
        self.is_closed = False

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.has_begun.set()
        assert self.may_go_on.wait(30)
        self.batches.append(len(pixels))
        if self.fault is not None:
            raise self.fault
        return np.repeat(self.answer[np.newaxis], len(pixels), axis=0)

    def close(self) -> None:
        self.is_closed = True

    def forget_warm_up(self) -> None:
        self.batches.clear()
        self.has_begun.clear()


def encoded(seed: int = 0, *, suffix: str = ".jpg", side: int = 16) -> bytes:
    """An image file with a random colour."""
    colour = np.random.default_rng(seed).integers(0, 256, 3)
    pixels = np.broadcast_to(colour, (side, side, 3)).astype(np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def description(**changes: object) -> artifact.Description:
    values: dict[str, object] = {
        "network": "resnet_v2",
        "num_layers": 8,
        "image_shape": (3, 16, 16),
        "num_classes": 2,
        "class_names": ("cat", "dog"),
        "normalisation": artifact.Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        **changes,
    }
    return artifact.Description.model_validate(values)


class Workbench:
    """Builds applications, and knows their parts."""

    def __init__(self) -> None:
        self.backend = ExampleBackend()
        self.limits = Limits()
        self.batching = Batching(max_batch=4)
        self.metrics = Metrics()
        self.description = description()
        self.decoder: Decoder | None = None

    def service(self, name: str = "model", backend: ExampleBackend | None = None) -> ModelService:
        self.decoder = self.decoder or Decoder(2, self.limits.pixels)
        return ModelService(
            name=name,
            path=f"{name}.tar.gz",
            model=LoadedModel(self.description, self.description.build()),
            backend=backend or self.backend,
            batching=self.batching,
            decoder=self.decoder,
            limits=self.limits,
            metrics=self.metrics.of_model(name),
        )

    def parts(self, *services: ModelService, **changes: object) -> Parts:
        models = Models(list(services) or [self.service()], self.metrics.remove)
        parts = Parts(models=models, decoder=self.decoder, metrics=self.metrics, limits=self.limits)
        return replace(parts, **changes)  # type: ignore[arg-type]

    @asynccontextmanager
    async def client(self, *services: ModelService, **changes: object) -> AsyncIterator[httpx.AsyncClient]:
        """A client of an application that is warm."""
        parts = self.parts(*services, **changes)
        async with running(parts) as client:
            await until(lambda: parts.models.are_healthy)
            self.backend.forget_warm_up()
            yield client


@asynccontextmanager
async def running(parts: Parts) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that is starting."""
    application = create_application(parts)
    async with application.router.lifespan_context(application):
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://server", timeout=30) as client:
            yield client


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, for 10 seconds at most."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
