"""Works out explanations: what the model answers, and which parts of the image speak for a class.

The answer is that of /invocations: it goes through the same queue and the same backend. The map needs the last feature
map, which backends do not give away; it is computed by the network as it was loaded, in float32 on the CPU, by one
thread for all models, with a bounded number of requests that wait for it.
"""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

import numpy as np
from numpy.typing import NDArray

from imclass.images import dimensions
from imclass.images.plan import Size
from imclass.inference.activation_map import ActivationMap, explain, place
from imclass.inference.serving.overlay import draw, overlay_size, png_data_url
from imclass.inference.serving.problems import RequestError, overloaded
from imclass.inference.serving.service import ModelService
from imclass.models import ResNet


@dataclass(frozen=True)
class DrawnMap:
    """A map and its picture.

    Attributes:
        activation_map: its class, cells and place.
        strongest: (x, y) in pixels of the image, the place that adds most; None when no place adds anything.
        overlay: a PNG with the shape of the image, as a data URL. Its scale is the same for all classes of an image.
    """

    activation_map: ActivationMap
    strongest: tuple[float, float] | None
    overlay: str


@dataclass(frozen=True)
class Explanation:
    """An answer and its map.

    Attributes:
        probabilities: (num_classes,) float32.
        drawn: the map of one class.
        seconds: by step: decode, model (with the wait for its turn), map, total.
    """

    probabilities: NDArray[np.float32]
    drawn: DrawnMap
    seconds: dict[str, float]


class Explainer:
    """Explains answers of all models of a server.

    Args:
        most_waiting: explanations that are worked on or wait; beyond them requests get 503.
    """

    def __init__(self, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="imclass-explain")

    async def explain(self, service: ModelService, image: bytes, class_index: int | None) -> Explanation:
        """Answer an image, and explain the answer.

        Args:
            class_index: whose map to make, 0 to num_classes - 1; None for the likeliest.

        Raises:
            RequestError: 400, the image cannot be read; 501, the model was converted for OpenVINO; 503, too many wait
                already, or the time is over.
        """
        began = time.monotonic()
        network = service.model.network
        if network is None:
            raise RequestError(
                HTTPStatus.NOT_IMPLEMENTED,
                f"the model {service.name} was converted for OpenVINO and does not say what a class activation map "
                "needs: serve the model.tar.gz that it was converted from, with --backend openvino if you like",
            )
        with self._place():
            async with service.deadline():
                answered = await service.answer_in_steps(image)
                chosen = int(answered.probabilities.argmax()) if class_index is None else class_index
                map_began = time.monotonic()
                work = (service, network, image, answered.pixels, chosen)
                drawn = await asyncio.get_running_loop().run_in_executor(self._thread, _draw_map, *work)
        ended = time.monotonic()
        seconds = {
            "decode": answered.decode_seconds,
            "model": answered.model_seconds,
            "map": ended - map_began,
            "total": ended - began,
        }
        return Explanation(answered.probabilities, drawn, seconds)

    def close(self) -> None:
        """Drop what has not begun, and end the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._waiting >= self._most_waiting:
            raise overloaded(f"{self._waiting} explanations are waiting already: try again later")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1


def _draw_map(
    service: ModelService, network: ResNet, image: bytes, pixels: NDArray[np.uint8], class_index: int
) -> DrawnMap:
    placement = place(Size(*dimensions(image)), service.preprocessing, network.stride)
    activation_map = explain(network, pixels, placement, class_index)
    values = activation_map.on_image(overlay_size(*placement.image))
    return DrawnMap(
        activation_map, _strongest(values, placement.image), png_data_url(draw(values, activation_map.largest))
    )


def _strongest(values: NDArray[np.float32], image: Size) -> tuple[float, float] | None:
    if values.max() <= 0:
        return None
    row, column = divmod(int(values.argmax()), values.shape[1])
    return (column + 0.5) * image.width / values.shape[1], (row + 0.5) * image.height / values.shape[0]
