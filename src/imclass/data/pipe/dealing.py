"""The order of a stream's samples, and which of them each process gets.

The shuffled samples of a pass are dealt out in rounds, one for each step: the process with rank r of W gets the places
r*B/W ... (r+1)*B/W - 1 of a round of B. A step therefore sees the same samples on any number of processes. Where every
host's pipe holds all data, each host goes through whole rounds and keeps what belongs to its own processes; where the
data is sharded, a host's rounds are only as long as the share of its own processes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seat:
    """The place of this process among those of the run.

    Attributes:
        rank: its number, 0 <= rank < world_size.
        world_size: number of processes.
        local_world_size: number of processes on this host; the same on every host.
    """

    rank: int = 0
    world_size: int = 1
    local_world_size: int = 1

    @property
    def local_rank(self) -> int:
        return self.rank % self.local_world_size

    @property
    def host(self) -> int:
        return self.rank // self.local_world_size

    @property
    def hosts(self) -> int:
        return self.world_size // self.local_world_size


def places_of_round(batch_size: int, seat: Seat, *, is_sharded: bool) -> list[tuple[int, int]]:
    """Return the places (start, stop) of a round that belong to each process of this host, by local rank.

    Args:
        batch_size: samples of a round over all processes; a multiple of the number of hosts.
        is_sharded: whether this host's rounds hold the samples of its own processes only.
    """
    first_rank = seat.host * seat.local_world_size
    bounds = [(first_rank + local) * batch_size // seat.world_size for local in range(seat.local_world_size + 1)]
    first = bounds[0] if is_sharded else 0
    return [(start - first, stop - first) for start, stop in pairwise(bounds)]


def round_length(batch_size: int, seat: Seat, *, is_sharded: bool) -> int:
    """Return the number of samples that this host's pipe gives to one round."""
    return batch_size // seat.hosts if is_sharded else batch_size


def share_of_pass(samples: int, seat: Seat, *, is_sharded: bool) -> range:
    """Return which of the samples of a pass come through this host's pipe, as places in the pass."""
    if not is_sharded:
        return range(samples)
    return range(seat.host * samples // seat.hosts, (seat.host + 1) * samples // seat.hosts)


def shuffled(items: Iterable[T], buffer_size: int, generator: np.random.Generator) -> Iterator[T]:
    """Yield the items in a random order, of which `buffer_size` are held at a time.

    The buffer is filled; then each item takes the place of one that is drawn from the buffer; in the end the rest is
    drawn. An item can come any time later than it arrived, but at most `buffer_size` - 1 places earlier. A buffer of 0
    or 1 keeps the order.
    """
    if buffer_size <= 1:
        yield from items
        return
    source = iter(items)
    buffer = list(islice(source, buffer_size))
    for item in source:
        place = int(generator.integers(len(buffer)))
        drawn, buffer[place] = buffer[place], item
        yield drawn
    for place in generator.permutation(len(buffer)):
        yield buffer[place]


def order_generator(seed: int, number: int, host: int) -> np.random.Generator:
    """The random numbers of the order of pass `number`, a function of its arguments."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, number, host])))
