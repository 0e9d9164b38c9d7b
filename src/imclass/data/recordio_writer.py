"""Writes RecordIO files byte for byte as MXNet does, with the `.idx` file beside them.

`imclass.data.recordio` shows the bytes. The `.idx` file is text, one line a record: ``key TAB byte offset``.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

from imclass.data.recordio import (
    LENGTH_BITS,
    MAGIC,
    MAGIC_BYTES,
    PART_HEAD,
    RECORD_LIMIT,
    PartKind,
    padding,
)
from imclass.errors import DataError
from imclass.pending_file import PendingFile


def encode_record(payload: bytes) -> bytes:
    """Return the parts that store one record, split at every aligned magic word.

    Raises:
        DataError: the record has 2^29 bytes or more.
    """
    if len(payload) >= RECORD_LIMIT:
        raise DataError(f"a record must be shorter than 2^{LENGTH_BITS} bytes, this one has {len(payload)}")
    cuts = _aligned_magics(payload)
    if not cuts:
        return _encode_part(PartKind.WHOLE, payload)
    starts = [0, *(cut + len(MAGIC_BYTES) for cut in cuts)]
    pieces = [payload[start:end] for start, end in zip(starts, [*cuts, len(payload)], strict=True)]
    return b"".join(
        [
            _encode_part(PartKind.FIRST, pieces[0]),
            *(_encode_part(PartKind.MIDDLE, piece) for piece in pieces[1:-1]),
            _encode_part(PartKind.LAST, pieces[-1]),
        ]
    )


def _aligned_magics(payload: bytes) -> list[int]:
    positions = []
    position = payload.find(MAGIC_BYTES)
    while position >= 0:
        aligned = position % 4 == 0
        if aligned:
            positions.append(position)
        position = payload.find(MAGIC_BYTES, position + (len(MAGIC_BYTES) if aligned else 1))
    return positions


def _encode_part(kind: PartKind, data: bytes) -> bytes:
    return PART_HEAD.pack(MAGIC, kind << LENGTH_BITS | len(data)) + data + bytes(padding(len(data)))


class RecordWriter:
    """Writes `NAME.rec` and `NAME.idx`; both appear when the `with` block ends without an error, or not at
    all.

    Example::

        with RecordWriter(Path("train.rec")) as writer:
            writer.write(0, pack_image(3, jpeg, image_id=0))

    Raises:
        DataError: the folder cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.index_path = path.with_suffix(".idx")
        self._offset = 0
        self._records = PendingFile(path, DataError)
        self._index = PendingFile(self.index_path, DataError)

    def write(self, key: int, payload: bytes) -> None:
        """Append one record.

        Args:
            key: the number of the record in the `.idx` file, usually the image's id.
            payload: the record; see `imclass.data.recordio.pack_image` for images.

        Raises:
            DataError: the record has 2^29 bytes or more.
        """
        stored = encode_record(payload)
        self._records.write(stored)
        self._index.write(f"{key}\t{self._offset}\n".encode())
        self._offset += len(stored)

    def close(self) -> None:
        """Put both files in place. An old `.idx` goes first, so that it never stands beside records it is not for."""
        self._records.finish()
        self._index.finish()
        self.index_path.unlink(missing_ok=True)
        self._records.commit()
        self._index.commit()

    def discard(self) -> None:
        """Throw away what was written; does nothing after `close`."""
        self._records.discard()
        self._index.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self.discard()
