"""Results as Parquet, by pyarrow.

    key                 string
    predicted_label     string; of a multi-label model predicted_labels, a list of strings
    probabilities       list of num_classes float32, 0 to 1

The metadata of the schema hold the class names, as a JSON list, under `class_names`. A piece of the job is a row group.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imclass.data.image_files import printable
from imclass.data.unlabelled import Unlabelled
from imclass.errors import UserError
from imclass.inference.serving.responses import Labels
from imclass.inference.transform.rows import predicted_labels
from imclass.pending_file import PendingFile


class ParquetAssembly:
    """Parquet files.

    Raises:
        UserError: pyarrow is not installed.
    """

    def __init__(self, images: Unlabelled, labels: Labels) -> None:
        self._arrow = _pyarrow()
        self._images = images
        self._labels = labels

    def piece_writer(self, path: Path) -> "_ParquetPieceWriter":
        """As `Assembly.piece_writer`."""
        return _ParquetPieceWriter(self, PendingFile(path))

    def put_together(self, path: Path, pieces: Sequence[Path]) -> None:
        """As `Assembly.put_together`."""
        from pyarrow import parquet

        with PendingFile(path) as file, parquet.ParquetWriter(file.stream, self.schema) as writer:
            for piece in pieces:
                table = parquet.read_table(piece)
                if len(table):
                    writer.write_table(table, row_group_size=len(table))

    @property
    def schema(self) -> Any:
        """The columns, as a pyarrow.Schema."""
        arrow = self._arrow
        predicted = (
            ("predicted_labels", arrow.list_(arrow.string()))
            if self._labels.multi_label
            else ("predicted_label", arrow.string())
        )
        probabilities = ("probabilities", arrow.list_(arrow.float32(), len(self._labels.names)))
        metadata = {"class_names": json.dumps(self._labels.names)}
        return arrow.schema([("key", arrow.string()), predicted, probabilities], metadata=metadata)

    def table(self, indices: Sequence[int], probabilities: NDArray[np.float32]) -> Any:
        """Results of images, as a pyarrow.Table."""
        names = predicted_labels(probabilities, self._labels)
        predicted = names if self._labels.multi_label else [name for (name,) in names]
        values = self._arrow.array(np.ascontiguousarray(probabilities).reshape(-1), self._arrow.float32())
        columns = [
            [printable(self._images.keys[index]) for index in indices],
            predicted,
            self._arrow.FixedSizeListArray.from_arrays(values, len(self._labels.names)),
        ]
        return self._arrow.table(columns, schema=self.schema)


class _ParquetPieceWriter:
    def __init__(self, assembly: ParquetAssembly, file: PendingFile) -> None:
        self._assembly = assembly
        self._file = file
        self._tables: list[Any] = []

    def add(self, indices: Sequence[int], probabilities: NDArray[np.float32]) -> None:
        self._tables.append(self._assembly.table(indices, probabilities))

    def commit(self) -> None:
        import pyarrow
        from pyarrow import parquet

        empty = self._assembly.schema.empty_table()
        with self._file as file:
            parquet.write_table(pyarrow.concat_tables([*self._tables, empty]), file.stream)

    def discard(self) -> None:
        self._file.discard()


def _pyarrow() -> ModuleType:
    try:
        import pyarrow
    except ImportError as error:
        raise UserError(
            "Parquet needs the package pyarrow", where="format parquet", fix="pip install 'imclass[parquet]'"
        ) from error
    module: ModuleType = pyarrow
    return module
