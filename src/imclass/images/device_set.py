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
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.images.decoded_set import DecodedSet
from imclass.images.draws import Draws
from imclass.images.plan import Cuts, Layout, plan_cuts
from imclass.images.settings import Augmentation

log = logging.getLogger(__name__)

MOST_OF_FREE_MEMORY = 0.25
"""Largest share of the device's free memory that a set may take; the rest is the network's."""

BATCHES_TOGETHER = 32
"""So many batches are planned and sent at once. More would make the GPU wait for the plan, fewer for the copies."""

Chosen = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Samples of a batch (n,) and the pass through the data of each (n,)."""


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
    failures: dict[int, str]


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

    def batches(
        self, requests: Iterable[Chosen], layout: Layout, augmentation: Augmentation | None, draws: Draws
    ) -> Iterator[CutBatch]:
        """Batches in the order of the requests, of which 32 are taken at a time.

        Args:
            layout: of every image; nothing but padding and cutting.
            augmentation: with cuts and mirrors only; None for validation.
            draws: the random numbers of the augmentation.
        """
        waiting = iter(requests)
        while together := list(islice(waiting, BATCHES_TOGETHER)):
            indices, passes = (np.concatenate(parts) for parts in zip(*together, strict=True))
            rows = None if augmentation is None else draws.rows(indices, passes)
            cuts = plan_cuts(rows, len(indices), layout, augmentation)
            readable = self._is_readable[indices]
            table = self._send(as_table(indices, cuts, layout.output.width)[:, readable])
            readable_before = np.concatenate([[0], np.cumsum(readable)])
            ends = readable_before[np.cumsum([len(asked) for asked, _ in together])].tolist()
            for (asked, _), (begin, end) in zip(together, pairwise([0, *ends]), strict=True):
                images, labels = self.cut(table[:, begin:end], layout.output.height, layout.output.width)
                yield CutBatch(images, labels, asked, self._failures(asked, end - begin))

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

    def _send(self, table: NDArray[np.int64]) -> torch.Tensor:
        """A table on the device, without waiting for what the device does."""
        on_host = torch.from_numpy(table)
        if self.device.type == "cuda":
            on_host = on_host.pin_memory()
        return on_host.to(self.device, non_blocking=True)

    def _failures(self, indices: NDArray[np.int64], readable: int) -> dict[int, str]:
        if readable == len(indices):
            return {}
        rows = np.flatnonzero(~self._is_readable[indices]).tolist()
        return {row: self.unreadable[int(indices[row])].what for row in rows}


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
