"""Decodes images on threads beside the model, with the function that validation uses."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import cv2
import numpy as np
from numpy.typing import NDArray

from imclass.errors import ImageError, listing
from imclass.images import Preprocessing, dimensions, preprocess, thread_count
from imclass.inference.serving.metrics import ModelMetrics
from imclass.inference.serving.problems import RequestError


class Decoder:
    """Threads that all models of a server share.

    OpenCV's own threads are switched off for the whole process, because they would compete with these.

    Args:
        threads: number of threads; 0 is one a core.
        most_pixels: of an image, from its header.
    """

    def __init__(self, threads: int, most_pixels: int) -> None:
        self._threads = ThreadPoolExecutor(thread_count(threads), thread_name_prefix="imclass-decode")
        self._most_pixels = most_pixels
        cv2.setNumThreads(0)

    async def decode(
        self, images: Sequence[bytes], preprocessing: Preprocessing, metrics: ModelMetrics
    ) -> list[NDArray[np.uint8]]:
        """Pixels (H, W, C) uint8 of each image. Cancelling drops the images whose decoding has not begun.

        Raises:
            RequestError: 400, images that cannot be decoded or have too many pixels; all are named.
        """
        results = await asyncio.gather(*(self._decode(image, preprocessing, metrics) for image in images))
        problems = [(index, result) for index, result in enumerate(results) if isinstance(result, ImageError)]
        if problems:
            raise RequestError(HTTPStatus.BAD_REQUEST, _message(problems, len(images)))
        return [result for result in results if not isinstance(result, ImageError)]

    def close(self) -> None:
        """Drop what has not begun, and end the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _decode(
        self, image: bytes, preprocessing: Preprocessing, metrics: ModelMetrics
    ) -> NDArray[np.uint8] | ImageError:
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self._threads, self._prepare, image, preprocessing)
        metrics.decode_seconds.observe(time.monotonic() - began)
        return result

    def _prepare(self, image: bytes, preprocessing: Preprocessing) -> NDArray[np.uint8] | ImageError:
        try:
            width, height = dimensions(image)
            if width * height > self._most_pixels:
                return ImageError(f"{width}x{height} pixels are more than the {self._most_pixels:,} that are allowed")
            return preprocess(image, preprocessing)
        except ImageError as error:
            return error


def _message(problems: Sequence[tuple[int, ImageError]], count: int) -> str:
    if count == 1:
        return f"the image cannot be read: {problems[0][1]}"
    lines = [f"images[{index}]: {error}" for index, error in problems]
    return f"{len(problems)} of {count} images cannot be read:\n{listing(lines)}"
