"""Pipe mode: the data of a channel through FIFOs, one for each epoch, as the platform feeds them.

A plan is made from the channel when the job begins, and is carried out by threads of the keeper, so that a job goes on
without the server. Its objects are links that stay what they are while the job runs.

FIFO N of a channel, `PREFIX_N`, holds the whole channel, or this host's share of it. It is there before FIFO N-1 is
read to its end. A reader that closes it early gets the next one from the beginning.
"""

import errno
import fcntl
import gzip
import itertools
import json
import os
import random
import shutil
import threading
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, cast

from imclass.errors import UserError
from imclass.pending_file import PendingFile

LOOK_AGAIN_SECONDS = 0.02
PIPE_BYTES = 1 << 20
JOIN_SECONDS = 5.0


@dataclass(frozen=True)
class Part:
    """What is sent as one record, if records are wrapped: the content of a file, or text."""

    file: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class PipePlan:
    """How a channel is fed.

    Attributes:
        prefix: what the paths of its FIFOs begin with.
        items: the parts of each object, or of each line of an augmented manifest; shuffled and shared as wholes.
        is_compressed: the files are gzip and are sent decompressed.
        is_wrapped: each part becomes one record of RecordIO.
        seed: the order of items is another one in each epoch; None leaves it.
        host, hosts: this host gets item number `host` of each `hosts` items.
    """

    prefix: str
    items: list[list[Part]]
    is_compressed: bool = False
    is_wrapped: bool = False
    seed: int | None = None
    host: int = 0
    hosts: int = 1

    def epoch(self, number: int) -> list[list[Part]]:
        """What this host gets in an epoch."""
        items = list(self.items)
        if self.seed is not None:
            random.Random(f"{self.seed} {number}").shuffle(items)
        return items[self.host :: self.hosts]

    def fifo(self, number: int) -> Path:
        return Path(f"{self.prefix}_{number}")


def write_plans(path: Path, plans: Iterable[PipePlan]) -> None:
    """Keep plans for the keeper."""
    with PendingFile(path) as file:
        file.write(json.dumps([asdict(plan) for plan in plans]).encode())


def read_plans(path: Path) -> list[PipePlan]:
    """The plans of a job; none if there is no file."""
    if not path.exists():
        return []
    return [
        PipePlan(**{**plan, "items": [[Part(**part) for part in item] for item in plan["items"]]})
        for plan in json.loads(path.read_bytes())
    ]


class Feeder:
    """Feeds the FIFOs of a channel on a thread of its own.

    Attributes:
        failure: why it cannot go on, in words for the user; the FIFO that it was writing stays open then, so that
            nobody takes its end for that of the data.
    """

    def __init__(self, plan: PipePlan) -> None:
        self.failure: str | None = None
        self._plan = plan
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"feeder {plan.prefix}", daemon=True)
        plan.fifo(0).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(plan.fifo(0))

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread; the readers are gone."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        for number in itertools.count():
            descriptor = self._opened(self._plan.fifo(number))
            if descriptor is None:
                return
            os.mkfifo(self._plan.fifo(number + 1))
            try:
                with suppress(BrokenPipeError):  # the reader has what it wants
                    send(self._plan, number, descriptor)
            except (OSError, EOFError, zlib.error, UserError) as error:
                self.failure = f"the data of the channel {Path(self._plan.prefix).name} cannot be sent: {error}"
                return
            os.close(descriptor)
            self._plan.fifo(number).unlink()

    def _opened(self, fifo: Path) -> int | None:
        """A FIFO, as soon as somebody reads it; None at the end."""
        while not self._ended.wait(LOOK_AGAIN_SECONDS):
            try:
                descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:  # nobody reads it yet
                    raise
                continue
            os.set_blocking(descriptor, True)
            with suppress(PermissionError):  # the user has too many large pipes
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            return descriptor
        return None


def send(plan: PipePlan, number: int, descriptor: int) -> None:
    """Write the data of an epoch.

    Raises:
        BrokenPipeError: the reader has closed the FIFO.
        OSError, EOFError, zlib.error: a file cannot be read, or is not gzip.
        UserError: a file is too large for a record.
    """
    with os.fdopen(descriptor, "wb", closefd=False) as fifo:
        for item in plan.epoch(number):
            for part in item:
                _send_part(plan, part, fifo)


def _send_part(plan: PipePlan, part: Part, fifo: IO[bytes]) -> None:
    if part.file is None:
        fifo.write(_recorded((part.text or "").encode(), plan))
        return
    with _opened_part(plan, part.file) as file:
        if plan.is_wrapped:
            fifo.write(_recorded(file.read(), plan))
        else:
            shutil.copyfileobj(file, fifo, PIPE_BYTES)


def _opened_part(plan: PipePlan, file: str) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(file, "rb")) if plan.is_compressed else Path(file).open("rb")


def _recorded(content: bytes, plan: PipePlan) -> bytes:
    if not plan.is_wrapped:
        return content
    from imclass.data.recordio_writer import encode_record  # needs NumPy, which the keeper has no other use for

    return encode_record(content)
