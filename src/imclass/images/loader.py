"""Feeds a device with batches of images, decoded ahead of their use on threads.

Batches come in the order of the requests and hold the same pixels for any number of threads. Where a GPU decodes a part
of them, the speeds measured decide which; its levels differ from the CPU's by rounding (docs/pixels.md).
"""

import weakref
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, nullcontext
from functools import partial
from types import TracebackType
from typing import Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from imclass.data.in_advance import in_advance
from imclass.data.pipe import PipeChannel
from imclass.data.source import ArrivedSamples, Encoded, Source
from imclass.data.together import together
from imclass.errors import ImageError
from imclass.images.bad_images import BadImages
from imclass.images.batch import Batch, ChosenSamples, Pending, Request, indices_of
from imclass.images.decoded_set import DecodedSet, decode_set
from imclass.images.device_set import Chosen, DeviceSet, put_on_device
from imclass.images.draws import Draws
from imclass.images.gpu.decoder import HardwareDecoder
from imclass.images.gpu.feed import CpuRows, DeviceBatch, HardwareFeed
from imclass.images.gpu.lane import Hardware
from imclass.images.gpu.opening import DecoderChoice, check_device, open_hardware, wants_hardware
from imclass.images.header import read_header
from imclass.images.plan import ImagePlan, Layout, lay_out, plan_cuts, plan_image
from imclass.images.preprocess import carry_out
from imclass.images.scratch import Scratch
from imclass.images.settings import Augmentation, Preprocessing
from imclass.images.warp_cpu import execute
from imclass.images.workers import Workers, thread_count

__all__ = ["Batch", "Loader", "Request"]

_BATCHES_AHEAD = 4
_MOST_IMAGES_A_TASK = 16


class Loader:
    """Batches of a source's images.

    OpenCV's own threads are switched off for the whole process, because they would compete with the loader's: work
    is shared out by image, which leaves no core waiting at the end of every small step.

    Args:
        source: encoded images and labels; of a pipe only the name is used, its samples come with the requests.
        preprocessing: geometry of the result.
        augmentation: random changes for training; None for validation.
        seed: of the random changes, 0 .. 2**64 - 1.
        threads: decoding threads; 0 = one for each core that this process may use.
        device: where batches are delivered.
        bad_images: collects unreadable images and ends the run when there are too many.
        cache_bytes: most memory for a data set of small images that is kept decoded; 0 = never.
        samples: length of a pass through a pipe; None where nobody knows it.
        scaled_decode: as in `preprocess`.
        stall_seconds: how long nothing may be decoded, while a batch is waited for, before the loader gives up.
        decoder: what decodes JPEGs for a GPU; see `DecoderChoice`.
        hardware_decoder: what "hardware" stands for; None = that of the GPU.

    Raises:
        UserError: the hardware decoder is asked for where there is no GPU.
    """

    def __init__(
        self,
        source: Source | PipeChannel,
        preprocessing: Preprocessing,
        *,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        threads: int = 0,
        device: torch.device,
        bad_images: BadImages,
        cache_bytes: int = 1 << 28,
        samples: int | None = None,
        scaled_decode: bool = True,
        stall_seconds: float = 120.0,
        decoder: DecoderChoice = "cpu",
        hardware_decoder: HardwareDecoder | None = None,
    ) -> None:
        self.source = source
        self.preprocessing = preprocessing
        self.augmentation = augmentation
        self.device = device
        self._samples = samples if isinstance(source, PipeChannel) else len(source)
        self._draws = Draws(seed, self._samples or 0)
        self._threads = thread_count(threads)
        self._bad_images = bad_images
        self._cache_bytes = cache_bytes
        self._scaled_decode = scaled_decode
        self._stall_seconds = stall_seconds
        self._is_enlarged = np.zeros(self._samples or 0, np.bool_)
        self._scratch = Scratch()
        self._decoded: DecodedSet | None = None
        self._device_set: DeviceSet | None = None
        self._plain_layout: Layout | None = None
        self._has_tried_decoding = cache_bytes == 0
        if hardware_decoder is None:
            check_device(decoder, device)
        self._decoder: DecoderChoice = decoder
        self._hardware_decoder = hardware_decoder
        self._hardware: Hardware | None = None
        self._has_tried_hardware = not wants_hardware(decoder, device, augments=augmentation is not None)
        self._copy_stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._iterations: weakref.WeakSet[Generator[Batch]] = weakref.WeakSet()
        cv2.setNumThreads(0)

    @property
    def enlarged(self) -> int:
        """Number of distinct samples so far that are smaller than image_shape and were enlarged to it."""
        return int(self._is_enlarged.sum())

    @property
    def _random_access(self) -> Source:
        assert not isinstance(self.source, PipeChannel), "the samples of a pipe come with the requests"
        return self.source

    def batches(self, requests: Iterable[Request]) -> Iterator[Batch]:
        """Batches, in the order of the requests. Decoding begins when the first is asked for.

        The threads live as long as the iterator: they end when it is exhausted, closed, dropped or fails.

        Raises (while iterating):
            DataError: the source is broken, or too many of its images are unreadable.
            RuntimeError: nothing was decoded for `stall_seconds`.
        """
        iteration = self._iterate(iter(requests))
        self._iterations.add(iteration)
        return iteration

    def close(self) -> None:
        """End all iterations that are still open."""
        for iteration in list(self._iterations):
            iteration.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _iterate(self, requests: Iterator[Request]) -> Generator[Batch]:
        with ExitStack() as threads:
            # On a CPU that also trains, each moment in which a decoding thread takes a core from one of those that
            # compute a layer together is waited for by all of them.
            workers = Workers(self._threads, self._stall_seconds, in_background=self.device.type == "cpu")
            threads.callback(workers.close)
            self._decode_small_images(workers)
            if self._device_set is not None:
                yield from self._deliver_from_device(requests, self._device_set)
                return
            feed = self._open_feed()
            if feed is not None:
                threads.callback(feed.close)
            if self._decoded is not None or isinstance(self.source, PipeChannel):
                yield from self._deliver_all(requests, workers, feed)
                return
            with in_advance(self.source, requests, indices_of) as announced:
                yield from self._deliver_all(announced, workers, feed)

    def _open_feed(self) -> HardwareFeed | None:
        """What makes the batches of this iteration on the device, where that is possible and worth while."""
        if self._decoded is not None:
            return None
        if not self._has_tried_hardware:
            self._has_tried_hardware = True
            self._hardware = open_hardware(self._decoder, self.device, self._threads, self._hardware_decoder)
        if self._hardware is None:
            return None
        return HardwareFeed(
            self._hardware,
            self.preprocessing,
            self.augmentation,
            scaled_decode=self._scaled_decode,
            threads=self._threads,
            stall_seconds=self._stall_seconds,
            read_together=None if isinstance(self.source, PipeChannel) else together(self.source),
        )

    def _deliver_all(
        self, requests: Iterator[Request], workers: Workers, feed: HardwareFeed | None
    ) -> Generator[Batch]:
        ahead: deque[Pending] = deque()
        while True:
            while len(ahead) < _BATCHES_AHEAD and (request := next(requests, None)) is not None:
                ahead.append(self._begin(request, workers, feed))
            if not ahead:
                return
            if self._hardware is not None:
                self._hardware.share.asked(len(ahead[0].enlarged), is_ready=ahead[0].is_decoded)
            workers.wait(ahead[0].tasks)
            self._copy_decoded(ahead)
            yield self._deliver(ahead.popleft())

    def _decode_small_images(self, workers: Workers) -> None:
        if self._has_tried_decoding or isinstance(self.source, PipeChannel):
            return
        self._has_tried_decoding = True
        decoded = decode_set(self._random_access, self.preprocessing, self.augmentation, self._cache_bytes, workers)
        if decoded is None:
            return
        self._decoded = decoded
        augmentation = self.augmentation
        if augmentation and (augmentation.distorts or augmentation.changes_colour):
            return
        layout = lay_out(
            decoded.width,
            decoded.height,
            self.preprocessing,
            pad_size=augmentation.pad_size if augmentation else 0,
        )
        if not layout.is_plain:
            return
        self._plain_layout = layout
        self._device_set = put_on_device(decoded, self._random_access.labels, self.device, self.source.name)
        if self._device_set is not None:
            self._decoded = None  # one copy is enough

    def _deliver_from_device(self, requests: Iterator[Request], device_set: DeviceSet) -> Generator[Batch]:
        """Batches of a set that lives on the device."""
        assert self._plain_layout is not None
        chosen = map(self._of_random_access, requests)
        for cut in device_set.batches(chosen, self._plain_layout, self.augmentation, self._draws):
            key = self._random_access.key
            self._report([(key(int(cut.indices[row])), problem) for row, problem in cut.failures.items()])
            readable = np.delete(cut.indices, list(cut.failures))
            yield Batch(cut.images, cut.labels, readable, planned=len(cut.indices))

    @staticmethod
    def _of_random_access(request: Request) -> Chosen:
        assert not isinstance(request, ArrivedSamples), "the samples of a pipe have no place in a decoded set"
        return request

    def _begin(self, request: Request, workers: Workers, feed: HardwareFeed | None) -> Pending:
        samples = request if isinstance(request, ArrivedSamples) else ChosenSamples(self._random_access, *request)
        indices = samples.indices
        pending = Pending(
            samples=samples,
            rows=None if self.augmentation is None else self._draws.rows(indices, samples.passes),
            shape=(len(indices), self.preprocessing.height, self.preprocessing.width, self.preprocessing.channels),
            is_pinned=self._copy_stream is not None,
            enlarged=np.zeros(len(indices), np.bool_),
        )
        if self._decoded is not None and self._plain_layout is not None:
            cut = partial(self._cut_batch, pending, self._decoded, self._plain_layout)
            pending.tasks.append(workers.submit(cut))
            return pending
        if feed is not None:
            cpu = CpuRows(workers, partial(self._fill_row, pending), partial(self._read_and_fill_row, pending))
            pending.on_device = DeviceBatch(samples, pending.rows, pending.failures)
            pending.tasks += feed.begin(pending.on_device, cpu)
            return pending
        images_a_task = max(1, min(_MOST_IMAGES_A_TASK, -(-len(indices) // self._threads)))
        for start in range(0, len(indices), images_a_task):
            chosen = range(start, min(start + images_a_task, len(indices)))
            pending.tasks.append(workers.submit(partial(self._fill, pending, chosen)))
        return pending

    def _cut_batch(self, pending: Pending, decoded: DecodedSet, layout: Layout) -> None:
        """A whole batch at once, from decoded images that need no more than a cut and a mirror."""
        indices = pending.samples.indices
        cuts = plan_cuts(pending.rows, len(indices), layout, self.augmentation)
        decoded.cut(indices, cuts, pending.pixels.numpy())
        if decoded.unreadable:
            for row, index in enumerate(indices.tolist()):
                if index in decoded.unreadable:
                    pending.failures[row] = decoded.unreadable[index].what

    def _fill(self, pending: Pending, chosen: range) -> None:
        """Some rows of a batch, image by image."""
        for row in chosen:
            if self._decoded is not None:
                self._fill_from_decoded(pending, row, self._decoded)
            else:
                self._read_and_fill_row(pending, row)

    def _fill_from_decoded(self, pending: Pending, row: int, decoded: DecodedSet) -> None:
        """A row of a batch, from an image that is kept decoded."""
        try:
            image = decoded.image(int(pending.samples.indices[row]))
        except ImageError as problem:
            pending.failures[row] = problem.what
            return
        plan = self._plan(pending, row, decoded.width, decoded.height)
        execute(image, plan, out=pending.pixels.numpy()[row], scratch=self._scratch)
        pending.enlarged[row] = plan.layout.is_enlarged

    def _read_and_fill_row(self, pending: Pending, row: int) -> None:
        """A row of a batch, from the source."""
        try:
            data = pending.samples.image_in(row, self._scratch.encoded)
        except ImageError as problem:
            pending.failures[row] = problem.what
        else:
            self._fill_row(pending, row, data)

    def _fill_row(self, pending: Pending, row: int, data: Encoded) -> None:
        """A row of a batch, from an encoded image."""
        try:
            header = read_header(data)
            plan = self._plan(pending, row, header.width, header.height)
            carry_out(
                data,
                header,
                plan,
                self.preprocessing.channels,
                scaled_decode=self._scaled_decode,
                out=pending.pixels.numpy()[row],
                scratch=self._scratch,
            )
        except ImageError as problem:
            pending.failures[row] = problem.what
        else:
            pending.enlarged[row] = plan.layout.is_enlarged

    def _plan(self, pending: Pending, row: int, width: int, height: int) -> ImagePlan:
        uniforms = None if pending.rows is None else pending.rows[row]
        return plan_image(uniforms, width, height, self.preprocessing, self.augmentation)

    def _copy_decoded(self, ahead: deque[Pending]) -> None:
        """Start the copy to the device of all batches that are decoded, in order and before they are asked for."""
        for pending in ahead:
            if not pending.is_decoded:
                return
            if pending.copied is None:
                pending.copied = self._copy(pending)

    def _copy(self, pending: Pending) -> tuple[torch.Tensor, torch.Tensor, torch.cuda.Event | None]:
        readable = pending.readable
        labels = torch.from_numpy(np.ascontiguousarray(pending.samples.labels[readable], np.float32))
        if pending.on_device is not None:
            return self._complete(pending.on_device, pending, labels)
        pixels = pending.pixels if readable.all() else pending.pixels[torch.from_numpy(readable)]
        images = pixels.permute(0, 3, 1, 2)
        if self._copy_stream is None:
            return images.to(self.device), labels.to(self.device), None
        with torch.cuda.stream(self._copy_stream):
            copied = (
                images.to(self.device, non_blocking=True),
                labels.pin_memory().to(self.device, non_blocking=True),
            )
            return *copied, self._copy_stream.record_event()

    def _complete(
        self, made: DeviceBatch, pending: Pending, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.cuda.Event | None]:
        """Add the CPU's rows to a batch that was made on the device."""
        pixels, stream = made.pixels, self._copy_stream
        assert pixels is not None
        pending.enlarged[made.rows] = made.enlarged
        with nullcontext() if stream is None else torch.cuda.stream(stream):
            if stream is not None and made.finished is not None:
                stream.wait_event(made.finished)
                pixels.record_stream(stream)
                labels = labels.pin_memory()
            for rows in made.rows_of_cpu():
                pixels[rows].copy_(pending.pixels[rows], non_blocking=True)
            if pending.failures:
                readable = torch.from_numpy(np.flatnonzero(pending.readable))
                pixels = pixels[readable.to(self.device, non_blocking=True)]
            labels = labels.to(self.device, non_blocking=True)
            return pixels.permute(0, 3, 1, 2), labels, stream.record_event() if stream is not None else None

    def _deliver(self, pending: Pending) -> Batch:
        self._report([(pending.samples.key(row), pending.failures[row]) for row in sorted(pending.failures)])
        indices = pending.samples.indices
        self._remember_enlarged(indices[pending.enlarged])
        assert pending.copied is not None
        images, labels, arrived = pending.copied
        if arrived is not None:
            consumer = torch.cuda.current_stream(self.device)
            consumer.wait_event(arrived)
            images.record_stream(consumer)
            labels.record_stream(consumer)
        return Batch(images, labels, indices[pending.readable], planned=len(indices))

    def _report(self, failures: list[tuple[str, str]]) -> None:
        """Record the images of a batch that cannot be read: key and reason of each."""
        for key, reason in failures:
            self._bad_images.add(self.source.name, key, reason)
        if failures and self._samples is not None:
            self._bad_images.check(self.source.name, self._samples)

    def _remember_enlarged(self, indices: NDArray[np.int64]) -> None:
        missing = int(indices.max(initial=-1)) + 1 - len(self._is_enlarged)
        if missing > 0:  # a pipe of unknown length; it grows by more than is needed, so that it seldom has to
            self._is_enlarged = np.pad(self._is_enlarged, (0, missing + len(self._is_enlarged)))
        self._is_enlarged[indices] = True
