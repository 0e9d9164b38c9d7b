"""Batches: full under load, at once for a lonely image, bounded, and not troubled by those who leave."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from imclass.inference.serving.batcher import Batcher
from imclass.inference.serving.metrics import Metrics
from imclass.inference.serving.problems import RequestError
from tests.inference.serving.parts import EXAMPLE, ExampleBackend, until

pytestmark = pytest.mark.anyio

PIXELS = np.zeros((4, 4, 3), np.uint8)


@asynccontextmanager
async def batcher(backend: ExampleBackend, **changes: object) -> AsyncIterator[Batcher]:
    settings: dict[str, object] = {"max_batch": 4, "max_delay": 0.0, "queue_size": 100, "longest_wait": 30.0}
    settings |= {"concurrency": 1, **changes}
    made = Batcher(backend.predict, metrics=Metrics().of_model("m"), **settings)  # type: ignore[arg-type]
    made.start()
    try:
        yield made
    finally:
        backend.may_go_on.set()
        await made.stop()


async def ask(made: Batcher, pixels: np.ndarray = PIXELS) -> np.ndarray:
    with made.places(1) as (place,):
        return await made.answer(place, pixels)


async def test_images_that_wait_are_taken_together() -> None:
    backend = ExampleBackend()
    async with batcher(backend) as made:
        backend.may_go_on.clear()
        first = asyncio.create_task(ask(made))
        await until(backend.has_begun.is_set)
        others = [asyncio.create_task(ask(made)) for _ in range(6)]
        await asyncio.sleep(0)
        backend.may_go_on.set()
        rows = await asyncio.gather(first, *others)
    assert backend.batches == [1, 4, 2]
    assert all(np.array_equal(row, EXAMPLE) for row in rows)


async def test_each_image_gets_its_own_answer() -> None:
    async with batcher(ExampleBackend(), max_batch=8) as made:
        made._predict = lambda pixels: pixels[:, 0, 0, :2].astype(np.float32)
        values = range(50)
        rows = await asyncio.gather(*(ask(made, np.full((4, 4, 3), value, np.uint8)) for value in values))
    assert [int(row[0]) for row in rows] == list(values)


async def test_a_lonely_image_does_not_wait() -> None:
    backend = ExampleBackend()
    async with batcher(backend, max_delay=20.0) as made:
        began = time.monotonic()
        await ask(made)
        assert time.monotonic() - began < 5
    assert backend.batches == [1]


async def test_a_batch_waits_for_images_on_their_way() -> None:
    backend = ExampleBackend()
    async with batcher(backend, max_delay=20.0) as made:
        with made.places(1) as (second,):
            waiting = asyncio.create_task(ask(made))
            await asyncio.sleep(0.05)
            assert not backend.has_begun.is_set()
            await asyncio.gather(waiting, made.answer(second, PIXELS))
    assert backend.batches == [2]


async def test_a_batch_does_not_wait_for_images_that_are_given_up() -> None:
    backend = ExampleBackend()
    async with batcher(backend, max_delay=20.0) as made:
        began = time.monotonic()
        with made.places(1):
            waiting = asyncio.create_task(ask(made))
            await asyncio.sleep(0.02)
        await waiting
        assert time.monotonic() - began < 5
    assert backend.batches == [1]


async def test_a_batch_waits_no_longer_than_it_may() -> None:
    backend = ExampleBackend()
    async with batcher(backend, max_delay=0.1) as made:
        with made.places(1):
            began = time.monotonic()
            await ask(made)
            assert 0.09 < time.monotonic() - began < 5


async def test_a_full_queue_says_so() -> None:
    backend = ExampleBackend()
    async with batcher(backend, queue_size=3) as made:
        backend.may_go_on.clear()
        waiting = [asyncio.create_task(ask(made)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(RequestError, match="3 of 3 places") as caught, made.places(1):
            pass
        assert caught.value.status == 503
        assert caught.value.retry_after == 1
        backend.may_go_on.set()
        await asyncio.gather(*waiting)
        assert made.accepted == 0
        await ask(made)


async def test_what_could_not_be_answered_in_time_is_not_accepted() -> None:
    backend = ExampleBackend()
    async with batcher(backend, longest_wait=0.5) as made:
        made._seconds_per_image = 0.3
        backend.may_go_on.clear()
        waiting = [asyncio.create_task(ask(made)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RequestError, match="2 images are waiting, which takes 1 seconds") as caught, made.places(1):
            pass
        assert caught.value.status == 503
        backend.may_go_on.set()
        await asyncio.gather(*waiting)
        assert made._seconds_per_image < 0.3
        await ask(made)


async def test_who_leaves_costs_nothing() -> None:
    backend = ExampleBackend()
    async with batcher(backend) as made:
        backend.may_go_on.clear()
        first = asyncio.create_task(ask(made))
        await until(backend.has_begun.is_set)
        leaving = [asyncio.create_task(ask(made)) for _ in range(3)]
        staying = asyncio.create_task(ask(made))
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        assert made.accepted == 2
        backend.may_go_on.set()
        await asyncio.gather(first, staying)
    assert backend.batches == [1, 1]


async def test_when_all_leave_there_is_no_batch() -> None:
    backend = ExampleBackend()
    async with batcher(backend, max_delay=0.05) as made:
        with made.places(1):
            leaving = asyncio.create_task(ask(made))
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.sleep(0.1)
        await ask(made)
    assert backend.batches == [1]


async def test_a_fault_of_the_model_is_the_answer_of_its_batch_alone() -> None:
    backend = ExampleBackend()
    async with batcher(backend) as made:
        backend.fault = RuntimeError("no memory")
        results = await asyncio.gather(*(ask(made) for _ in range(3)), return_exceptions=True)
        assert [str(result) for result in results] == ["no memory"] * 3
        backend.fault = None
        assert np.array_equal(await ask(made), EXAMPLE)


async def test_too_few_answers_are_a_fault() -> None:
    async with batcher(ExampleBackend()) as made:
        made._predict = lambda pixels: np.zeros((0, 2), np.float32)
        with pytest.raises(RuntimeError, match="0 answers to 1 images"):
            await ask(made)


async def test_what_waits_is_given_up_when_the_server_stops() -> None:
    backend = ExampleBackend()
    async with batcher(backend) as made:
        backend.may_go_on.clear()
        running = asyncio.create_task(ask(made))
        await until(backend.has_begun.is_set)
        waiting = asyncio.create_task(ask(made))
        await asyncio.sleep(0)
        made.give_up()
        for late in (waiting, asyncio.create_task(ask(made))):
            with pytest.raises(RequestError, match="stopping"):
                await late
        assert made.busy_seconds > 0
        backend.may_go_on.set()
        assert np.array_equal(await running, EXAMPLE)
        assert made.busy_seconds == 0


async def test_batches_at_the_same_time() -> None:
    backend = ExampleBackend()
    async with batcher(backend, concurrency=2, max_batch=1) as made:
        backend.may_go_on.clear()
        both = [asyncio.create_task(ask(made)) for _ in range(2)]
        await until(lambda: len(made._began) == 2)
        backend.may_go_on.set()
        await asyncio.gather(*both)
    assert backend.batches == [1, 1]
