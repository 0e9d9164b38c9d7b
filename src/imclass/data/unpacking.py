"""Turns image records back into files: class folders and a `.lst`.

::

    DIR/NAME.lst            index, labels and path of every image, in the order of the records
    DIR/<class>/<id>.jpg    images with one label, a class number
    DIR/images/<id>.jpg     images with several labels, or with one that is no class number

The list keeps what folders cannot: the class numbers, the ids and the order. imclass reads `DIR` by the list.
"""

import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imclass.data.folders import visible_entries
from imclass.data.image_files import printable
from imclass.data.lst import INDEX_DIGITS
from imclass.data.lst_writer import write_lst
from imclass.data.recordio_source import RecordSource
from imclass.errors import DataError, ImageError, listing

MOST_FOLDERS = 100_000
ALL_IMAGES = "images"
_SUFFIXES = ((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG", ".png"))
UNKNOWN_SUFFIX = ".bin"

Row = tuple[int, tuple[float, ...], str]


@dataclass(slots=True)
class Unpacked:
    """What was written.

    Attributes:
        list_file: the `.lst`.
        images: number of image files.
        left_out: (key, reason) of records without an image.
        unknown: keys of images that are neither JPEG nor PNG; their files end in `.bin`.
    """

    list_file: Path
    images: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def unpack(
    source: RecordSource,
    folder: Path,
    list_name: str,
    class_names: tuple[str, ...] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Unpacked:
    """Write the images of `.rec` files to a folder, which appears when all of them are there, or not at all.

    The bytes of the images are not changed.

    Args:
        folder: must not exist, or be empty.
        list_name: `NAME.lst`.
        class_names: names for the class folders, by class number; without them the numbers, with zeros in front so
            that they sort as numbers do.
        progress: called with the number of records that became done.

    Raises:
        DataError: the folder is in use, the class names do not fit, a record is broken, or the disk is full.
    """
    _check_is_free(folder)
    folders = _class_folders(source.labels, class_names)
    made = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}.tmp")
    unpacked = Unpacked(folder / list_name)
    try:
        made.mkdir(parents=True)
        write_lst(made / list_name, _write_images(source, made, folders, unpacked, progress))
        made.replace(folder)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", where=printable(error.filename or folder)) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return unpacked


def _check_is_free(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or visible_entries(folder)):
        raise DataError("this exists already and is not an empty folder", where=printable(folder), fix="Name another.")


def _class_folders(labels: NDArray[np.float32], class_names: tuple[str, ...] | None) -> list[str] | None:
    """Name the folder of each class number; None if labels are no class numbers.

    Raises:
        DataError: class names for labels that have none or too few, or names that no folder can have.
    """
    values = labels[:, 0]
    are_numbers = labels.shape[1] == 1 and bool(((values >= 0) & (values == np.floor(values))).all())
    largest = int(values.max(initial=0)) if are_numbers else 0
    if class_names is None:
        if not are_numbers or largest >= MOST_FOLDERS:
            return None
        return [f"{number:0{len(str(largest))}d}" for number in range(largest + 1)]
    if not are_numbers:
        raise DataError(
            "the labels of these records are not single class numbers, so that class names cannot be given",
            where="class names",
            fix="Leave them out.",
        )
    if largest >= len(class_names):
        raise DataError(
            f"{len(class_names)} names are too few: the largest class number is {largest}", where="class names"
        )
    bad = [f"{name!r}" for name in class_names if name.startswith(".") or "/" in name or "\0" in name or not name]
    if bad:
        raise DataError(
            "names that imclass cannot use for class folders (with a slash, or a dot in front)\n" + listing(bad),
            where="class names",
        )
    return list(class_names)


def _write_images(
    source: RecordSource,
    root: Path,
    folders: list[str] | None,
    unpacked: Unpacked,
    progress: Callable[[int], None],
) -> Iterator[Row]:
    """Write the files and yield their lines of the list."""
    numbers = _numbers(source)
    digits = len(str(int(numbers.max(initial=0))))
    for index, number in enumerate(numbers.tolist()):
        progress(1)
        try:
            sample = source[index]
        except ImageError as error:
            unpacked.left_out.append((source.key(index), error.what))
            continue
        suffix = next((suffix for start, suffix in _SUFFIXES if sample.image.startswith(start)), UNKNOWN_SUFFIX)
        if suffix == UNKNOWN_SUFFIX:
            unpacked.unknown.append(sample.key)
        in_folder = folders[int(sample.label[0])] if folders is not None else ALL_IMAGES
        path = f"{in_folder}/{number:0{digits}d}{suffix}"
        (root / in_folder).mkdir(exist_ok=True)
        (root / path).write_bytes(sample.image)
        unpacked.images += 1
        yield number, tuple(sample.label.tolist()), path


def _numbers(source: RecordSource) -> NDArray[np.uint64]:
    """The ids of the records, or their places where ids occur twice or are too long for a list."""
    ids = source.ids
    if len(np.unique(ids)) == len(ids) and int(ids.max(initial=0)) < 10**INDEX_DIGITS:
        return ids
    return np.arange(len(ids), dtype=np.uint64)
