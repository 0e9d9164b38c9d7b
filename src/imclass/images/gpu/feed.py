"""Decodes and augments batches on the GPU, ahead of their use.

    batch threads     each makes one batch, in a `Lane`: reads it, looks at the headers, plans, hands the JPEGs to the
                      decoder and launches the kernel. There are as many as there are lanes, and no more, because what
                      they compete for is Python's lock
    reading threads   read the images for them, where the source is not one that reads a batch at once (local records):
                      files and networks make each image wait, so several are read at the same time
    CPU threads       decode and augment what does not suit the hardware
    helpers           decode and augment a share of each batch, where that makes the whole faster

What the CPU decodes it also augments, by the CPU's own code; only the finished pixels go to the device.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.data.source import Encoded
from imclass.data.together import ReadTogether
from imclass.errors import ImageError
from imclass.images.gpu.decoder import suits_hardware
from imclass.images.gpu.lane import LANES, Hardware, Lane
from imclass.images.header import ImageHeader, read_header
from imclass.images.plan_batch import BatchPlan, plan_batch
from imclass.images.settings import Augmentation, Preprocessing
from imclass.images.workers import Workers

_IMAGES_A_TASK = 16
_MOST_READERS = 8

FillRow = Callable[[int, Encoded], None]
"""Decodes and augments an encoded image on the CPU, for a row of a batch."""

ReadAndFillRow = Callable[[int], None]
"""Reads the image of a row before that."""


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
        failures: why, by row, for images that cannot be read.
        rows: (m,) the rows that the device has made, in order; the others are the CPU's, or failures.
        enlarged: (m,) which of them were smaller than image_shape.
        pixels: (planned, H, W, C) uint8 on the device; None until the batch is done.
        finished: recorded on the device after the kernel; None on a CPU.
    """

    samples: Samples
    uniforms: NDArray[np.float32] | None
    failures: dict[int, str]
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    enlarged: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    pixels: torch.Tensor | None = None
    finished: torch.cuda.Event | None = None

    def rows_of_cpu(self) -> list[slice]:
        """The rows that the CPU has filled, as runs of neighbours."""
        is_cpu = np.ones(len(self.samples.indices), np.bool_)
        is_cpu[self.rows] = False
        is_cpu[list(self.failures)] = False
        edges = np.flatnonzero(np.diff(is_cpu, prepend=False, append=False))
        return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


@dataclass(frozen=True)
class CpuRows:
    """The CPU's way to rows of a batch.

    It leads to the batch that is delivered. A `DeviceBatch`, to which that leads, must therefore not hold it: only
    Python's garbage collector frees the memory of such a circle, on the device too, perhaps 100 batches later.

    Attributes:
        threads: decode what does not suit the hardware.
        fill_row: a row from its encoded image.
        read_and_fill_row: the same, from its number; what cannot be had is noted as a failure.
    """

    threads: Workers
    fill_row: FillRow
    read_and_fill_row: ReadAndFillRow


@dataclass(frozen=True)
class _Planned:
    """The images of a batch that the hardware decodes: rows (m,), what is encoded, headers and plan of each."""

    rows: NDArray[np.int64]
    encoded: list[Encoded]
    headers: list[ImageHeader]
    plan: BatchPlan


class HardwareFeed:
    """Makes batches on the device. It must be closed.

    Args:
        hardware: decoder and lanes.
        preprocessing: geometry of the result.
        augmentation: None for validation.
        scaled_decode: as in `preprocess`.
        threads: number of CPU threads, and of reading threads if there are fewer than 8.
        stall_seconds: longest wait for a read.
        read_together: reads the images of a batch at once; None where each is read by itself.
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
        read_together: ReadTogether | None = None,
    ) -> None:
        self._hardware = hardware
        self._preprocessing = preprocessing
        self._augmentation = augmentation
        self._scaled_decode = scaled_decode
        self._threads = threads
        self._stall_seconds = stall_seconds
        self._read_together = read_together
        self._is_closing = threading.Event()
        self._makers = Workers(LANES, stall_seconds)
        self._readers = Workers(0 if read_together else min(threads, _MOST_READERS), stall_seconds)
        self._helpers = Workers(hardware.share.threads, stall_seconds)
        hardware.share.begin_pass()

    def begin(self, batch: DeviceBatch, cpu: CpuRows) -> list[Future[None]]:
        """Begin a batch; it is done when all the futures are."""
        planned = len(batch.samples.indices)
        first_of_helpers = planned - self._hardware.share.rows_of_threads(planned)
        images: dict[int, Encoded] = {}
        pieces = [] if self._read_together else _pieces(range(first_of_helpers), _IMAGES_A_TASK)
        reads = [self._readers.submit(partial(self._read, batch, rows, images)) for rows in pieces]
        shared = _pieces(range(first_of_helpers, planned), _IMAGES_A_TASK)
        fills = [self._helpers.submit(partial(self._fill_share, rows, cpu.read_and_fill_row)) for rows in shared]
        make = partial(self._make, batch, range(first_of_helpers), images, reads, cpu)
        return [*reads, *fills, self._makers.submit(make)]

    def close(self) -> None:
        """Drop what has not begun, wait for the rest, and end the threads."""
        self._is_closing.set()
        self._helpers.close()
        self._readers.close()
        self._makers.close()
        self._hardware.let_go()

    def _read(self, batch: DeviceBatch, rows: Sequence[int], images: dict[int, Encoded]) -> None:
        """Read images one by one into `images`; what cannot be had is noted as a failure."""
        for row in rows:
            if self._is_closing.is_set():
                return
            try:
                images[row] = batch.samples.image(row)
            except ImageError as problem:
                batch.failures[row] = problem.what

    def _fill_share(self, rows: Sequence[int], read_and_fill_row: ReadAndFillRow) -> None:
        """The helpers' part."""
        start = time.perf_counter()
        for row in rows:
            if self._is_closing.is_set():
                return
            read_and_fill_row(row)
        self._hardware.share.thread_took(time.perf_counter() - start, len(rows))

    def _fill(self, images: dict[int, Encoded], fill_row: FillRow) -> None:
        for row, data in images.items():
            if self._is_closing.is_set():
                return
            fill_row(row, data)

    def _make(
        self,
        batch: DeviceBatch,
        rows: range,
        images: dict[int, Encoded],
        reads: list[Future[None]],
        cpu: CpuRows,
    ) -> None:
        """Make a batch: all its `rows` but those that the CPU threads fill."""
        self._readers.wait(reads)
        height, width, channels = self._preprocessing.height, self._preprocessing.width, self._preprocessing.channels
        with self._hardware.lane(self._stall_seconds) as lane, lane.on_stream():
            lane.let_go()
            if self._read_together is not None:
                self._read_at_once(batch, rows, images, lane)
            planned, others = self._divided(batch, images)
            fills = self._submit(others, cpu)
            try:
                shape = (len(batch.samples.indices), height, width, channels)
                pixels = torch.empty(shape, dtype=torch.uint8, device=self._hardware.device)
                if planned is not None:
                    refused = self._decode(batch, planned, pixels, lane)
                    fills += self._submit(refused, cpu)  # which says what is wrong with them
                else:
                    batch.finished = lane.keep([])
                cpu.threads.wait(fills)
            finally:
                wait(fills, self._stall_seconds)  # after an error too: they read memory that the lane uses again
        batch.pixels = pixels

    def _read_at_once(self, batch: DeviceBatch, rows: range, images: dict[int, Encoded], lane: Lane) -> None:
        assert self._read_together is not None
        read = self._read_together(batch.samples.indices[rows.start : rows.stop], lane.encoded)
        images.update((row, data) for row, data in zip(rows, read, strict=True) if data is not None)
        self._read(batch, [row for row, data in zip(rows, read, strict=True) if data is None], images)

    def _divided(self, batch: DeviceBatch, images: dict[int, Encoded]) -> tuple[_Planned | None, dict[int, Encoded]]:
        """What the hardware decodes, and the other images that can be read, by row."""
        others: dict[int, Encoded] = {}
        suited: dict[int, ImageHeader] = {}
        for row in sorted(images):
            try:
                header = read_header(images[row])
            except ImageError as problem:
                batch.failures[row] = problem.what
                continue
            if suits_hardware(images[row], header):
                suited[row] = header
            else:
                others[row] = images[row]
        if not suited:
            return None, others
        plan = self._plan(batch, suited)
        rows = np.array(list(suited), np.int64)
        if plan.needs_steps.any():
            others.update((row, images[row]) for row in rows[plan.needs_steps].tolist())
            chosen = np.flatnonzero(~plan.needs_steps)
            plan, rows = plan.taken(chosen), rows[chosen]
        if not len(rows):
            return None, others
        numbers = rows.tolist()
        return _Planned(rows, [images[row] for row in numbers], [suited[row] for row in numbers], plan), others

    def _plan(self, batch: DeviceBatch, headers: dict[int, ImageHeader]) -> BatchPlan:
        uniforms = None if batch.uniforms is None else batch.uniforms[list(headers)]
        widths = np.array([header.width for header in headers.values()])
        heights = np.array([header.height for header in headers.values()])
        return plan_batch(uniforms, widths, heights, self._preprocessing, self._augmentation)

    def _decode(self, batch: DeviceBatch, planned: _Planned, pixels: torch.Tensor, lane: Lane) -> dict[int, Encoded]:
        """Decode, and augment into `pixels`.

        Everything else is done before, so that little Python stands between the decoder and the kernel.

        Returns:
            By row, the images that the decoder refused.
        """
        encoded = lane.as_tensors(planned.encoded)
        orientations = np.array([header.orientation for header in planned.headers], np.int64)
        lane.tables.prepare(orientations, planned.plan, planned.rows, scaled_decode=self._scaled_decode)
        start = time.perf_counter()
        decoded = self._hardware.decoder.decode(encoded, self._preprocessing.channels)
        end = time.perf_counter()
        images = [
            image if _is_whole(image, header) else None for image, header in zip(decoded, planned.headers, strict=True)
        ]
        lane.tables.launch(images, pixels, fill_value=self._preprocessing.fill_value)
        batch.finished = lane.keep(decoded)
        self._hardware.share.hardware_took(start, end, len(images))
        is_made = np.array([image is not None for image in images], np.bool_)
        batch.rows, batch.enlarged = planned.rows[is_made], planned.plan.is_enlarged[is_made]
        return {int(planned.rows[place]): planned.encoded[place] for place in np.flatnonzero(~is_made)}

    def _submit(self, images: dict[int, Encoded], cpu: CpuRows) -> list[Future[None]]:
        """Let the CPU threads fill rows."""
        images_a_task = max(1, min(_IMAGES_A_TASK, -(-len(images) // self._threads)))
        pieces = _pieces(sorted(images), images_a_task)
        parts = [{row: images[row] for row in piece} for piece in pieces]
        return [cpu.threads.submit(partial(self._fill, part, cpu.fill_row)) for part in parts]


def _pieces(rows: Sequence[int], length: int) -> list[Sequence[int]]:
    return [rows[first : first + length] for first in range(0, len(rows), length)]


def _is_whole(image: torch.Tensor | None, header: ImageHeader) -> bool:
    """Whether an image was decoded, at the size that its header gives."""
    return image is not None and image.shape[1:] == (header.stored_height, header.stored_width)
