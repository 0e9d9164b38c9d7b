"""Single output files: written in pieces, put together in order."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from imclass.inference.transform.rows import RowWriter
from imclass.pending_file import PendingFile

if TYPE_CHECKING:
    from imclass.inference.transform.destinations import PieceWriter


class Assembly(Protocol):
    """A form of a single file."""

    def piece_writer(self, path: Path) -> "PieceWriter":
        """What writes the results of a piece to a file of its own."""
        ...

    def put_together(self, path: Path, pieces: Sequence[Path]) -> None:
        """Write the file `path` from those of its pieces."""
        ...


class RowAssembly:
    """Files whose rows are bytes, one behind the other."""

    def __init__(self, rows: RowWriter) -> None:
        self._rows = rows

    def piece_writer(self, path: Path) -> "_RowPieceWriter":
        """As `Assembly.piece_writer`."""
        return _RowPieceWriter(PendingFile(path), self._rows)

    def put_together(self, path: Path, pieces: Sequence[Path]) -> None:
        """As `Assembly.put_together`."""
        with PendingFile(path) as file:
            file.write(self._rows.header)
            for piece in pieces:
                with piece.open("rb") as rows:
                    shutil.copyfileobj(rows, file.stream, 1 << 20)


class _RowPieceWriter:
    def __init__(self, file: PendingFile, rows: RowWriter) -> None:
        self._file = file
        self._rows = rows

    def add(self, indices: Sequence[int], probabilities: NDArray[np.float32]) -> None:
        self._file.write(b"".join(self._rows.rows(indices, probabilities)))

    def commit(self) -> None:
        self._file.commit()

    def discard(self) -> None:
        self._file.discard()
