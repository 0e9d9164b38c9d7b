"""`.rec` objects that are not fetched: records by range requests, ahead of those who read them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from imclass.data.recordio import place
from imclass.data.recordio_idx import ListedOffsets, parse_idx
from imclass.data.recordio_reader import Record, cut_head, read_records
from imclass.data.recordio_source import IndexedRecords
from imclass.data.remote.addresses import Address
from imclass.data.remote.read_ahead import CONNECTIONS, MEMORY_BYTES, ReadAhead
from imclass.data.remote.stores import RemoteFile, Store

WINDOW_BYTES = 8 << 20
WINDOWS_AHEAD = 4


@dataclass(frozen=True, slots=True)
class StreamedFile:
    """A `.rec` object and the `.idx` object beside it, if there is one."""

    store: Store
    record: RemoteFile
    idx: RemoteFile | None

    @property
    def address(self) -> Address:
        return self.store.address.with_key(self.record.key)

    @property
    def name(self) -> str:
        """Names the file in errors."""
        return str(self.address)

    @property
    def path(self) -> PurePosixPath:
        """The key; its last part is the file's name in the keys of samples."""
        return PurePosixPath(self.record.key)

    def read_bytes(self, start: int, stop: int) -> memoryview:
        """Read bytes of the object as it was found.

        Raises:
            DataError: it has changed, or cannot be read.
        """
        return self.store.read(self.record, start, stop)

    def read(self, offset: int, stored_bytes: int) -> Record:
        """Read one record; errors are those of `imclass.data.recordio_reader.RecordFile.read`."""
        return self.parse(self.read_bytes(offset, offset + stored_bytes), offset)

    def parse(self, stored: memoryview, offset: int) -> Record:
        """Return the one record whose stored bytes begin at `offset`."""
        record = next(read_records(io.BytesIO(stored), self.name, offset), None)
        if record is None:
            raise cut_head(0, place(self.name, offset))
        return record

    def listed(self) -> ListedOffsets | None:
        """Read the `.idx`."""
        if self.idx is None:
            return None
        content = b"".join(self.store.pieces(self.idx))
        return parse_idx(content, str(self.store.address.with_key(self.idx.key)))


class RangeStream:
    """The bytes of an object between two places, read in large windows, several at a time."""

    def __init__(self, file: StreamedFile, start: int, stop: int) -> None:
        starts = np.arange(start, stop, WINDOW_BYTES)
        sizes = np.minimum(WINDOW_BYTES, stop - starts)
        self._ahead = ReadAhead(
            lambda _, start, stop: file.read_bytes(start, stop),
            np.zeros_like(starts),
            starts,
            sizes,
            memory_bytes=WINDOWS_AHEAD * WINDOW_BYTES,
            connections=WINDOWS_AHEAD,
        )
        self._windows = len(starts)
        self._next_window = 0
        self._window = memoryview(b"")

    def read(self, count: int, /) -> bytes:
        """Return up to `count` bytes; none at the end."""
        if not len(self._window) and self._next_window < self._windows:
            last = min(self._next_window + 2 * WINDOWS_AHEAD, self._windows)
            self._ahead.announce(range(self._next_window, last))
            self._window = self._ahead.take(self._next_window)
            self._next_window += 1
        found, self._window = self._window[:count], self._window[count:]
        return bytes(found)

    def close(self) -> None:
        """Drop what was read ahead."""
        self._ahead.forget()


class StreamedRecords(IndexedRecords):
    """The image records of objects on another machine; `in_advance` tells it what will be read next."""

    def __init__(self, files: Sequence[StreamedFile], name: str, *, memory_bytes: int = MEMORY_BYTES) -> None:
        from imclass.data.remote.record_index import load_remote_index

        indexes = [load_remote_index(file) for file in files]
        super().__init__(files, indexes, name)
        self._streamed = files
        numbers = np.repeat(np.arange(len(files)), [len(index) for index in indexes])
        self._ahead = ReadAhead(
            lambda file, start, stop: files[file].read_bytes(start, stop),
            numbers,
            self._offsets,
            self._stored_bytes,
            memory_bytes=memory_bytes,
            connections=CONNECTIONS,
        )
        self._numbers: NDArray[np.int64] = numbers

    @property
    def wants_more(self) -> bool:
        return self._ahead.wants_more

    def announce(self, indices: NDArray[np.int64]) -> None:
        self._ahead.announce(indices)

    def forget(self) -> None:
        self._ahead.forget()

    def _record(self, index: int) -> Record:
        file = self._streamed[int(self._numbers[index])]
        return file.parse(self._ahead.take(index), int(self._offsets[index]))
