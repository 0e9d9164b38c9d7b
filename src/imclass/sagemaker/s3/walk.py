"""The keys of a bucket in S3's order, read from its folders as they are needed."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from imclass.sagemaker.s3.paths import MORE, MOST_KEY_BYTES, OBJECT, part_of


class Found(NamedTuple):
    """An object: its key, and where it is."""

    key: str
    path: str


class _Entry(NamedTuple):
    """A part of keys in a folder.

    Attributes:
        order: what the keys below it begin with, for sorting: a folder's part with its slash.
    """

    order: str
    path: str
    is_folder: bool


class KeyWalk:
    """Yields the objects whose keys begin with a prefix, in the order of their UTF-8 bytes.

    Only folders are opened that can hold such keys. Links are followed, unless they lead back. Objects that come or go
    meanwhile may be seen or not.

    Args:
        folder: of the bucket.
        prefix: of the keys.
        after: only keys behind this one.
    """

    def __init__(self, folder: Path, prefix: str = "", after: str = "") -> None:
        self._folder = folder
        self._prefix = prefix
        self._after = after
        self._past: str | None = None

    def skip(self, prefix: str) -> None:
        """Leave out all keys to come that begin with a prefix; those below it have been reached."""
        self._past = prefix

    def __iter__(self) -> Iterator[Found]:
        return self._below((str(self._folder),), "")

    def _below(self, folders: tuple[str, ...], base: str) -> Iterator[Found]:
        for entry in _entries(folders[-1]):
            key = base + entry.order
            if entry.is_folder and self._may_hold(key) and not _leads_back(entry.path, folders):
                yield from self._below((*folders, entry.path), key)
            elif not entry.is_folder and self._is_wanted(key):
                yield Found(key, entry.path)

    def _is_wanted(self, key: str) -> bool:
        if not key.startswith(self._prefix) or key <= self._after or len(key.encode()) > MOST_KEY_BYTES:
            return False
        return self._past is None or not key.startswith(self._past)

    def _may_hold(self, start: str) -> bool:
        """Whether keys that begin so can be wanted."""
        if not (start.startswith(self._prefix) or self._prefix.startswith(start)):
            return False
        if start < self._after and not self._after.startswith(start):
            return False
        if len(start.encode()) >= MOST_KEY_BYTES:
            return False
        return self._past is None or not start.startswith(self._past)


def _leads_back(path: str, folders: tuple[str, ...]) -> bool:
    """Whether a folder is a link to one of those that led to it."""
    return Path(path).is_symlink() and any(Path(path).samefile(folder) for folder in folders)


def _entries(folder: str) -> list[_Entry]:
    """What is in a folder, in the order of keys. Python compares text by code points, as UTF-8 sorts its bytes."""
    return sorted(_parts(folder, ()), key=lambda entry: entry.order)


def _parts(folder: str, chain: tuple[str, ...]) -> Iterator[_Entry]:
    """The parts in a folder; those too long for one name are put together from the folders that they go on in."""
    try:
        with os.scandir(folder) as listing:
            found = list(listing)
    except (FileNotFoundError, NotADirectoryError):  # it has just been removed
        return
    files = {entry.name for entry in found if entry.is_file()}
    for entry in found:
        if entry.name in files:
            yield from _file(entry, chain, files)
        elif entry.is_dir() and entry.name.endswith(MORE):
            yield from _parts(entry.path, (*chain, entry.name))
        elif entry.is_dir() and (part := part_of((*chain, entry.name))) is not None:
            yield _Entry(part + "/", entry.path, is_folder=True)


def _file(entry: os.DirEntry[str], chain: tuple[str, ...], files: set[str]) -> Iterator[_Entry]:
    name = entry.name.removesuffix(OBJECT)
    if name != entry.name and name in files:  # the plain name is the one in use
        return
    part = part_of((*chain, name)) if name else None
    if part is not None:
        yield _Entry(part, entry.path, is_folder=False)
