"""A set of small decoded images on a GPU, where whole batches are cut and mirrored by index.

The host sends a table with one column an image, made for many batches at once and copied in one go:

    image          which image of the set
    first row      where the cut begins in the padded image
    first column   the column of the padded image that becomes column 0 of the cut
    step           from one column to the next: 1, or -1 for a mirrored cut, which begins at its last column

    cut[b, y, x] = padded[image[b], first row[b] + y, first column[b] + step[b] * x]

A batch of the host is then a slice of that table and a handful of short kernels, whatever its size.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.errors import ImageError
from imclass.images.decoded_set import DecodedSet
from imclass.images.plan import Cuts

log = logging.getLogger(__name__)

MOST_OF_FREE_MEMORY = 0.25
"""Largest share of the device's free memory that a set may take; the rest is the network's."""

BATCHES_TOGETHER = 32
"""So many batches are planned and sent at once. More would make the GPU wait for the plan, fewer for the copies."""

Chosen = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Samples of a batch (n,) and the pass through the data of each (n,)."""

Plan = Callable[[NDArray[np.int64], NDArray[np.int64]], Cuts]
"""Cuts and mirrors of samples (n,) in passes (n,)."""


class CutBatch(NamedTuple):
    """A batch made on the device.

    Attributes:
        images: (n, C, H, W) uint8, channels_last in memory.
        labels: (n, L) float32.
        indices: (planned,) samples asked for; those in `failures` are left out of the tensors.
        failures: why, by place in `indices`, for images that cannot be decoded.
    """

    images: torch.Tensor
    labels: torch.Tensor
    indices: NDArray[np.int64]
    failures: dict[int, ImageError]


class DeviceSet:
    """A decoded set and its labels on a device.

    Work is queued on the stream that is current when a batch is asked for, so batches are to be used on that stream.

    Args:
        decoded: the images; they are copied.
        labels: (N, L) float32.
        device: where to.
    """

    def __init__(self, decoded: DecodedSet, labels: NDArray[np.float32], device: torch.device) -> None:
        self.device = device
        self.padded = torch.from_numpy(decoded.padded).to(device)
        self.labels = torch.tensor(labels, device=device)
        self.unreadable = decoded.unreadable
        self._is_readable = np.ones(len(labels), np.bool_)
        self._is_readable[list(decoded.unreadable)] = False
        self._counting = torch.arange(max(self.padded.shape[1:3]), device=device)

    def batches(self, requests: Iterable[Chosen], plan: Plan, height: int, width: int) -> Iterator[CutBatch]:
        """Batches of (height, width) cuts in the order of the requests, of which 32 are taken at a time."""
        waiting = iter(requests)
        while together := list(islice(waiting, BATCHES_TOGETHER)):
            table, ends = self._send(together, plan, width)
            begin = 0
            for (indices, _), end in zip(together, ends, strict=True):
                images, labels = self.cut(table[:, begin:end], height, width)
                yield CutBatch(images, labels, indices, self._failures(indices, end - begin))
                begin = end

    def cut(self, table: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut and mirror a batch.

        Args:
            table: (4, n) int64 on the device, its rows as above; every cut lies inside the padded image.

        Returns:
            images (n, C, height, width) uint8, channels_last in memory, and labels (n, L) float32.
        """
        image, first_row, first_column, step = table.unsqueeze(2)
        rows = first_row + self._counting[:height]
        columns = torch.addcmul(first_column, step, self._counting[:width])
        pixels = self.padded[image[:, :, None], rows[:, :, None], columns[:, None, :]]
        return pixels.permute(0, 3, 1, 2), self.labels[table[0]]

    def _send(self, together: list[Chosen], plan: Plan, width: int) -> tuple[torch.Tensor, list[int]]:
        """The table (4, n) of the readable samples of some batches, and where each batch ends in it."""
        indices = np.concatenate([indices for indices, _ in together])
        cuts = plan(indices, np.concatenate([passes for _, passes in together]))
        readable = self._is_readable[indices]
        planned_ends = np.cumsum([len(indices) for indices, _ in together])
        ends = np.concatenate([[0], np.cumsum(readable)])[planned_ends]
        table = torch.from_numpy(as_table(indices, cuts, width)[:, readable])
        if self.device.type == "cuda":
            table = table.pin_memory()
        return table.to(self.device, non_blocking=True), ends.tolist()

    def _failures(self, indices: NDArray[np.int64], readable: int) -> dict[int, ImageError]:
        if readable == len(indices):
            return {}
        rows = np.flatnonzero(~self._is_readable[indices]).tolist()
        return {row: self.unreadable[int(indices[row])] for row in rows}


def as_table(indices: NDArray[np.int64], cuts: Cuts, width: int) -> NDArray[np.int64]:
    """The table (4, n) int64 of samples (n,) and their cuts of this width."""
    step = np.where(cuts.mirror, -1, 1)
    first_column = np.where(cuts.mirror, cuts.crop_x + width - 1, cuts.crop_x)
    return np.stack([indices, cuts.crop_y, first_column, step]).astype(np.int64, copy=False)


def put_on_device(
    decoded: DecodedSet, labels: NDArray[np.float32], device: torch.device, name: str
) -> DeviceSet | None:
    """The set on the device, or None where that has no memory of its own or, as the log then says, too little free.

    Args:
        name: of the data set, for the log.
    """
    free = free_bytes(device)
    if free is None:
        return None
    wanted = decoded.padded.nbytes + labels.nbytes
    if wanted > MOST_OF_FREE_MEMORY * free:
        log.info(
            "%s: the decoded images (%s) stay in the host's memory: more than a quarter of what the GPU has free (%s)",
            name, _mebibytes(wanted), _mebibytes(free),
        )  # fmt: skip
        return None
    log.info("%s: the decoded images are kept on the GPU (%s)", name, _mebibytes(wanted))
    return DeviceSet(decoded, labels, device)


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a GPU; None for a CPU, whose memory holds the decoded images already."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def _mebibytes(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MiB"
