"""Makes batches of images that come from many requests.

Everything here runs on the event loop, except the model itself, which has threads of its own. A batch begins as soon
as the model is free. It then waits for more images, at most `max_delay` seconds, only while some are on their way
(being decoded), so that a lonely request never waits.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from imclass.inference.serving.metrics import ModelMetrics
from imclass.inference.serving.problems import RequestError, overloaded

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(N, H, W, C) uint8 to (N, num_classes) float32."""

LONGEST_ADVICE_SECONDS = 30


@dataclass(slots=True, eq=False)
class _Waiting:
    """Pixels (H, W, C) uint8 that wait for the model, since a time of the monotonic clock, and their answer."""

    pixels: NDArray[np.uint8]
    answer: "asyncio.Future[NDArray[np.float32]]"
    since: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class Place:
    """A place in the queue for one image. It is `on_the_way` until its pixels are there or given up."""

    on_the_way: bool = True


class Batcher:
    """A bounded queue of images in front of a model.

    Args:
        predict: the model; a fault in it is the answer to all images of its batch, and to no others.
        max_batch: most images of a batch.
        max_delay: seconds for which a batch waits for images that are on their way.
        queue_size: most images that are accepted and not yet answered.
        longest_wait: seconds; when an image would wait longer for its answer, at the speed so far, it is not accepted.
        concurrency: batches that the model works on at the same time.
        metrics: where queue, batches and times are counted.

    Attributes:
        accepted: images that have a place in the queue.
    """

    def __init__(
        self,
        predict: Predict,
        *,
        max_batch: int,
        max_delay: float,
        queue_size: int,
        longest_wait: float,
        concurrency: int,
        metrics: ModelMetrics,
    ) -> None:
        self.max_batch = max_batch
        self.max_delay = max_delay
        self.queue_size = queue_size
        self.longest_wait = longest_wait
        self.concurrency = concurrency
        self._predict = predict
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="imclass-model")
        self._ready: deque[_Waiting] = deque()
        self.accepted = 0
        self._on_the_way = 0
        self._changed = asyncio.Event()
        self._collecting = asyncio.Lock()
        self._runners: list[asyncio.Task[None]] = []
        self._began: dict[int, float] = {}
        self._seconds_per_image = 0.0
        self._has_given_up = False

    def start(self) -> None:
        """Begin to work; an event loop must be running."""
        self._runners = [asyncio.create_task(self._run(number)) for number in range(self.concurrency)]

    async def warm_up(self, batches: list[NDArray[np.uint8]]) -> None:
        """Let every thread of the model compute some batches; what is accepted meanwhile waits.

        Args:
            batches: (N, H, W, C) uint8 each.
        """
        loop = asyncio.get_running_loop()
        runs = [loop.run_in_executor(self._threads, self._predict, batch) for batch in batches * self.concurrency]
        await asyncio.gather(*runs)

    async def stop(self) -> None:
        """End the work. Images that still wait are given up; a batch that the model works on is not waited for."""
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        self.give_up()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def give_up(self) -> None:
        """Answer the images that wait for the model, and those that come from now on, with 503."""
        self._has_given_up = True
        while self._ready:
            waiting = self._ready.popleft()
            if not waiting.answer.done():
                waiting.answer.set_exception(_stopping())

    @property
    def busy_seconds(self) -> float:
        """How long the oldest batch has been with the model; 0 when there is none."""
        return time.monotonic() - min(self._began.values()) if self._began else 0.0

    @contextmanager
    def places(self, count: int) -> Iterator[list[Place]]:
        """Take places in the queue until the block ends.

        Raises:
            RequestError: 503, there are not enough, or too many images wait already.
        """
        expected_wait = self.accepted * self._seconds_per_image
        if self.accepted + count > self.queue_size:
            raise overloaded(
                f"{self.accepted} of {self.queue_size} places in the queue are taken, and the request needs {count}",
                self._seconds_to_free(),
            )
        if expected_wait > self.longest_wait:
            raise overloaded(
                f"{self.accepted} images are waiting, which takes {expected_wait:.0f} seconds", self._seconds_to_free()
            )
        places = [Place() for _ in range(count)]
        self._change_accepted(count)
        self._on_the_way += count
        try:
            yield places
        finally:
            self._change_accepted(-count)
            for place in places:
                self._arrive(place)

    async def answer(self, place: Place, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of one image. Cancelling costs the model nothing if the batch has not begun.

        Args:
            place: of the image, from `places`.
            pixels: (H, W, C) uint8.

        Returns:
            (num_classes,) float32.

        Raises:
            RequestError: 503, the server stops before the model had time.
            Exception: whatever the model raised.
        """
        if self._has_given_up:
            raise _stopping()
        waiting = _Waiting(pixels, asyncio.get_running_loop().create_future())
        self._ready.append(waiting)
        self._arrive(place)
        return await waiting.answer

    def _arrive(self, place: Place) -> None:
        if place.on_the_way:
            place.on_the_way = False
            self._on_the_way -= 1
            self._changed.set()

    def _change_accepted(self, count: int) -> None:
        self.accepted += count
        self._metrics.queue_images.set(self.accepted)

    def _seconds_to_free(self) -> int:
        """After which half of the queue should be gone, in whole seconds: what `Retry-After` says."""
        seconds = self._seconds_per_image * self.accepted / 2
        return max(1, min(round(seconds), LONGEST_ADVICE_SECONDS))

    async def _run(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with self._collecting:
                batch = await self._collect()
            if not batch:
                continue
            self._began[number] = time.monotonic()
            try:
                rows = await loop.run_in_executor(self._threads, self._answer, batch)
            except Exception as error:  # noqa: BLE001  (not handled here: it goes to whoever waits)
                _deliver_error(batch, error)
            else:
                self._deliver(batch, rows)
            finally:
                self._observe(batch, time.monotonic() - self._began.pop(number))

    async def _collect(self) -> list[_Waiting]:
        """The next batch; empty when all that wait went away meanwhile."""
        while not self._ready:
            await self._change(None)
        deadline = self._ready[0].since + self.max_delay
        while self._on_the_way and len(self._ready) < self.max_batch and (left := deadline - time.monotonic()) > 0:
            await self._change(left)
        batch: list[_Waiting] = []
        while self._ready and len(batch) < self.max_batch:
            waiting = self._ready.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
        return batch

    async def _change(self, seconds: float | None) -> None:
        """Wait until an image has arrived or was given up, or the time is over."""
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    def _answer(self, batch: list[_Waiting]) -> NDArray[np.float32]:
        """Run the model, on its thread."""
        rows = self._predict(np.stack([waiting.pixels for waiting in batch]))
        if len(rows) != len(batch):
            raise RuntimeError(f"the model gave {len(rows)} answers to {len(batch)} images")
        return rows

    def _deliver(self, batch: list[_Waiting], rows: NDArray[np.float32]) -> None:
        for waiting, row in zip(batch, rows, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(row)

    def _observe(self, batch: list[_Waiting], seconds: float) -> None:
        began = time.monotonic() - seconds
        for waiting in batch:
            self._metrics.queue_seconds.observe(max(0.0, began - waiting.since))
        self._metrics.batch_images.observe(len(batch))
        self._metrics.model_seconds.observe(seconds)
        recent = seconds / len(batch) / self.concurrency
        self._seconds_per_image = 0.8 * self._seconds_per_image + 0.2 * recent if self._seconds_per_image else recent


def _stopping() -> RequestError:
    return overloaded("the server is stopping")


def _deliver_error(batch: list[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
