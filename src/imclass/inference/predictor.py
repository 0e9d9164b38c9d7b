"""From images to probabilities.

A predictor prepares images with `images.preprocess`, the function that validation uses, so that what it answers is
what was measured when the model was trained.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imclass import artifact
from imclass.data import local_path
from imclass.device import choose_device
from imclass.errors import ImageError, UserError, listing
from imclass.images import Preprocessing, thread_count
from imclass.inference.activation_map import ActivationMap, check_class_index, explain, place
from imclass.inference.pixels import ImageInput, content_of, name_of, prepare, size_of
from imclass.memory import keep_memory
from imclass.models import ResNet

BATCH_SIZE = 64
BATCHES_AHEAD = 2  # decoded while the network works on the one before


@dataclass(frozen=True)
class PredictedBatch:
    """Answers to up to `BATCH_SIZE` images.

    Attributes:
        indices: (n,) int64, the positions of the images that could be read.
        probabilities: (n, num_classes) float32, 0 to 1.
        unreadable: position and error of each image that could not.
    """

    indices: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    unreadable: tuple[tuple[int, ImageError], ...]


class Predictor:
    """A trained model, ready to answer. Several threads may use one predictor.

    Attributes:
        description: what `model.json` says of the model.
        device: where it computes.
    """

    def __init__(
        self, description: artifact.Description, model: ResNet, *, device: str = "auto", threads: int = 0
    ) -> None:
        self.description = description
        self.device = choose_device(device)
        if self.device.type == "cpu":
            keep_memory()
        self._model: ResNet = model.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._threads = thread_count(threads)
        self._preprocessing = Preprocessing(
            image_shape=description.image_shape,
            resize=description.resize,
            resize_mode=description.resize_mode,
            fill_value=description.fill_value,
        )

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        device: str = "auto",
        threads: int = 0,
        *,
        class_names: Sequence[str] | None = None,
        image_shape: tuple[int, int, int] | None = None,
    ) -> "Predictor":
        """Open a `model.tar.gz`, the folder that it was unpacked to, or a model of MXNet (PREFIX-symbol.json); text may
        be the address of one, which is fetched.

        Args:
            device: auto (a GPU where there is one), cpu, cuda or cuda:N.
            threads: threads that decode images; 0 is one a core.
            class_names: names in the order of the class numbers, in place of the model's own, if it has any.
            image_shape: (channels, height, width) of a model of MXNet that does not say it.

        Raises:
            ArtifactError: the model cannot be opened, or what was said of it does not fit.
            UserError: there is no such device.
        """
        description, model = artifact.load(
            local_path(path if isinstance(path, str) else Path(path)), image_shape=image_shape
        )
        description = artifact.supplemented(
            description, os.fspath(path), class_names=class_names, image_shape=image_shape
        )
        return cls(description, model, device=device, threads=threads)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of the probabilities; the class numbers where the training data had no names."""
        return self.description.class_names or tuple(map(str, range(self.description.num_classes)))

    def predict(self, images: Iterable[ImageInput]) -> NDArray[np.float32]:
        """Predict the classes of images.

        Args:
            images: paths, encoded JPEG or PNG files as bytes, or (H, W, 3) uint8 RGB arrays of any size, in any
                mixture.

        Returns:
            (N, num_classes) float32, 0 to 1. A row adds up to 1, except that of a multi-label model, whose classes
            are independent of each other.

        Raises:
            ImageError: some images cannot be read; all of them are named.
            UserError: one image was passed instead of a list.
        """
        items = _listed(images)
        batches = list(self.predict_batches(items))
        unreadable = [error for batch in batches for _, error in batch.unreadable]
        if unreadable:
            raise ImageError(
                f"{len(unreadable)} of {len(items)} images cannot be read:\n" + listing([str(e) for e in unreadable])
            )
        return np.concatenate([self._no_rows(), *(batch.probabilities for batch in batches)])

    def predict_batches(self, images: Sequence[ImageInput]) -> Iterator[PredictedBatch]:
        """Predict batch by batch, in order, and go on where images cannot be read.

        Args:
            images: as for `predict`.
        """
        positions = iter(range(len(images)))
        with _pool(self._threads) as pool:
            ahead: deque[tuple[list[int], list[Future[Any]]]] = deque()
            while True:
                while len(ahead) <= BATCHES_AHEAD and (batch := list(islice(positions, BATCH_SIZE))):
                    ahead.append((batch, [pool.submit(self._prepare, images[i], i) for i in batch]))
                if not ahead:
                    return
                yield self._answer(*ahead.popleft())

    def probabilities(self, pixels: NDArray[np.float32] | torch.Tensor) -> NDArray[np.float32]:
        """Predict images that are already pixels of the network's size.

        Args:
            pixels: (N, C, H, W) float32, RGB (or grey), 0 to 255, with C, H, W of the model's `image_shape`.

        Returns:
            (N, num_classes) float32, as `predict`.

        Raises:
            UserError: another shape, type or range.
        """
        tensor = self._checked(pixels)
        starts = range(0, len(tensor), BATCH_SIZE)
        rows = [self._forward(tensor[start : start + BATCH_SIZE].to(self.device)) for start in starts]
        return np.concatenate([self._no_rows(), *rows])

    def activation_map(self, image: ImageInput, class_index: int | None = None) -> ActivationMap:
        """Which parts of an image speak for a class.

        Args:
            image: a path, the bytes of a JPEG or PNG file, or a (H, W, 3) uint8 RGB array.
            class_index: the class; None for the likeliest.

        Raises:
            ImageError: the image cannot be read.
            UserError: there is no such class.
        """
        if class_index is not None:
            check_class_index(class_index, self.description.num_classes)
        try:
            content = content_of(image)
            pixels = prepare(content, self._preprocessing)
            placement = place(size_of(content), self._preprocessing, self._model.stride)
        except ImageError as error:
            name = os.fspath(image) if isinstance(image, str | os.PathLike) else "image"
            raise ImageError(error.what, where=name, fix=error.fix) from error
        return explain(self._model, pixels, placement, class_index)

    def _prepare(self, image: ImageInput, position: int) -> NDArray[np.uint8] | ImageError:
        try:
            return prepare(image, self._preprocessing)
        except ImageError as error:
            return ImageError(error.what, where=name_of(image, position), fix=error.fix)

    def _answer(self, positions: list[int], futures: list[Future[Any]]) -> PredictedBatch:
        results = [future.result() for future in futures]
        read = [(i, result) for i, result in zip(positions, results, strict=True) if isinstance(result, np.ndarray)]
        unreadable = tuple(
            (i, result) for i, result in zip(positions, results, strict=True) if isinstance(result, ImageError)
        )
        if read:
            pixels = torch.from_numpy(np.stack([result for _, result in read])).to(self.device)
            probabilities = self._forward(pixels.permute(0, 3, 1, 2).float())
        else:
            probabilities = self._no_rows()
        return PredictedBatch(np.array([i for i, _ in read], np.int64), probabilities, unreadable)

    @torch.inference_mode()
    def _forward(self, pixels: torch.Tensor) -> NDArray[np.float32]:
        logits = self._model(pixels.contiguous(memory_format=torch.channels_last)).float()
        probabilities = logits.sigmoid() if self.description.multi_label else logits.softmax(dim=1)
        array: NDArray[np.float32] = probabilities.cpu().numpy()
        return array

    def _no_rows(self) -> NDArray[np.float32]:
        return np.zeros((0, self.description.num_classes), np.float32)

    def _checked(self, pixels: NDArray[np.float32] | torch.Tensor) -> torch.Tensor:
        wanted = f"float32 of shape (N, {', '.join(map(str, self.description.image_shape))}), 0 to 255"
        if not isinstance(pixels, np.ndarray | torch.Tensor):
            raise UserError(f"{type(pixels).__name__} is no array", where="pixels", fix=f"Pass {wanted}.")
        if str(pixels.dtype).removeprefix("torch.") != "float32":
            raise UserError(f"the pixels are {pixels.dtype}", where="pixels", fix=f"Pass {wanted}.")
        if tuple(pixels.shape[1:]) != tuple(self.description.image_shape):
            raise UserError(f"the shape is {tuple(pixels.shape)}", where="pixels", fix=f"Pass {wanted}.")
        tensor = pixels if isinstance(pixels, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(pixels))
        # Written so that NaN fails too.
        if not bool(((tensor >= 0) & (tensor <= 255)).all()):
            low, high = tensor.min().item(), tensor.max().item()
            raise UserError(f"the values run from {low:g} to {high:g}", where="pixels", fix=f"Pass {wanted}.")
        return tensor


def load(
    path: str | os.PathLike[str],
    device: str = "auto",
    threads: int = 0,
    *,
    class_names: Sequence[str] | None = None,
    image_shape: tuple[int, int, int] | None = None,
) -> Predictor:
    """Open a trained model; the same as `Predictor.load`."""
    return Predictor.load(path, device=device, threads=threads, class_names=class_names, image_shape=image_shape)


def _listed(images: Iterable[ImageInput]) -> list[ImageInput]:
    """The images as a list.

    Raises:
        UserError: this is one image.
    """
    one_array = isinstance(images, np.ndarray) and images.ndim != 4
    if isinstance(images, str | os.PathLike | bytes | bytearray | memoryview) or one_array:
        raise UserError("this is one image, not a list of images", where="images", fix="Pass a list: predict([image]).")
    return list(images)


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A thread pool that drops the work nobody waits for when the block ends early."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="imclass-predict")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
