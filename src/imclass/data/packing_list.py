"""What is to be packed, in which order and into which files: the lists of MXNet's `im2rec.py --list`.

im2rec numbers the images of a folder in the order of its walk, shuffles them with Python's generator and the seed 100,
and divides them. A list or another data set keeps its own numbers and its own order.
"""

import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imclass.data.folders import contents, folder_source, scan_class_folders
from imclass.data.image_files import IMAGE_SUFFIXES, ImageFiles, printable
from imclass.data.lst import read_lst
from imclass.data.opening import Format, Options, Recognised, open_recognised, recognise
from imclass.data.recordio_source import RecordSource
from imclass.data.source import Source
from imclass.errors import DataError

SHUFFLE_SEED = 100
"""The seed of im2rec."""


@dataclass(frozen=True, slots=True)
class PackingList:
    """Images to pack.

    Attributes:
        source: where they are read.
        ids: (N,) uint64, the number of each sample of `source` in the list and the records.
        order: (N,) int64, the samples of `source` in the order in which they are packed.
        list_file: the `.lst` that names them, when there is one.
        record_files: the `.rec` files that they are read from, if any.
    """

    source: Source
    ids: NDArray[np.uint64]
    order: NDArray[np.int64]
    list_file: Path | None = None
    record_files: tuple[Path, ...] = ()

    def row(self, sample: int) -> tuple[int, tuple[float, ...], str]:
        """Return a sample's line of a `.lst` file: id, labels, path."""
        labels = tuple(float(label) for label in self.source.labels[sample])
        return int(self.ids[sample]), labels, listed_path(self.source, sample)


@dataclass(frozen=True, slots=True)
class Part:
    """The images of one output file.

    Attributes:
        suffix: what its name has after that of the whole: "", "_0", "_train", "_0_test".
        order: (M,) int64, samples of the source in the order in which they are packed.
    """

    suffix: str
    order: NDArray[np.int64]


def listed_path(source: Source, sample: int) -> str:
    """Return the path of a sample as a list names it."""
    return source.listed_path(sample) if isinstance(source, ImageFiles) else source.key(sample)


def packing_list(
    path: Path,
    *,
    recursive: bool | None = None,
    shuffle: bool | None = None,
    image_root: Path | None = None,
    attribute_names: Sequence[str] | None = None,
    label_format: str = "multi-hot",
) -> PackingList:
    """Find the images to pack and put them in order.

    Args:
        path: a folder of images, or any data set that `open_source` knows.
        recursive: how the folder of images is read. None: one class for each folder in it, with all images below,
            as everywhere in imclass. True: one class for each folder at any depth that holds images itself, as
            `im2rec --recursive`. False: the images that lie in it, all with the label 0, as im2rec without
            `--recursive`. All three agree on how a folder of flat class folders is numbered, except False.
        shuffle: whether to shuffle as im2rec does; by default folders are and lists are not.

    The other arguments are those of `open_source`.

    Raises:
        DataError: there is nothing to pack there, or `recursive` is said of something that is no folder of images.
    """
    found = recognise(path) if recursive is None else None
    is_folder = found is None or found.format is Format.FOLDERS
    packing = (
        _folder_list(path, recursive, image_root, attribute_names)
        if found is None or is_folder
        else _data_set_list(found, Options(image_root, attribute_names, label_format))
    )
    order = packing.order.tolist()
    if is_folder if shuffle is None else shuffle:
        random.Random(SHUFFLE_SEED).shuffle(order)
    return replace(packing, order=np.array(order, np.int64))


def _folder_list(
    path: Path, recursive: bool | None, image_root: Path | None, attribute_names: Sequence[str] | None
) -> PackingList:
    if image_root is not None or attribute_names is not None:
        raise DataError(
            "an image root and attribute names belong to a list or a manifest; this is a folder of images",
            where=printable(path),
            fix="Leave them out.",
        )
    source = _folder(path, recursive)
    return PackingList(source, np.arange(len(source), dtype=np.uint64), np.arange(len(source)))


def _data_set_list(found: Recognised, options: Options) -> PackingList:
    source = open_recognised(found, options)
    return PackingList(
        source,
        _own_ids(source, found),
        np.arange(len(source)),
        list_file=found.paths[0] if found.format is Format.LIST else None,
        record_files=found.paths if found.format is Format.RECORDIO else (),
    )


def _own_ids(source: Source, found: Recognised) -> NDArray[np.uint64]:
    """The numbers that a data set has already; its samples are counted where they are missing or occur twice."""
    if found.format is Format.LIST:
        return read_lst(found.paths[0]).indices.astype(np.uint64)
    if isinstance(source, RecordSource) and len(np.unique(source.ids)) == len(source):
        return source.ids
    return np.arange(len(source), dtype=np.uint64)


def _folder(path: Path, recursive: bool | None) -> ImageFiles:
    if recursive is None:
        return folder_source(scan_class_folders(path), printable(path))
    if not path.is_dir():
        raise DataError("this is no folder, so that it cannot be searched for images", where=printable(path))
    listed = list(_walk(path) if recursive else _images_in(path, path))
    if not listed:
        where_looked = "in this folder or below it" if recursive else "in this folder itself"
        raise DataError(
            f"no images (.jpg, .jpeg, .png) {where_looked}\n" + "\n".join(contents(path)), where=printable(path)
        )
    folders = [str(Path(name).parent) for name in listed]
    classes = {folder: number for number, folder in enumerate(dict.fromkeys(folders))}
    labels = np.array([[classes[folder]] for folder in folders], np.float32)
    names = tuple(printable(folder) for folder in classes) if recursive else None
    return ImageFiles(printable(path), path, listed, labels, names)


def _walk(root: Path) -> Iterator[str]:
    """Yield the images of a folder and all folders below, relative to it, in im2rec's order.

    Links to folders are followed, but no folder is read twice, so that links in a circle end.
    """
    seen: set[tuple[int, int]] = set()
    for folder, subfolders, _ in os.walk(root, followlinks=True, onerror=_unreadable):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield from _images_in(Path(folder), root)


def _images_in(folder: Path, root: Path) -> Iterator[str]:
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise _unreadable_folder(error, folder) from error
    for name in names:
        path = folder / name
        if path.suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".") and path.is_file():
            yield os.path.relpath(path, root)


def _unreadable(error: OSError) -> None:
    raise _unreadable_folder(error, Path(error.filename)) from error


def _unreadable_folder(error: OSError, folder: Path) -> DataError:
    return DataError(f"cannot be read: {error.strerror}", where=printable(folder))


def divide(order: NDArray[np.int64], *, chunks: int = 1, train_ratio: float = 1, test_ratio: float = 0) -> list[Part]:
    """Divide images over output files with im2rec's arithmetic.

    Args:
        order: (N,) samples.
        chunks: number of pieces of ceil(N / chunks) images; the last may be smaller.
        train_ratio: share of each chunk that goes to `_train`; 1 makes one file of it.
        test_ratio: share that goes to `_test`; what is left goes to `_val`. Shares are of the size of a full chunk.

    Returns:
        The parts: of each chunk test, train, val.

    Raises:
        DataError: numbers out of range, or a part would be empty.
    """
    if chunks < 1:
        raise DataError(f"the number of chunks must be at least 1, not {chunks}")
    if not (0 <= train_ratio <= 1 and 0 <= test_ratio <= 1 and train_ratio + test_ratio <= 1):
        raise DataError(
            f"train ratio {train_ratio:g} and test ratio {test_ratio:g} must be 0 to 1, and no more than 1 together"
        )
    size = -(-len(order) // chunks)
    parts: list[Part] = []
    for chunk in range(chunks):
        name = f"_{chunk}" if chunks > 1 else ""
        parts += _divide_chunk(order[chunk * size : (chunk + 1) * size], name, size, train_ratio, test_ratio)
    empty = [part.suffix for part in parts if not len(part.order)]
    if empty:
        raise DataError(
            f"{len(order)} images are too few: nothing would be in {', '.join(empty)}",
            fix="Use fewer chunks or other ratios.",
        )
    return parts


def _divide_chunk(
    chunk: NDArray[np.int64], name: str, size: int, train_ratio: float, test_ratio: float
) -> Iterator[Part]:
    if train_ratio == 1:
        yield Part(name, chunk)
        return
    test_end = int(size * test_ratio)
    train_end = test_end + int(size * train_ratio)
    if test_ratio:
        yield Part(f"{name}_test", chunk[:test_end])
    if train_ratio:
        yield Part(f"{name}_train", chunk[test_end:train_end])
    if train_ratio + test_ratio < 1:
        yield Part(f"{name}_val", chunk[train_end:])
