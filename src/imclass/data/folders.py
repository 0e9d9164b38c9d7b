"""Reads class folders: `photos/<class>/**/*.jpg`, one folder a class, at any depth below it.

Class numbers follow the sorted names of the folders that hold images. Names that begin with a dot are
ignored.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imclass.data.image_files import IMAGE_SUFFIXES, ImageFiles, printable
from imclass.data.names import nearest
from imclass.errors import DataError, listing

TRAIN_NAMES = ("train", "training")
VALIDATION_NAMES = ("validation", "val", "valid")
TEST_NAMES = ("test", "testing")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClassFolders:
    """The images of each class folder.

    Attributes:
        path: the folder that holds the class folders.
        images: class name -> paths of its images relative to `path`, sorted; classes sorted and never empty.
    """

    path: Path
    images: dict[str, list[str]]


def scan_class_folders(path: Path) -> ClassFolders:
    """Find the images below each folder in `path`. Folders without images are left out, which a log line
    says.

    Raises:
        DataError: no images in class folders; the message says what is there.
    """
    images = {folder.name: sorted(images_below(path, folder.name)) for folder in subfolders(path)}
    empty = [printable(name) for name, found in images.items() if not found]
    if len(empty) == len(images):
        raise DataError(
            "no class folders with images (.jpg, .jpeg, .png)\n" + listing(contents(path)),
            where=printable(path),
            fix="Put the images of each class in a folder of its name: photos/cat/1.jpg, photos/dog/1.jpg.",
        )
    if empty:
        logger.warning("%s: these folders hold no images and are not classes\n%s", printable(path), listing(empty))
    stray = sum(entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file() for entry in visible_entries(path))
    if stray:
        logger.warning("%s: %d images that are in no class folder are not used", printable(path), stray)
    return ClassFolders(path, {name: found for name, found in images.items() if found})


def folder_source(folders: ClassFolders, name: str, class_names: Sequence[str] | None = None) -> ImageFiles:
    """Make a source of class folders.

    Args:
        name: what the user typed.
        class_names: the class table that the numbers follow, say that of a model; the sorted folder names by
            default.

    Raises:
        DataError: folders whose names are not in `class_names`, each with the known name nearest to its own.
    """
    table = tuple(class_names) if class_names is not None else tuple(folders.images)
    numbers = {class_name: number for number, class_name in enumerate(table)}
    unknown = [class_name for class_name in folders.images if class_name not in numbers]
    if unknown:
        raise DataError(
            "folders that are not among the known classes\n"
            + listing([f"{printable(class_name)!r}{nearest(class_name, table)}" for class_name in unknown]),
            where=name,
            fix="Rename these folders or move them away. Known classes: " + _some(table),
        )
    paths = [path for images in folders.images.values() for path in images]
    labels = [numbers[class_name] for class_name, images in folders.images.items() for _ in images]
    return ImageFiles(name, folders.path, paths, np.array(labels, np.float32).reshape(-1, 1), table)


def union_of_class_names(*folders: ClassFolders) -> tuple[str, ...]:
    """Return the sorted names of all classes, so that one that a split lacks keeps its number."""
    return tuple(sorted({name for each in folders for name in each.images}))


def find_split_folders(path: Path) -> tuple[Path, Path] | None:
    """Find the layout `photos/train/<class>`, `photos/validation/<class>` (or `val`, `valid`), in any letter
    case.

    Returns:
        The two folders; None if `path` has another layout: one of the two is missing, holds no folders
        itself, or other folders (except `test`) stand beside them, so that they may be classes.
    """
    if not path.is_dir():
        return None
    by_name = {folder.name.lower(): folder for folder in subfolders(path)}
    train = next((by_name.pop(name) for name in TRAIN_NAMES if name in by_name), None)
    validation = next((by_name.pop(name) for name in VALIDATION_NAMES if name in by_name), None)
    if train is None or validation is None or set(by_name) - set(TEST_NAMES):
        return None
    return (train, validation) if subfolders(train) and subfolders(validation) else None


def contents(path: Path, limit: int = 8) -> list[str]:
    """Say in a few lines what a folder holds, for messages."""
    entries = visible_entries(path)
    shown = [printable(entry.name) + ("/" if entry.is_dir() else "") for entry in entries[:limit]]
    if len(entries) > limit:
        shown.append(f"{len(entries) - limit} more")
    return [f"found: {name}" for name in shown] or ["the folder is empty"]


def visible_entries(path: Path) -> list[Path]:
    """Return the entries of a folder that are not hidden, sorted.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        return sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=printable(path)) from error


def subfolders(path: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden, sorted."""
    return [entry for entry in visible_entries(path) if entry.is_dir()]


def images_below(root: Path, folder: str = "") -> Iterator[str]:
    """Yield the paths, relative to `root`, of the images in a folder below it, at any depth.

    No folder is read twice, so links in a circle end.

    Args:
        folder: where to look; everywhere by default.

    Raises:
        DataError: a folder cannot be read.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        relative = waiting.pop()
        status = (root / relative).stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in _entries(root / relative):
            path = f"{relative}/{entry.name}" if relative else entry.name
            if entry.is_dir():
                waiting.append(path)
            elif Path(entry.name).suffix.lower() in IMAGE_SUFFIXES and (entry.is_file() or entry.is_symlink()):
                yield path  # a link to nowhere too: its sample says that it is missing


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
            return sorted(visible, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=printable(folder)) from error


def _some(names: Sequence[str], limit: int = 20) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
