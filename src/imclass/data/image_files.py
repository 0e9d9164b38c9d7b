"""A source whose images are files: the common ground of lists, manifests and class folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from imclass.data.source import Sample, check_index
from imclass.errors import DataError, ImageError, listing

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
FIRST_FILES = 20
"""Number of files looked for before a list with a wrong image root is given up."""


class ImageFiles:
    """Images in files below a root folder.

    Args:
        name: what the user typed.
        root: the folder that the paths start from.
        paths: path of each image relative to `root`, or absolute.
        labels: (N, L) float32.
        class_names: names in the order of the class numbers, or None.
        places: where those are that are not below `root` under their own path: copies of remote images.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        paths: Sequence[str],
        labels: NDArray[np.float32],
        class_names: tuple[str, ...] | None,
        places: Mapping[str, Path] = MappingProxyType({}),
    ) -> None:
        assert labels.shape[:1] == (len(paths),)
        self.name = name
        self.root = root
        self.labels = labels
        self.labels.flags.writeable = False
        self.class_names = class_names
        self._paths = tuple(paths)
        self._places = places

    def __len__(self) -> int:
        return len(self._paths)

    def path(self, index: int) -> Path:
        """Return where an image is."""
        check_index(index, len(self))
        listed = self._paths[index]
        return self._places.get(listed) or self.root / listed

    def listed_path(self, index: int) -> str:
        """Return the path of an image as its list has it."""
        check_index(index, len(self))
        return self._paths[index]

    def key(self, index: int) -> str:
        check_index(index, len(self))
        return printable(self._paths[index])

    def __getitem__(self, index: int) -> Sample:
        path = self.path(index)
        try:
            image = path.read_bytes()
        except OSError as error:
            raise ImageError(f"cannot be read: {error.strerror}", where=printable(path)) from error
        if not image:
            raise ImageError("the file is empty", where=printable(path))
        return Sample(self.key(index), image, self.labels[index])

    def check_first_files(self, fix: str) -> None:
        """Find out early that all paths start from another folder than `root`.

        Raises:
            DataError: none of the first files exists.
        """
        first = [self.path(index) for index in range(min(FIRST_FILES, len(self)))]
        if not any(path.is_file() for path in first):
            raise DataError(
                f"none of the first {len(first)} images is there\n"
                + listing([printable(path) for path in first], limit=3),
                where=self.name,
                fix=fix,
            )


def printable(path: str | Path) -> str:
    """Return a path for messages; bytes that are not UTF-8 become replacement characters."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def path_problem(path: str) -> str | None:
    """Say why no file can have this path, or None."""
    if not path:
        return "the path is empty"
    if "\0" in path:
        return "the path holds a zero byte"
    try:
        path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "the path holds characters that no file name can have"
    return None
