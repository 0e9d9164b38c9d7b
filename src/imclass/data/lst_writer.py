"""Writes `.lst` files as MXNet's `im2rec.py --list` does; `imclass.data.lst` describes them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from imclass.errors import DataError
from imclass.pending_file import PendingFile


def write_lst(path: Path, rows: Iterable[tuple[int, Sequence[float], str]]) -> None:
    """Write a list in one step.

    Args:
        rows: index, labels and image path of each line. Labels are written with six decimals.

    Raises:
        DataError: a path holds a tab or a line break, which the format cannot hold, or the folder cannot be
            written to.
    """
    with PendingFile(path, DataError) as file:
        for index, labels, image in rows:
            if any(character in image for character in "\t\r\n"):
                raise DataError(f"a path with a tab or line break cannot be listed: {image!r}", where=str(path))
            columns = [str(index), *(f"{label:f}" for label in labels), image]
            file.write(("\t".join(columns) + "\n").encode("utf-8", "surrogateescape"))
