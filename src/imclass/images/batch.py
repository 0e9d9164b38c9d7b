"""A batch: as it is asked for, while it is made, and as it is delivered."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.data.reused_memory import ReusedMemory
from imclass.data.source import ArrivedSamples, Encoded, ImageReader, Source, image_reader
from imclass.images.gpu.feed import DeviceBatch

Request = tuple[NDArray[np.int64], NDArray[np.int64]] | ArrivedSamples
"""Samples of a batch: indices (n,) and, for each, the number of the pass through the data, from 0; or, of a pipe, the
samples themselves."""


def indices_of(request: Request) -> NDArray[np.int64]:
    """(n,) int64, the samples of a request by their numbers."""
    return request.indices if isinstance(request, ArrivedSamples) else request[0]


@dataclass(frozen=True)
class Batch:
    """The readable images of a request.

    Attributes:
        images: (n, C, H, W) uint8 on the loader's device, channels_last in memory; RGB or grey, 0..255.
        labels: (n, L) float32 on the loader's device.
        indices: (n,) int64, place of each in the source.
        planned: number of samples asked for; planned - n were unreadable. n may be 0.
    """

    images: torch.Tensor
    labels: torch.Tensor
    indices: NDArray[np.int64]
    planned: int


@dataclass(frozen=True)
class ChosenSamples:
    """Samples of a batch that are read from a source when their turn comes; see `ArrivedSamples`."""

    source: Source
    indices: NDArray[np.int64]
    passes: NDArray[np.int64]

    @property
    def labels(self) -> NDArray[np.float32]:
        """(n, L) float32."""
        return self.source.labels[self.indices]

    def image(self, row: int) -> bytes:
        """The encoded image of a sample."""
        return self.source[self.indices.item(row)].image

    def image_in(self, row: int, memory: ReusedMemory) -> Encoded:
        """As `image`; see `ReadsIntoMemory`."""
        return self._read_image(self.indices.item(row), memory)

    @cached_property
    def _read_image(self) -> ImageReader:
        return image_reader(self.source)

    def key(self, row: int) -> str:
        """The name of a sample."""
        return self.source.key(int(self.indices[row]))


@dataclass
class Pending:
    """A batch on its way.

    Attributes:
        samples: the `planned` samples asked for.
        rows: (planned, COLUMNS) uniforms; None without augmentation.
        shape: (planned, H, W, C), of `pixels`.
        is_pinned: whether `pixels` are page-locked, as the device is a GPU.
        tasks: what fills it.
        failures: why, by row, for images that cannot be read; as text, because an error keeps all that the functions
            had which it went through, this batch too.
        enlarged: (planned,) which images are smaller than image_shape.
        on_device: what the hardware decoder does of it; None where the CPU does all.
        copied: (images, labels) on the device, and the event that says that they have arrived.
    """

    samples: ChosenSamples | ArrivedSamples
    rows: NDArray[np.float32] | None
    shape: tuple[int, int, int, int]
    is_pinned: bool
    enlarged: NDArray[np.bool_]
    tasks: list[Future[None]] = field(default_factory=list)
    failures: dict[int, str] = field(default_factory=dict)
    on_device: DeviceBatch | None = None
    copied: tuple[torch.Tensor, torch.Tensor, torch.cuda.Event | None] | None = None
    _pixels: torch.Tensor | None = None
    _allocating: threading.Lock = field(default_factory=threading.Lock)

    @property
    def pixels(self) -> torch.Tensor:
        """(planned, H, W, C) uint8 on the CPU, filled by tasks. They are allocated when the first one asks."""
        with self._allocating:
            if self._pixels is None:
                self._pixels = torch.empty(self.shape, dtype=torch.uint8, pin_memory=self.is_pinned)
            return self._pixels

    @property
    def is_decoded(self) -> bool:
        return all(task.done() and task.exception() is None for task in self.tasks)

    @property
    def readable(self) -> NDArray[np.bool_]:
        """(planned,) which rows hold an image."""
        readable = np.ones(len(self.enlarged), np.bool_)
        readable[list(self.failures)] = False
        return readable
