"""What it takes to make one batch on the device: several lanes make several batches at the same time.

While the decoder works on one batch, Python reads the next and launches the kernel of the one before, so that the
decoder never waits for Python. Each lane has its own stream and its own memory, because nothing of a batch may be
overwritten before the device is done with it; the memory is used again for the lane's next batch.
"""

import queue
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.data.reused_memory import ReusedMemory
from imclass.data.source import Encoded
from imclass.images.gpu.decoder import HardwareDecoder
from imclass.images.gpu.share import DecodeShare
from imclass.images.gpu.warp import WarpTables

LANES = 3
"""One batch is being decoded, one waits for the decoder, one is being read or augmented."""


class Lane:
    """Stream and memory of one batch after another.

    Args:
        device: where the batches are made.

    Attributes:
        stream: where the kernel runs; None on a CPU.
        encoded: the images of a batch as they are read.
        tables: what the kernel reads.
    """

    def __init__(self, device: torch.device) -> None:
        is_gpu = device.type == "cuda"
        self.stream = torch.cuda.Stream(device) if is_gpu else None  # type: ignore[no-untyped-call]
        self.encoded = ReusedMemory(allocate=_page_locked if is_gpu else None)
        self.tables = WarpTables(device)
        self._copies = ReusedMemory(allocate=_page_locked if is_gpu else None)
        self._in_use: tuple[Sequence[torch.Tensor | None], torch.cuda.Event | None] = ([], None)

    def on_stream(self) -> AbstractContextManager[object]:
        """Make `stream` the current one."""
        return nullcontext() if self.stream is None else torch.cuda.stream(self.stream)

    def as_tensors(self, images: Sequence[Encoded]) -> list[torch.Tensor]:
        """The encoded images as (bytes,) uint8. Those that the lane has read it views, all others are copied once."""
        copied = [image for image in images if isinstance(image, bytes)]
        room = self._copies.array((sum(map(len, copied)),))
        if copied:
            np.concatenate([np.frombuffer(image, np.uint8) for image in copied], out=room)
        views = iter(_cut(room.data, copied))
        return [
            torch.frombuffer(next(views) if isinstance(image, bytes) else image, dtype=torch.uint8) for image in images
        ]

    def keep(self, images: Sequence[torch.Tensor | None]) -> torch.cuda.Event | None:
        """Keep what the kernel reads that was launched last.

        Returns:
            The event that says that the kernel is done; None on a CPU.
        """
        event = None if self.stream is None else self.stream.record_event()
        self._in_use = images, event
        return event

    def let_go(self) -> None:
        """Free what the last kernel read, and what the decoder read for it. Both were done long ago, unless the device
        is late.

        It is kept so long because the decoder writes new images without waiting for this stream: it must not be given
        memory that a kernel still reads.
        """
        _, event = self._in_use
        if event is not None:
            event.synchronize()
        self._in_use = [], None


class Hardware:
    """What the feeds of one loader share.

    Args:
        decoder: decodes.
        device: where.
        share: divides the work between the decoder and the CPU threads.
    """

    def __init__(self, decoder: HardwareDecoder, device: torch.device, share: DecodeShare) -> None:
        self.decoder = decoder
        self.device = device
        self.share = share
        self._free: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        for _ in range(LANES):
            self._free.put(Lane(device))

    @contextmanager
    def lane(self, stall_seconds: float) -> Iterator[Lane]:
        """A lane for one batch.

        Raises:
            RuntimeError: none became free for `stall_seconds`.
        """
        try:
            lane = self._free.get(timeout=stall_seconds)
        except queue.Empty:
            raise RuntimeError(f"the hardware decoder was busy with other batches for {stall_seconds:g} s") from None
        try:
            yield lane
        finally:
            self._free.put(lane)

    def let_go(self) -> None:
        """Free what the last kernels read, in all lanes that make no batch."""
        for _ in range(self._free.qsize()):
            try:
                lane = self._free.get_nowait()
            except queue.Empty:
                return
            lane.let_go()
            self._free.put(lane)


def _page_locked(count: int) -> NDArray[np.uint8]:
    """Bytes that the device fetches by itself. From ordinary memory the driver copies them first, image by image."""
    memory: NDArray[np.uint8] = torch.empty(count, dtype=torch.uint8, pin_memory=True).numpy()
    return memory


def _cut(memory: memoryview, images: Sequence[bytes]) -> Iterator[memoryview]:
    """The places of images that lie one after the other."""
    start = 0
    for image in images:
        yield memory[start : start + len(image)]
        start += len(image)
