"""One model that answers requests."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imclass.calibration import calibrated
from imclass.images import Preprocessing
from imclass.inference.serving.backends import Backend, LoadedModel
from imclass.inference.serving.batcher import Batcher
from imclass.inference.serving.choosing import Candidate
from imclass.inference.serving.decoding import Decoder
from imclass.inference.serving.limits import Limits
from imclass.inference.serving.metrics import ModelMetrics
from imclass.inference.serving.problems import overloaded
from imclass.inference.serving.responses import Labels

FINISH_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Batching:
    """How images are put together.

    Attributes:
        max_batch: most images of a batch.
        max_delay: seconds for which a batch waits for images that are being decoded.
        queue_size: most images that are accepted and not yet answered.
    """

    max_batch: int
    max_delay: float = 0.005
    queue_size: int = 1024


@dataclass(frozen=True)
class AnsweredImage:
    """One image on its way to an answer.

    Attributes:
        pixels: (H, W, C) uint8, as the model saw it.
        probabilities: (num_classes,) float32.
        decode_seconds: from its acceptance to its pixels.
        model_seconds: from its pixels to its probabilities, with the wait for a batch.
    """

    pixels: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    decode_seconds: float
    model_seconds: float


@dataclass
class ModelService:
    """A model with its queue.

    Args:
        name: under which it is served.
        path: of its file, for people.
        model: what was loaded.
        backend: what computes it.
        batching: how requests are put together.
        decoder: shared by all models.
        limits: of requests.
        metrics: of this model.
        candidates: among which the backend was chosen; empty when the user said which.
        temperature: with which probabilities are calibrated; None to give those of the backend.

    Attributes:
        is_warm: whether the model has computed once.
    """

    name: str
    path: str
    model: LoadedModel
    backend: Backend
    batching: Batching
    decoder: Decoder
    limits: Limits
    metrics: ModelMetrics
    candidates: Sequence[Candidate] = ()
    temperature: float | None = None
    is_warm: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        description = self.model.description
        self.preprocessing = Preprocessing(
            image_shape=description.image_shape,
            resize=description.resize,
            resize_mode=description.resize_mode,
            fill_value=description.fill_value,
        )
        names = description.class_names or tuple(map(str, range(description.num_classes)))
        self.labels = Labels(names, description.multi_label)
        self._batcher = Batcher(
            self.backend.predict,
            max_batch=self.batching.max_batch,
            max_delay=self.batching.max_delay,
            queue_size=self.batching.queue_size,
            longest_wait=self.limits.request_seconds,
            concurrency=self.backend.concurrency,
            metrics=self.metrics,
        )

    async def start(self) -> None:
        """Begin to take requests, and compute once; those that come meanwhile wait."""
        self._batcher.start()
        await self._batcher.warm_up(self._generated_batches())
        self.is_warm = True

    async def finish(self) -> None:
        """Wait until everything that was accepted is answered; each request has its own deadline."""
        while self._batcher.accepted:
            await asyncio.sleep(FINISH_POLL_SECONDS)

    async def stop(self) -> None:
        """Give up what waits for the model and release it."""
        self.is_warm = False
        await self._batcher.stop()
        self.backend.close()

    def give_up(self) -> None:
        """Answer the requests that wait for the model with 503."""
        self._batcher.give_up()

    @property
    def is_healthy(self) -> bool:
        """Whether the model is warm, and not stuck in a batch for longer than a request may take."""
        is_stuck = self._batcher.busy_seconds > self.limits.request_seconds
        return self.is_warm and self._batcher.is_running and not is_stuck

    async def answer(self, images: Sequence[bytes]) -> NDArray[np.float32]:
        """Probabilities (N, num_classes) float32 of N encoded images.

        Raises:
            RequestError: 400, an image cannot be read; 503, the queue is full or the time is over.
        """
        began = time.monotonic()
        async with self.deadline():
            with self._batcher.places(len(images)) as places:
                pixels = await self.decoder.decode(images, self.preprocessing, self.metrics)
                rows = await asyncio.gather(*map(self._batcher.answer, places, pixels))
        self.metrics.total_seconds.observe(time.monotonic() - began)
        return self._calibrated(np.stack(rows))

    async def answer_in_steps(self, image: bytes) -> AnsweredImage:
        """As `answer`, for one image, with what came between; within a `deadline`."""
        with self._batcher.places(1) as (place,):
            began = time.monotonic()
            (pixels,) = await self.decoder.decode([image], self.preprocessing, self.metrics)
            decoded = time.monotonic()
            (probabilities,) = self._calibrated((await self._batcher.answer(place, pixels))[np.newaxis])
        return AnsweredImage(pixels, probabilities, decoded - began, time.monotonic() - decoded)

    def _calibrated(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.temperature is None:
            return probabilities
        return calibrated(probabilities, self.temperature, multi_label=self.labels.multi_label)

    @asynccontextmanager
    async def deadline(self) -> AsyncIterator[None]:
        """The time that a request may take.

        Raises:
            RequestError: 503, the time is over.
        """
        try:
            async with asyncio.timeout(self.limits.request_seconds) as timer:
                yield
        except TimeoutError as error:
            if not timer.expired():
                raise
            raise overloaded(f"the model did not answer within {self.limits.request_seconds:g} seconds") from error

    def describe(self) -> dict[str, Any]:
        """What `GET /model` shows."""
        return {
            "name": self.name,
            **self.model.description.model_dump(mode="json"),
            "serving": {
                "backend": self.backend.name,
                "precision": self.backend.precision,
                "device": self.backend.device,
                "max_batch": self.batching.max_batch,
                "max_delay_ms": self.batching.max_delay * 1000,
                "queue_size": self.batching.queue_size,
                "calibrated": self.temperature is not None,
                "max_body_bytes": self.limits.body_bytes,
                "candidates": [vars(candidate) for candidate in self.candidates],
            },
        }

    def _generated_batches(self) -> list[NDArray[np.uint8]]:
        """Grey images: one, and as many as a batch may have."""
        channels, height, width = self.model.description.image_shape
        return [np.full((count, height, width, channels), 127, np.uint8) for count in {1, self.batching.max_batch}]
