r"""Reads `.lst` files, MXNet's lists of images.

One line an image, columns separated by tabs::

    index TAB label [TAB label ...] TAB path relative to the image root

The index is a whole number and stands in one line only; labels are numbers, as many in every line: one class
number, or one 0/1 column a class. A file without any tab is split at spaces, as MXNet's own reader does;
paths with spaces need tabs. Empty lines, a byte order mark, `\r\n` and spaces around columns do no harm.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imclass.data.image_files import ImageFiles, path_problem
from imclass.data.location import folder_of_origin, remote_images, shown_name
from imclass.errors import DataError, listing

INDEX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class ImageList:
    """The lines of a `.lst` file.

    Attributes:
        indices: (N,) int64, the first column.
        labels: (N, L) float32.
        paths: the last column.
    """

    indices: NDArray[np.int64]
    labels: NDArray[np.float32]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    index: int
    labels: tuple[float, ...]
    path: str


def open_lst(path: Path, name: str, image_root: Path | None = None) -> ImageFiles:
    """Open a `.lst` file as a source. Images on other machines are fetched: addresses in the list, and all images of a
    list that was fetched itself.

    Args:
        name: what the user typed.
        image_root: the folder that paths start from; the folder of the list by default.

    Raises:
        DataError: as `read_lst`, or none of the first 20 images exists.
    """
    image_list = read_lst(path)
    base = None if image_root else folder_of_origin(path)
    places = remote_images(image_list.paths, base, shown_name(path))
    source = ImageFiles(name, image_root or path.parent, image_list.paths, image_list.labels, None, places)
    source.check_first_files("Name the folder that the paths of the list start from: --image-root FOLDER.")
    return source


def read_lst(path: Path) -> ImageList:
    """Read a `.lst` file.

    Raises:
        DataError: the file cannot be read or is empty, or it has bad lines: all of them, with their numbers.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=shown_name(path)) from error
    problems: list[str] = []
    lines = list(_good_lines(text, problems))
    problems += _different_widths(lines) + _repeated_indices(lines)
    if problems:
        raise DataError(
            "bad lines in the list\n" + listing(problems),
            where=shown_name(path),
            fix="A line is: index TAB label [TAB label ...] TAB path.",
        )
    if not lines:
        raise DataError("the list is empty", where=shown_name(path))
    return ImageList(
        np.array([line.index for line in lines], np.int64),
        np.array([line.labels for line in lines], np.float32),
        tuple(line.path for line in lines),
    )


def _good_lines(text: str, problems: list[str]) -> Iterator[_Line]:
    """Yield the lines that can be read; say of the others what is wrong."""
    separator = "\t" if "\t" in text else None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        columns = [column.strip() for column in line.strip().split(separator)]
        try:
            yield _parse(number, columns)
        except ValueError as error:
            problems.append(f"line {number}: {error}")


def _parse(number: int, columns: list[str]) -> _Line:
    if len(columns) < 3:
        raise ValueError(f"{len(columns)} columns, at least 3 are needed (index, label, path)")
    index, *labels, path = columns
    if not (index.isascii() and index.isdigit() and len(index) <= INDEX_DIGITS):
        raise ValueError(f"the index {index[:40]!r} is not a whole number")
    problem = path_problem(path)
    if problem:
        raise ValueError(problem)
    return _Line(number, int(index), tuple(_parse_label(label) for label in labels), path)


def _parse_label(text: str) -> float:
    try:
        label = float(text)
    except ValueError:
        raise ValueError(f"the label {text[:40]!r} is not a number") from None
    if not abs(label) <= float(np.finfo(np.float32).max):
        raise ValueError(f"the label {text[:40]!r} is not a finite number")
    return label


def _different_widths(lines: list[_Line]) -> list[str]:
    return [
        f"line {line.number}: {len(line.labels)} labels, line {lines[0].number} has {len(lines[0].labels)}"
        for line in lines
        if len(line.labels) != len(lines[0].labels)
    ]


def _repeated_indices(lines: list[_Line]) -> list[str]:
    first: dict[int, int] = {}
    return [
        f"line {line.number}: the index {line.index} stands in line {first[line.index]} already"
        for line in lines
        if first.setdefault(line.index, line.number) != line.number
    ]
