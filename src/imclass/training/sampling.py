"""Which samples each training step sees.

The original's iterator is not restarted when an epoch ends but goes on, so that the remainder of a pass through
the data opens the next epoch. The same here, without an iterator: the training set is visited pass after pass,
each pass a fresh permutation, and step s of a run takes the positions s*B ... s*B + B - 1 of that endless
sequence. Any step can therefore be computed by itself, on any process, also after a restart.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from imclass.training.process_group import Processes


@dataclass(frozen=True)
class Sampler:
    """The order of a run.

    Attributes:
        samples: number of samples in the training set.
        batch_size: samples a step takes, over all processes.
        steps_per_epoch: steps of an epoch.
        seed: seed of the permutations.
    """

    samples: int
    batch_size: int
    steps_per_epoch: int
    seed: int

    def requests(
        self, begin: int, end: int, processes: Processes
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """The requests of steps `begin` ... `end` - 1 for this process, each made when its turn comes."""
        share = processes.share(self.batch_size)
        return (self.request(step, share) for step in range(begin, end))

    def request(self, step: int, share: slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Samples of one step for one process.

        Args:
            step: number of the step in the run, from 0.
            share: the process's part of range(batch_size).

        Returns:
            indices (n,) int64 into the training set and passes (n,) int64, the number of the pass through the
            data that each one belongs to, from 0.
        """
        positions = np.arange(step * self.batch_size + share.start, step * self.batch_size + share.stop)
        passes, places = np.divmod(positions, self.samples)
        indices = np.empty_like(places)
        for number in np.unique(passes):
            chosen = passes == number
            indices[chosen] = permutation(self.samples, self.seed, int(number))[places[chosen]]
        return indices, passes


@lru_cache(maxsize=4)
def permutation(samples: int, seed: int, number: int) -> NDArray[np.int64]:
    """The order of pass `number` through the data: a permutation of range(samples), a function of its arguments."""
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, number])))
    order = generator.permutation(samples)
    order.setflags(write=False)
    return order


def evaluation_requests(
    samples: int, batch_size: int, rank: int, world_size: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Batches that show every sample exactly once over all processes; the last one of a process may be short."""
    mine = np.arange(rank, samples, world_size, dtype=np.int64)
    batches = [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]
    return [(batch, np.zeros_like(batch)) for batch in batches]
