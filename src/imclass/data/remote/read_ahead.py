"""Reads pieces of remote files before they are asked for.

Who reads announces what it will want next. Pieces that lie close together become one request, requests run side
by side, and what has been read and not been taken yet stays below a limit of memory. A piece that is wanted
before its request has begun is read at once, so that nobody ever waits for the limit.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from imclass.data.remote.stores import REQUEST_DEADLINE
from imclass.errors import DataError

MEMORY_BYTES = 256 << 20
CONNECTIONS = 16
GAP_BYTES = 64 << 10
"""Unwanted bytes between two pieces that are read along rather than asking twice."""
REQUEST_BYTES = 8 << 20
"""Pieces are put together up to this size."""

Read = Callable[[int, int, int], memoryview]
"""Reads from file (number), start (byte), to stop (byte)."""


@dataclass(eq=False, slots=True)
class _Request:
    """One request for several pieces.

    Attributes:
        waiting: the pieces of it that have not been taken.
        is_begun: whether a thread works on it, or has.
        is_released: whether its memory has been given back.
        done: set when there is content or an error.
    """

    file: int
    start: int
    stop: int
    waiting: set[int]
    is_begun: bool = False
    is_released: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    content: memoryview | None = None
    error: BaseException | None = None

    @property
    def size(self) -> int:
        return self.stop - self.start


class ReadAhead:
    """Reads announced pieces on threads of its own.

    Args:
        read: how to read; used by many threads at once.
        files: (N,) the number of the file of each piece.
        starts: (N,) where each piece begins, bytes.
        sizes: (N,) how long it is.
        memory_bytes: limit for what is on its way or waits to be taken; a single larger request goes alone.
        connections: the number of requests at a time.
    """

    def __init__(
        self,
        read: Read,
        files: NDArray[np.int64],
        starts: NDArray[np.int64],
        sizes: NDArray[np.int64],
        *,
        memory_bytes: int = MEMORY_BYTES,
        connections: int = CONNECTIONS,
    ) -> None:
        self.memory_bytes = memory_bytes
        self.connections = connections
        self._read = read
        self._files, self._starts, self._sizes = files, starts, sizes
        self._changed = threading.Condition()
        self._queue: deque[_Request] = deque()
        self._by_piece: dict[int, _Request] = {}
        self._held_bytes = 0
        self._queued_bytes = 0
        self._threads = 0

    @property
    def wants_more(self) -> bool:
        """Whether what is announced would not keep it busy."""
        with self._changed:
            return self._held_bytes + self._queued_bytes < self.memory_bytes

    def announce(self, pieces: Sequence[int] | NDArray[np.int64]) -> None:
        """Say which pieces will be taken next, about in this order. Pieces announced already are left alone."""
        with self._changed:
            new = [piece for piece in dict.fromkeys(map(int, pieces)) if piece not in self._by_piece]
            for request in self._put_together(new):
                self._queue.append(request)
                self._queued_bytes += request.size
                self._by_piece.update(dict.fromkeys(request.waiting, request))
            for _ in range(min(self.connections, len(self._queue)) - self._threads):
                self._threads += 1
                threading.Thread(target=self._work, name="imclass-read-ahead", daemon=True).start()

    def _put_together(self, pieces: list[int]) -> list[_Request]:
        """Make requests of pieces, in the order in which they are wanted first."""
        requests: list[_Request] = []
        for piece in sorted(pieces, key=lambda piece: (self._files[piece], self._starts[piece])):
            file, start = int(self._files[piece]), int(self._starts[piece])
            stop = start + int(self._sizes[piece])
            last = requests[-1] if requests else None
            is_near = last is not None and last.file == file and start - last.stop <= GAP_BYTES
            if last is not None and is_near and max(stop, last.stop) - last.start <= REQUEST_BYTES:
                last.stop = max(stop, last.stop)
                last.waiting.add(piece)
            else:
                requests.append(_Request(file, start, stop, {piece}))
        place = {piece: number for number, piece in enumerate(pieces)}
        return sorted(requests, key=lambda request: min(place[piece] for piece in request.waiting))

    def take(self, piece: int) -> memoryview:
        """Return a piece, which counts as wanted no longer; waits for it if it is on its way.

        Raises:
            DataError: it cannot be read, or does not come.
        """
        start, size = int(self._starts[piece]), int(self._sizes[piece])
        with self._changed:
            request = self._by_piece.pop(piece, None)
            if request is not None and not request.is_begun:
                self._drop(request, piece)
                request = None
        if request is None:
            return self._read(int(self._files[piece]), start, start + size)
        came = request.done.wait(REQUEST_DEADLINE)
        with self._changed:
            request.waiting.discard(piece)
            self._release(request)
        if not came:
            raise DataError(f"nothing came for {REQUEST_DEADLINE:g} seconds", where="remote data")
        if request.error is not None:
            raise request.error
        assert request.content is not None
        return request.content[start - request.start : start - request.start + size]

    def forget(self) -> None:
        """Drop everything that was announced and not taken."""
        with self._changed:
            self._queue.clear()
            self._queued_bytes = 0
            for request in set(self._by_piece.values()):
                request.waiting.clear()
                if request.is_begun:
                    self._release(request)
            self._by_piece.clear()
            self._changed.notify_all()

    def _drop(self, request: _Request, piece: int) -> None:
        """Take a piece out of a request that has not begun."""
        request.waiting.discard(piece)
        if not request.waiting:
            self._queue.remove(request)
            self._queued_bytes -= request.size

    def _release(self, request: _Request) -> None:
        """Give back the memory of a request once nobody waits for any of it."""
        if request.done.is_set() and not request.waiting and not request.is_released:
            request.is_released = True
            self._held_bytes -= request.size
            self._changed.notify_all()

    def _work(self) -> None:
        while (request := self._next()) is not None:
            try:
                request.content = self._read(request.file, request.start, request.stop)
            except BaseException as error:  # noqa: BLE001  (not handled here: it goes to whoever takes a piece)
                request.error = error
            with self._changed:
                request.done.set()
                self._release(request)

    def _next(self) -> _Request | None:
        """The next request for which there is room; None ends the thread."""
        with self._changed:
            while self._queue:
                request = self._queue[0]
                if self._held_bytes == 0 or self._held_bytes + request.size <= self.memory_bytes:
                    self._queue.popleft()
                    self._queued_bytes -= request.size
                    self._held_bytes += request.size
                    request.is_begun = True
                    return request
                self._changed.wait()
            self._threads -= 1
            return None
