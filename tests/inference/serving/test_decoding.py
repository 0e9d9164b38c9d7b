"""Decoding beside the model."""

import asyncio
import threading

import cv2
import numpy as np
import pytest

from imclass.errors import ImageError
from imclass.images import Preprocessing
from imclass.inference.serving import decoding
from imclass.inference.serving.decoding import Decoder
from imclass.inference.serving.metrics import Metrics, ModelMetrics
from imclass.inference.serving.problems import RequestError
from tests.inference.serving.parts import encoded, until

pytestmark = pytest.mark.anyio

SETTINGS = Preprocessing((3, 16, 16))


@pytest.fixture
def metrics() -> ModelMetrics:
    return Metrics().of_model("m")


async def test_pixels_are_validations_in_the_order_of_the_images(metrics: ModelMetrics) -> None:
    from imclass.images import preprocess

    images = [encoded(seed, side=50) for seed in range(20)]
    decoder = Decoder(3, 10_000)
    try:
        pixels = await decoder.decode(images, SETTINGS, metrics)
    finally:
        decoder.close()
    np.testing.assert_array_equal(np.stack(pixels), np.stack([preprocess(image, SETTINGS) for image in images]))


async def test_who_leaves_before_decoding_costs_nothing(metrics: ModelMetrics, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on, decoded = threading.Event(), []

    def slow(image: bytes, preprocessing: Preprocessing) -> np.ndarray:
        decoded.append(image)
        assert may_go_on.wait(30)
        return np.zeros((16, 16, 3), np.uint8)

    monkeypatch.setattr(decoding, "preprocess", slow)
    first, second, third = (encoded(seed) for seed in range(3))
    decoder = Decoder(1, 10_000)
    try:
        tasks = [asyncio.create_task(decoder.decode([image], SETTINGS, metrics)) for image in (first, second, third)]
        await until(lambda: decoded == [first])
        tasks[1].cancel()
        await asyncio.gather(tasks[1], return_exceptions=True)
        may_go_on.set()
        await asyncio.gather(tasks[0], tasks[2])
    finally:
        decoder.close()
    assert decoded == [first, third]


async def test_a_fault_of_the_decoder_is_no_bad_image(metrics: ModelMetrics, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(image: bytes, preprocessing: Preprocessing) -> np.ndarray:
        raise cv2.error("a fault of ours")

    def unreadable(image: bytes, preprocessing: Preprocessing) -> np.ndarray:
        raise ImageError("damaged")

    decoder = Decoder(1, 10_000)
    try:
        monkeypatch.setattr(decoding, "preprocess", broken)
        with pytest.raises(cv2.error, match="a fault of ours"):
            await decoder.decode([encoded()], SETTINGS, metrics)
        monkeypatch.setattr(decoding, "preprocess", unreadable)
        with pytest.raises(RequestError, match="the image cannot be read: damaged"):
            await decoder.decode([encoded()], SETTINGS, metrics)
    finally:
        decoder.close()
