"""A channel in Pipe mode: its FIFOs `PATH_0`, `PATH_1`, ... in order, shuffled, dealt out to the processes of the run.

A pass takes the next FIFO, and as many more as it needs when they hold fewer samples than it is long. It closes the
last one as soon as it has enough, and the next pass begins with a fresh one: the reader goes through the numbers
without a gap, as the platform expects.

The first process of each host reads; the others get their samples from it through a socket. Order and shares are a
function of (seed, pass, place in the stream): neither threads nor timing nor the number of processes change them.
"""

import hashlib
import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path

import numpy as np

from imclass.data.pipe.dealing import (
    Seat,
    order_generator,
    places_of_round,
    round_length,
    share_of_pass,
    shuffled,
)
from imclass.data.pipe.fifo import WaitGivenUp, open_fifo
from imclass.data.pipe.messages import (
    Kind,
    Share,
    end_message,
    error_message,
    read_end,
    read_error,
    read_share,
    share_message,
)
from imclass.data.pipe.prefetch import Prefetch
from imclass.data.pipe.samples import NAME_ATTRIBUTES, LabelRules, read_samples
from imclass.data.pipe.siblings import Inlet, Listener, Outlets
from imclass.data.source import ArrivedSamples, Sample
from imclass.errors import DataError

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 300.0
ROUNDS_AHEAD = 4

GivesUp = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass through a channel.

    Attributes:
        number: of the pass, from 0; decides the order and goes with the samples.
        samples: samples that it takes, over all hosts; None takes the next FIFO to its end.
        rounds: which of its rounds are wanted; earlier ones are read and dropped. None wants all, the last of which may
            be short.
        batch_size: samples of a round, over all processes.
        shuffle_buffer: samples that are held to shuffle them; 0 keeps the order.
        seed: of the order.
        rules: what labels may look like.
    """

    number: int
    samples: int | None
    rounds: range | None
    batch_size: int
    shuffle_buffer: int
    seed: int
    rules: LabelRules


class PipeChannel:
    """The samples of a channel in Pipe mode, as this process gets them.

    Args:
        name: of the channel.
        path: what the FIFOs' names begin with.
        label_format: "multi-hot" or "class-id".
        wrapped: whether the streams are augmented manifests wrapped as RecordIO; None finds it out.
        is_sharded: whether each host's FIFOs hold data of its own.
        deadline_seconds: longest wait for a FIFO, its writer or its next bytes.

    Attributes:
        counted: samples of this host's last FIFO that was read to its end; None before.
        stop_requested: asked while the process that reads waits for a FIFO; a pass then ends early, for all processes
            of the host after the same round.
    """

    class_names: tuple[str, ...] | None = None

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        label_format: str = "multi-hot",
        wrapped: bool | None = None,
        is_sharded: bool = False,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self.name = name
        self.path = path
        self.label_format = label_format
        self.is_sharded = is_sharded
        self.deadline_seconds = deadline_seconds
        self.counted: int | None = None
        self.stop_requested: Callable[[], bool] = lambda: False
        self._wrapped = wrapped
        self._seat = Seat()
        self._address = ""
        self._listener: Listener | None = None
        self._next_fifo = 0
        self._passes_begun = 0
        self._warned_of_short_pipe = False
        self._keys: dict[bytes, str] = {}

    @property
    def _patience_seconds(self) -> float:
        """How long processes wait for one another: longer than one of them may wait for its FIFO."""
        return 2 * self.deadline_seconds

    def listen(self, seat: Seat) -> str:
        """Take a place among the processes of the run.

        Returns:
            Where the other processes of this host find this one; empty when there are none or this is one of them.
        """
        self._seat = seat
        if seat.local_world_size > 1 and seat.local_rank == 0:
            self._listener = Listener(seat.local_world_size - 1, self._patience_seconds)
        return self._listener.address if self._listener else ""

    def connect(self, address: str) -> None:
        """Learn where the process of this host is that reads; it reads itself where `listen` made it listen."""
        self._address = address

    def close(self) -> None:
        """Close the socket, if there is one."""
        if self._listener:
            self._listener.close()

    def batches(self, one: Pass) -> Generator[ArrivedSamples]:
        """Yield this process's share of each round of a pass, read ahead on a thread.

        Shares that are empty are left out. All processes of a host must begin the same passes in the same order.

        Raises:
            DataError: a FIFO does not come, is silent, empty, broken, or holds bad labels.
            RuntimeError: another process of this host failed.
        """
        began = self._passes_begun
        self._passes_begun += 1
        reads = self._seat.local_rank == 0
        make = partial(self._read_and_deal if reads else self._receive, one, began)
        with Prefetch(make, ROUNDS_AHEAD, f"imclass-pipe-{self.name}") as shares:
            for share in shares:
                indices = np.array([index for index, _ in share], np.int64)
                samples = tuple(sample for _, sample in share)
                passes = np.full(len(share), one.number, np.int64)
                yield ArrivedSamples(self.name, indices, passes, samples, self.key_of)

    def key_of(self, sample: Sample) -> str:
        """Name an unreadable sample: the same image keeps its first name wherever it comes in later passes."""
        digest = hashlib.blake2b(sample.image, digest_size=16, key=sample.label.tobytes()[:64]).digest()
        if digest not in self._keys:
            is_taken = sample.key in self._keys.values()  # where a platform shuffles, a place holds many images
            self._keys[digest] = f"{sample.key} {digest.hex()[:8]}" if is_taken else sample.key
        return self._keys[digest]

    def _receive(self, one: Pass, began: int, gives_up: GivesUp) -> Generator[Share]:
        """The shares of a process that does not read itself."""
        with Inlet(self._address, self._seat.local_rank, began, self._patience_seconds, gives_up) as inlet:
            while True:
                kind, samples, body = inlet.receive()
                if kind is Kind.SHARE:
                    yield read_share(body, samples)
                elif kind is Kind.ERROR:
                    raise read_error(body)
                elif kind is Kind.END:
                    self._count(one, read_end(body))
                    return

    def _read_and_deal(self, one: Pass, began: int, gives_up: GivesUp) -> Generator[Share]:
        """The shares of the process that reads, which sends the others theirs on the way."""
        with ExitStack() as stack:
            outlets = Outlets({})
            if self._listener:
                outlets = stack.enter_context(self._listener.outlets(began, gives_up))
            try:
                yield from self._deal(one, outlets, lambda: gives_up() or self.stop_requested())
            except WaitGivenUp:
                if gives_up():
                    raise
                outlets.send_all(end_message(0))
            except DataError as error:
                outlets.send_all(error_message(error))
                raise

    def _deal(self, one: Pass, outlets: Outlets, gives_up: GivesUp) -> Generator[Share]:
        """Deal the samples of a pass out, round after round: send the others theirs, yield what is for this process."""
        ordered = self._in_order(one, outlets, gives_up)
        length = round_length(one.batch_size, self._seat, is_sharded=self.is_sharded)
        places = places_of_round(one.batch_size, self._seat, is_sharded=self.is_sharded)
        dealt = 0
        for number in count() if one.rounds is None else range(one.rounds.stop):
            cards = list(islice(ordered, length))
            dealt += len(cards)
            if not cards:
                break
            if one.rounds is not None and number < one.rounds.start:
                continue
            shares = [cards[start:stop] for start, stop in places]
            if shares[0]:
                yield shares[0]
            for local_rank, share in enumerate(shares[1:], start=1):
                if share:
                    outlets.send(local_rank, share_message(share))
        outlets.send_all(end_message(dealt))
        self._count(one, dealt)

    def _count(self, one: Pass, dealt: int) -> None:
        if one.samples is None:
            self.counted = dealt

    def _in_order(self, one: Pass, outlets: Outlets, gives_up: GivesUp) -> Iterator[tuple[int, Sample]]:
        """The samples that this host's pipe gives to a pass, shuffled, each with its place in the pass."""
        generator = order_generator(one.seed, one.number, self._seat.host if self.is_sharded else 0)
        if one.samples is None:
            samples = enumerate(self._samples(None, one.rules, outlets, gives_up))
        else:
            share = share_of_pass(one.samples, self._seat, is_sharded=self.is_sharded)
            samples = enumerate(self._samples(len(share), one.rules, outlets, gives_up), start=share.start)
        return shuffled(samples, one.shuffle_buffer, generator)

    def _samples(self, limit: int | None, rules: LabelRules, outlets: Outlets, gives_up: GivesUp) -> Iterator[Sample]:
        """Yield the samples of the next FIFO, or of as many as it takes to have `limit`."""
        taken = 0
        while True:
            path = self.path.with_name(f"{self.path.name}_{self._next_fifo}")
            self._next_fifo += 1
            held = 0
            with open_fifo(path, self.deadline_seconds, gives_up) as stream:
                for sample in read_samples(stream, str(path), self.name, rules, wrapped=self._wrapped):
                    outlets.keep_alive()
                    yield sample
                    held += 1
                    if taken + held == limit:
                        return
            taken += held
            if held == 0:
                raise _empty(path)
            if limit is None:
                return
            self._warn_of_short_pipe(path, held, limit)

    def _warn_of_short_pipe(self, path: Path, held: int, limit: int) -> None:
        if not self._warned_of_short_pipe:
            self._warned_of_short_pipe = True
            log.warning(
                "%s ended after %d samples, but an epoch takes %d (num_training_samples): epochs go on with the next "
                "pipe", path, held, limit,
            )  # fmt: skip


def _empty(path: Path) -> DataError:
    return DataError(
        "Got empty batch from pipe: it ended without one sample",
        where=str(path),
        fix="Check that the channel's data is there and, for an augmented manifest, that AttributeNames matches its "
        f"lines. {NAME_ATTRIBUTES}",
    )
