"""Opens and reads a FIFO (named pipe) without ever waiting longer than a deadline.

A writer may come late, pause, send compressed data or end at any byte. A FIFO is therefore opened without blocking,
and every read waits in `poll` for bytes or for the end. Linux reports the end (POLLHUP) only after a writer was there,
so "no writer yet" and "the writer is done" are told apart.
"""

import gzip
import io
import os
import select
import stat
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, cast

from imclass.errors import DataError

LOOK_AGAIN_SECONDS = 0.05  # between two looks for a FIFO that does not exist yet
STOP_SECONDS = 0.2  # longest time until a wait sees that it is to be given up
BUFFER_BYTES = 1 << 20
GZIP_FIRST_BYTE = b"\x1f"  # RecordIO begins with another one; to wait for the second could be to wait long


class WaitGivenUp(Exception):  # noqa: N818  (no error: nobody needs the data any more)
    """The reader was told to stop while it waited for a FIFO."""


class Buffer(Protocol):
    """What `FifoBytes.readinto` fills."""

    def __len__(self) -> int: ...


@contextmanager
def open_fifo(path: Path, deadline_seconds: float, gives_up: Callable[[], bool] = lambda: False) -> Iterator[IO[bytes]]:
    """Open a FIFO for reading; what was compressed with gzip arrives decompressed.

    Args:
        path: the FIFO; it may not exist yet.
        deadline_seconds: longest time without a sign of life: until the first byte or end, and between two bytes.
        gives_up: asked while waiting.

    Raises:
        DataError: the FIFO does not appear, is something else, or nothing comes for `deadline_seconds`; while reading
            also that the compressed data is damaged.
        WaitGivenUp: `gives_up` answered yes.
    """
    began = time.monotonic()
    _wait_for(path, began + deadline_seconds, deadline_seconds, gives_up)
    raw = FifoBytes(path, deadline_seconds, gives_up, began)
    with io.BufferedReader(raw, BUFFER_BYTES) as stream:
        if stream.peek(1).startswith(GZIP_FIRST_BYTE):
            with (
                Decompressed(cast(IO[bytes], stream), path) as decompressed,
                io.BufferedReader(decompressed, BUFFER_BYTES) as buffered,
            ):
                yield cast(IO[bytes], buffered)
        else:
            yield cast(IO[bytes], stream)


def _wait_for(path: Path, until: float, deadline_seconds: float, gives_up: Callable[[], bool]) -> None:
    while not path.exists():
        if gives_up():
            raise WaitGivenUp
        if time.monotonic() > until:
            raise DataError(
                f"there is no such pipe, after waiting {deadline_seconds:g} seconds for it",
                where=str(path),
                fix="Pipe mode reads the FIFOs CHANNEL_0, CHANNEL_1, ... in order; make them with mkfifo, or use File "
                "mode. --pipe-deadline sets how long to wait.",
            )
        time.sleep(LOOK_AGAIN_SECONDS)


class FifoBytes(io.RawIOBase):
    """The bytes of one FIFO.

    Args:
        began: when the wait for its first byte began, on the monotonic clock.

    The other arguments are those of `open_fifo`.
    """

    def __init__(self, path: Path, deadline_seconds: float, gives_up: Callable[[], bool], began: float) -> None:
        super().__init__()
        self._path = path
        self._deadline_seconds = deadline_seconds
        self._gives_up = gives_up
        self._waits_since: float | None = began
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise DataError(f"cannot be opened: {error.strerror}", where=str(path)) from error
        if not stat.S_ISFIFO(os.fstat(self._descriptor).st_mode):
            self.close()
            raise DataError("is not a FIFO (named pipe)", where=str(path), fix="For files use --input-mode File.")
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:  # type: ignore[override]  # typeshed's Buffer has no length
        """Wait for bytes and read some; 0 at the end.

        Raises:
            DataError: nothing came for `deadline_seconds`, or another reader takes bytes away.
            WaitGivenUp: nobody needs the data any more.
        """
        self._wait()
        try:
            piece = os.read(self._descriptor, len(buffer))
        except BlockingIOError as error:
            raise DataError(
                "another process reads this pipe too, and each byte reaches one of them only",
                where=str(self._path),
                fix="Give each run pipes of its own; start processes that share one with torchrun.",
            ) from error
        memoryview(buffer)[: len(piece)] = piece  # type: ignore[arg-type]
        self._waits_since = None
        return len(piece)

    def _wait(self) -> None:
        began = self._waits_since if self._waits_since is not None else time.monotonic()
        while not self._poll.poll(STOP_SECONDS * 1000):
            if self._gives_up():
                raise WaitGivenUp
            if time.monotonic() - began > self._deadline_seconds:
                what = "sent nothing" if self._waits_since is None else "did not come, or sent nothing,"
                raise DataError(
                    f"the writer of the pipe {what} for {self._deadline_seconds:g} seconds",
                    where=str(self._path),
                    fix="Is the program that writes it still running? --pipe-deadline sets how long to wait.",
                )

    def close(self) -> None:
        """Close the FIFO; a writer that is not done gets EPIPE."""
        if not self.closed and hasattr(self, "_descriptor"):
            os.close(self._descriptor)
        super().close()


class Decompressed(io.RawIOBase):
    """A gzip stream, decompressed, with damage reported as `DataError`."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        super().__init__()
        self._file = gzip.GzipFile(fileobj=stream, mode="rb")
        self._path = path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:  # type: ignore[override]
        """Decompress some bytes; 0 at the end.

        Raises:
            DataError: the compressed data is damaged or ends too early.
        """
        try:
            return self._file.readinto(memoryview(buffer))  # type: ignore[arg-type]
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(
                f"the compressed data is damaged or ends too early: {error}",
                where=f"{self._path}, about byte {self._file.tell()} of the decompressed data",
            ) from error

    def close(self) -> None:
        """Close the decompressor; the stream below stays open."""
        if not self.closed:
            self._file.close()
        super().close()
