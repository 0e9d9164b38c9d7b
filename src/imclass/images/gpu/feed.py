"""Decodes and augments batches on the GPU, ahead of their use.

    reading threads   read the images and look at their headers; decode at once what does not suit the hardware
    one thread        hands the others of a batch to the decoder, then launches the kernel, on its own stream
    CPU threads       decode and augment a share of each batch, where the decoder alone is too slow

What the CPU decodes it also augments, by the CPU's own code; only the finished pixels go to the device.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.errors import ImageError
from imclass.images.gpu.decoder import HardwareDecoder, suits_hardware
from imclass.images.gpu.share import DecodeShare
from imclass.images.gpu.warp import execute_batch
from imclass.images.header import ImageHeader, read_header
from imclass.images.plan_batch import plan_batch
from imclass.images.settings import Augmentation, Preprocessing
from imclass.images.workers import Workers

_IMAGES_A_TASK = 16

FillRow = Callable[[int, bytes], None]
"""Decodes and augments an encoded image on the CPU, for a row of a batch."""


class Samples(Protocol):
    """The encoded images of a batch."""

    @property
    def indices(self) -> NDArray[np.int64]: ...

    def image(self, row: int) -> bytes:
        """The encoded image of a sample.

        Raises:
            ImageError: it cannot be had.
        """
        ...


@dataclass
class DeviceBatch:
    """A batch that is being made on the device.

    Attributes:
        samples: the `planned` samples asked for.
        uniforms: (planned, COLUMNS) of the augmentation; None without.
        fill_row: the CPU's way to a row.
        failures: why, by row, for images that cannot be read.
        encoded: by row, what the hardware decoder is given.
        rows: (m,) the rows that the device has made, in order; the others are the CPU's.
        enlarged: (m,) which of them were smaller than image_shape.
        pixels: (planned, H, W, C) uint8 on the device; None until the batch is done.
        finished: recorded on the device after the kernel; None on a CPU.
    """

    samples: Samples
    uniforms: NDArray[np.float32] | None
    fill_row: FillRow
    failures: dict[int, ImageError]
    encoded: dict[int, tuple[bytes, ImageHeader]] = field(default_factory=dict)
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    enlarged: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    pixels: torch.Tensor | None = None
    finished: torch.cuda.Event | None = None

    def rows_of_cpu(self) -> list[slice]:
        """The rows that the CPU has filled, as runs of neighbours."""
        is_cpu = np.ones(len(self.samples.indices), np.bool_)
        is_cpu[self.rows] = False
        edges = np.flatnonzero(np.diff(is_cpu, prepend=False, append=False))
        return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


@dataclass(frozen=True)
class Hardware:
    """What feeds of one loader share.

    Attributes:
        decoder: decodes.
        device: where.
        stream: where the kernel runs; None on a CPU.
        share: divides the work.
    """

    decoder: HardwareDecoder
    device: torch.device
    stream: torch.cuda.Stream | None
    share: DecodeShare

    def on_stream(self) -> AbstractContextManager[object]:
        """Make `stream` the current one."""
        return nullcontext() if self.stream is None else torch.cuda.stream(self.stream)


class HardwareFeed:
    """Makes batches on the device. It must be closed.

    Args:
        hardware: decoder and stream.
        preprocessing: geometry of the result.
        augmentation: None for validation.
        scaled_decode: as in `preprocess`.
        threads: number of reading threads.
        stall_seconds: longest wait for a read.
    """

    def __init__(
        self,
        hardware: Hardware,
        preprocessing: Preprocessing,
        augmentation: Augmentation | None,
        *,
        scaled_decode: bool,
        threads: int,
        stall_seconds: float,
    ) -> None:
        self._hardware = hardware
        self._preprocessing = preprocessing
        self._augmentation = augmentation
        self._scaled_decode = scaled_decode
        self._readers = Workers(threads, stall_seconds)
        self._decoding = Workers(1, stall_seconds)
        self._in_use: tuple[list[torch.Tensor], torch.cuda.Event | None] = ([], None)

    def begin(self, batch: DeviceBatch, cpu: Workers) -> list[Future[None]]:
        """Begin a batch; it is done when all the futures are.

        Args:
            cpu: threads that decode the CPU's share.
        """
        planned = len(batch.samples.indices)
        first_of_cpu = planned - self._hardware.share.rows_of_threads(planned)
        reads = [self._readers.submit(partial(self._read, batch, rows)) for rows in _pieces(0, first_of_cpu)]
        fills = [cpu.submit(partial(self._fill, batch, rows)) for rows in _pieces(first_of_cpu, planned)]
        return [*reads, *fills, self._decoding.submit(partial(self._decode, batch, reads))]

    def close(self) -> None:
        """Drop what has not begun, wait for the rest, and end the threads."""
        self._readers.close()
        self._decoding.close()
        self._let_go()

    def _read(self, batch: DeviceBatch, rows: range) -> None:
        for row, data in _images(batch, rows):
            try:
                header = read_header(data)
            except ImageError as problem:
                batch.failures[row] = problem
                continue
            if suits_hardware(data, header):
                batch.encoded[row] = data, header
            else:
                batch.fill_row(row, data)

    def _fill(self, batch: DeviceBatch, rows: range) -> None:
        start = time.perf_counter()
        for row, data in _images(batch, rows):
            batch.fill_row(row, data)
        self._hardware.share.thread_took(time.perf_counter() - start, len(rows))

    def _decode(self, batch: DeviceBatch, reads: list[Future[None]]) -> None:
        self._readers.wait(reads)
        height, width, channels = self._preprocessing.height, self._preprocessing.width, self._preprocessing.channels
        with self._hardware.on_stream():
            shape = (len(batch.samples.indices), height, width, channels)
            pixels = torch.empty(shape, dtype=torch.uint8, device=self._hardware.device)
            if batch.encoded:
                self._make(batch, pixels)
            if self._hardware.stream is not None:
                batch.finished = self._hardware.stream.record_event()
        batch.encoded.clear()
        batch.pixels = pixels

    def _make(self, batch: DeviceBatch, pixels: torch.Tensor) -> None:
        """Decode what has been read, and augment it into `pixels`."""
        rows = np.array(sorted(batch.encoded), np.int64)
        headers = [batch.encoded[row][1] for row in rows.tolist()]
        start = time.perf_counter()
        decoded = self._hardware.decoder.decode(
            [batch.encoded[row][0] for row in rows.tolist()], self._preprocessing.channels
        )
        self._hardware.share.hardware_took(time.perf_counter() - start, len(rows))
        self._let_go()

        uniforms = None if batch.uniforms is None else batch.uniforms[rows]
        plan = plan_batch(uniforms, *_sizes(headers), self._preprocessing, self._augmentation)
        is_good = ~plan.needs_steps & [_is_whole(image, header) for image, header in zip(decoded, headers, strict=True)]
        for row in rows[~is_good].tolist():
            batch.fill_row(row, batch.encoded[row][0])  # which says what is wrong, if that is why
        chosen = np.flatnonzero(is_good)
        images = [image for place in chosen if (image := decoded[place]) is not None]
        orientations = np.array([headers[place].orientation for place in chosen], np.int64)
        batch.rows, batch.enlarged = rows[chosen], plan.is_enlarged[chosen]
        tables = execute_batch(
            images,
            orientations,
            plan.taken(chosen),
            pixels,
            batch.rows,
            fill_value=self._preprocessing.fill_value,
            scaled_decode=self._scaled_decode,
        )
        event = None if self._hardware.stream is None else self._hardware.stream.record_event()
        self._in_use = [*images, *tables], event

    def _let_go(self) -> None:
        """Free what the last kernel read. It was done long ago, unless the device is late.

        It is kept so long because the decoder writes new images without waiting for this stream: it must not be given
        memory that a kernel still reads.
        """
        _, event = self._in_use
        if event is not None:
            event.synchronize()
        self._in_use = [], None


def _images(batch: DeviceBatch, rows: range) -> Iterator[tuple[int, bytes]]:
    """Rows with their encoded images; what cannot be had is noted as a failure."""
    for row in rows:
        try:
            data = batch.samples.image(row)
        except ImageError as problem:
            batch.failures[row] = problem
        else:
            yield row, data


def _pieces(start: int, stop: int) -> list[range]:
    return [range(first, min(first + _IMAGES_A_TASK, stop)) for first in range(start, stop, _IMAGES_A_TASK)]


def _sizes(headers: Sequence[ImageHeader]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Widths and heights as displayed."""
    return np.array([header.width for header in headers]), np.array([header.height for header in headers])


def _is_whole(image: torch.Tensor | None, header: ImageHeader) -> bool:
    """Whether an image was decoded, at the size that its header gives."""
    return image is not None and tuple(image.shape[1:]) == (header.stored_height, header.stored_width)
