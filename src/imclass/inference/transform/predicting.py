"""From encoded images to probabilities, batch by batch: decoding, computing and writing side by side.

    threads         read and decode images, in order, a bounded number ahead
    this thread     puts batches together
    one thread      computes
    one thread      writes

`Network.answer` is the only step that knows where pixels are computed.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from imclass import artifact
from imclass.data.location import local_path, shown_name
from imclass.data.unlabelled import Unlabelled
from imclass.device import choose_device
from imclass.errors import ImageError
from imclass.images import Preprocessing
from imclass.images.ordered import map_in_order
from imclass.images.workers import Workers
from imclass.inference.pixels import prepare
from imclass.inference.serving.backends import Backend, LoadedModel
from imclass.inference.serving.choosing import choose
from imclass.inference.serving.responses import Labels
from imclass.inference.transform.pieces import Piece
from imclass.inference.transform.request import Request

BATCHES_AHEAD = 2  # between one step and the next
STEP_SECONDS = 600.0  # longest time for a batch in one step

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Work:
    """Images of a piece that are to be predicted."""

    piece: Piece
    indices: Sequence[int]


@dataclass(frozen=True, slots=True)
class Batch:
    """Images of a piece that are predicted together.

    Attributes:
        is_last: whether the piece is done with it.
    """

    piece: Piece
    indices: Sequence[int]
    is_last: bool


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch with its pixels.

    Attributes:
        read: (n) numbers of the images that could be read.
        pixels: (n, H, W, C) uint8.
        unreadable: number and error of each of the others.
    """

    batch: Batch
    read: Sequence[int]
    pixels: NDArray[np.uint8]
    unreadable: Sequence[tuple[int, ImageError]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A batch with its results.

    Attributes:
        read, unreadable: as in `Decoded`.
        probabilities: (n, num_classes) float32, 0 to 1.
    """

    batch: Batch
    read: Sequence[int]
    probabilities: NDArray[np.float32]
    unreadable: Sequence[tuple[int, ImageError]]


class Network:
    """A model, and what computes it.

    Args:
        request: names both.

    Attributes:
        labels: what its outputs are called.
        fingerprint: the same for the same weights and description, in whatever file they are.

    Raises:
        ArtifactError: the model cannot be opened, or what was said of it does not fit.
    """

    def __init__(self, request: Request) -> None:
        path = local_path(request.model)
        description, network = artifact.load(path, image_shape=request.image_shape)
        description = artifact.supplemented(
            description, shown_name(path), class_names=request.class_names, image_shape=request.image_shape
        )
        self._computing = request.computing
        self._model = LoadedModel(description, network)
        self._backend: Backend | None = None
        self.fingerprint = _fingerprint(self._model)
        self.labels = Labels(
            tuple(description.class_names or map(str, range(description.num_classes))), description.multi_label
        )
        self.preprocessing = Preprocessing(
            image_shape=description.image_shape,
            resize=description.resize,
            resize_mode=description.resize_mode,
            fill_value=description.fill_value,
        )

    def open_backend(self, local_rank: int = 0) -> None:
        """Get ready to compute.

        Args:
            local_rank: number of this process on its machine, which is that of its GPU unless the request says another.

        Raises:
            UserError: there is no such device, backend or precision.
        """
        self._backend, _ = choose(
            self._model,
            choose_device(self._computing.device, local_rank),
            backend=self._computing.backend,
            precision=self._computing.precision,
            max_batch=self._computing.batch_size,
        )

    def answer(self, decoded: Decoded) -> Answer:
        """Compute a batch, after `open_backend`."""
        assert self._backend is not None
        if decoded.read:
            probabilities = self._backend.predict(decoded.pixels)
        else:
            probabilities = np.zeros((0, len(self.labels.names)), np.float32)
        return Answer(decoded.batch, decoded.read, probabilities, decoded.unreadable)

    def close(self) -> None:
        """Give back memory; it computes no more."""
        if self._backend is not None:
            self._backend.close()


def batches_of(works: Iterable[Work], batch_size: int) -> list[Batch]:
    """Batches of all work, in order; none holds images of two pieces."""
    return [
        Batch(work.piece, work.indices[start : start + batch_size], start + batch_size >= len(work.indices))
        for work in works
        for start in range(0, len(work.indices), batch_size)
    ]


def decoded_batches(
    images: Unlabelled, preprocessing: Preprocessing, batches: Sequence[Batch], threads: int
) -> Generator[Decoded]:
    """Read and decode batches, in order, on threads."""
    cv2.setNumThreads(0)  # the threads are ours: one image each
    channels, height, width = preprocessing.image_shape
    indices = [index for batch in batches for index in batch.indices]
    with closing(map_in_order(partial(_decode, images, preprocessing), indices, threads)) as results:
        for batch in batches:
            pixels = np.empty((len(batch.indices), height, width, channels), np.uint8)
            read: list[int] = []
            unreadable: list[tuple[int, ImageError]] = []
            for index, result in zip(batch.indices, islice(results, len(batch.indices)), strict=True):
                if isinstance(result, ImageError):
                    unreadable.append((index, result))
                else:
                    pixels[len(read)] = result
                    read.append(index)
            yield Decoded(batch, read, pixels[: len(read)], unreadable)


def _decode(images: Unlabelled, preprocessing: Preprocessing, index: int) -> NDArray[np.uint8] | ImageError:
    try:
        return prepare(images.image(index), preprocessing)
    except ImageError as error:
        return error


def in_background(function: Callable[[T], U], items: Generator[T]) -> Generator[U]:
    """Yield `function(item)` for each item, in order, computed in one thread ahead of its use.

    Closing it closes `items`.

    Raises (while iterating):
        Exception: whatever the function raises.
        RuntimeError: one call took longer than `STEP_SECONDS`.
    """
    worker = Workers(1, STEP_SECONDS)
    ahead: deque[tuple[Future[None], list[U]]] = deque()
    try:
        for item in items:
            result: list[U] = []
            ahead.append((worker.submit(partial(_append, function, item, result)), result))
            if len(ahead) > BATCHES_AHEAD:
                yield _taken(ahead)
        while ahead:
            yield _taken(ahead)
    finally:
        items.close()
        worker.close()


def _append(function: Callable[[T], U], item: T, result: list[U]) -> None:
    result.append(function(item))


def _taken(ahead: deque[tuple[Future[None], list[U]]]) -> U:
    future, result = ahead.popleft()
    try:
        future.result(STEP_SECONDS)
    except TimeoutError as error:
        if future.done():  # it was the function that raised this
            raise
        raise RuntimeError(f"a batch took longer than {STEP_SECONDS:g} seconds to compute or to write") from error
    return result[0]


def _fingerprint(model: LoadedModel) -> str:
    assert model.network is not None, "a transform opens model files"
    digest = hashlib.sha256(model.description.model_dump_json().encode())
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return digest.hexdigest()[:16]
