"""The `.rec` files of a folder, or one of them, as a source of samples."""

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from imclass.data.location import shown_name
from imclass.data.recordio import Buffer, image_of, place
from imclass.data.recordio_batch import read_images
from imclass.data.recordio_index import RecordIndex, load_index
from imclass.data.recordio_reader import Record, RecordFile
from imclass.data.reused_memory import ReusedMemory
from imclass.data.source import Sample, check_index
from imclass.errors import DataError, ImageError


class Records(Protocol):
    """A file whose records can be read at any place, from any number of threads."""

    @property
    def name(self) -> str:
        """Names the file in errors."""
        ...

    @property
    def path(self) -> PurePath:
        """Its last part is the file's name in keys."""
        ...

    def read(self, offset: int, stored_bytes: int) -> Record:
        """Read the record stored in `stored_bytes` bytes from `offset`."""
        ...


class IndexedRecords:
    """The image records of one or more `.rec` files, one file after the other.

    Args:
        files: at least one.
        indexes: the index of each.
        name: what the user typed.

    Attributes:
        labels: (N, L) float32.
        ids: (N,) uint64, the image ids in the records.

    Raises:
        DataError: the files differ in their number of labels.
    """

    class_names: tuple[str, ...] | None = None

    def __init__(self, files: Sequence[Records], indexes: Sequence[RecordIndex], name: str) -> None:
        self.name = name
        self._files = files
        widths = [index.labels.shape[1] for index in indexes]
        for file, width in zip(self._files, widths, strict=True):
            if width != widths[0]:
                raise DataError(
                    f"its records have {width} labels, those of {self._files[0].name} have {widths[0]}",
                    where=file.name,
                    fix="The .rec files of one channel need the same number of labels.",
                )
        self.labels: NDArray[np.float32] = np.concatenate([index.labels for index in indexes])
        self.labels.flags.writeable = False
        self.ids: NDArray[np.uint64] = np.concatenate([index.ids for index in indexes])
        self._offsets = np.concatenate([index.extents.offsets for index in indexes])
        self._stored_bytes = np.concatenate([index.extents.stored_bytes for index in indexes])
        self._first_records: list[int] = np.cumsum([0, *(len(index) for index in indexes)]).tolist()

    def __len__(self) -> int:
        return len(self._offsets)

    def key(self, index: int) -> str:
        return f"{self._file(index).path.name}:{self._offsets[index]}"

    def __getitem__(self, index: int) -> Sample:
        image = self._image(index, self._record(index).payload)
        return Sample(self.key(index), image, self.labels[index])

    def _record(self, index: int) -> Record:
        return self._file(index).read(*self._extent(index))

    def _extent(self, index: int) -> tuple[int, int]:
        """Byte offset and length of a record as stored."""
        return self._offsets.item(index), self._stored_bytes.item(index)

    def _image(self, index: int, record: Buffer) -> Buffer:
        image = image_of(record, lambda: self._place(index))
        if not image:
            raise ImageError("the record holds no image bytes", where=self._place(index))
        return image

    def _place(self, index: int) -> str:
        return place(self._file(index).name, self._offsets.item(index))

    def _file(self, index: int) -> Records:
        return self._files[self._number_of_file(index)]

    def _number_of_file(self, index: int) -> int:
        check_index(index, len(self))
        return bisect_right(self._first_records, index) - 1


class RecordSource(IndexedRecords):
    """The records of files on this machine.

    Args:
        paths: the files, at least one.
        name: what the user typed.

    Raises:
        DataError: a file cannot be opened or indexed, or the files differ in their number of labels.
    """

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self._local = [RecordFile(path, shown_name(path)) for path in paths]
        super().__init__(self._local, [load_index(file) for file in self._local], name)

    def image_in(self, index: int, memory: ReusedMemory) -> memoryview:
        """As `ReadsIntoMemory.image_in`."""
        file = self._local[self._number_of_file(index)]
        return self._image(index, file.read_payload(*self._extent(index), memory))

    def read_together(self, indices: NDArray[np.int64], memory: ReusedMemory) -> list[memoryview | None]:
        """Read the encoded images of samples (n,) into the memory, of which they are views; see `read_images`."""
        for index in indices[(indices < 0) | (indices >= len(self))].tolist():
            check_index(index, len(self))
        numbers = np.searchsorted(self._first_records, indices, side="right") - 1
        return read_images(self._local, numbers, self._offsets[indices], self._stored_bytes[indices], memory)
