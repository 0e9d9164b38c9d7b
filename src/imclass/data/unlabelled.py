"""Images to predict: data sets of any form, without a look at what their labels mean.

===================================  =============================================================================
path                                 images, and the key of each
===================================  =============================================================================
folder                               the images in it at any depth; the path relative to the folder
image file                           itself; its name
`.lst`                               those listed; the path as listed, relative to the image root
manifest                             those listed; the same
manifest file (a prefix and names)   those named; the name
`.rec`, or folder split as RecordIO  each record; `FILE:BYTEOFFSET`, FILE relative to the folder
===================================  =============================================================================

Order is that of the list; that of the keys for folders; that of the records, file after file in the order of their
names. Any of these may be at an address on another machine, and so may the images in a list or a manifest: they are
fetched, and the key of an image with an address is the part behind the bucket or host.
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np

from imclass.data.folders import contents, images_below
from imclass.data.image_files import IMAGE_SUFFIXES, ImageFiles, printable
from imclass.data.json_path import EVERYTHING
from imclass.data.location import folder_of_origin, local_path, remote_images, shown_name
from imclass.data.lst import ImageList, read_lst
from imclass.data.manifest import ImageReference, read_image_references
from imclass.data.manifest_file import ManifestFile, is_manifest_file, read_manifest_file
from imclass.data.opening import Format, files_with_suffix, recognise
from imclass.data.recordio_source import RecordSource
from imclass.data.remote.addresses import remote_address
from imclass.errors import DataError


class SplitType(StrEnum):
    """What one file of the input is, in the words of SageMaker's batch transform."""

    NONE = "None"
    RECORDIO = "RecordIO"


@dataclass(frozen=True, slots=True)
class RecordObject:
    """A file of records.

    Attributes:
        key: its path relative to the folder, or its name.
        images: number of records in it.
    """

    key: str
    images: int


class Unlabelled(Protocol):
    """N images by number, from any number of threads.

    Attributes:
        name: what the user typed.
        keys: (N) names of the images; the module's table says what they are.
        objects: the files that the images are records of, in order; None where every image is a file.
    """

    @property
    def name(self) -> str: ...

    @property
    def keys(self) -> Sequence[str]: ...

    @property
    def objects(self) -> Sequence[RecordObject] | None: ...

    def image(self, index: int) -> bytes:
        """Read an encoded image, 0 <= index < N.

        Raises:
            ImageError: this one image cannot be had.
            DataError: the container is broken.
        """
        ...

    def record(self, index: int) -> object:
        """What the input says of an image, as JSON has it: the line of a manifest, the columns of a list, an object
        with key (and id and label of a record) otherwise."""
        ...


def open_unlabelled(
    place: str | Path,
    *,
    split_type: SplitType | None = None,
    image_root: str | Path | None = None,
    image_attribute: str | None = None,
    input_filter: str = EVERYTHING,
) -> Unlabelled:
    """Find out what a path is and open the images in it.

    Args:
        place: a path, or an address as text, which is fetched.
        split_type: what a file is; by default RecordIO for RecordIO files and None for all else.
        image_root: folder that the paths of a list or manifest start from; that of the file by default.
        image_attribute: name of the image attribute of a manifest; by default the first that ends in `-ref`.
        input_filter: path to what speaks of the image in a manifest's line, as for `read_image_references`.

    Raises:
        DataError: the path is missing, holds no images, is broken, or does not fit what was said of it.
    """
    path = local_path(place)
    if path.is_file() and not _is_image_file(path) and is_manifest_file(path):
        _refuse_unused(path, None, split_type, image_root, image_attribute, input_filter)
        return _named_images(path, read_manifest_file(path))
    root = None if image_root is None else local_path(image_root)
    format = None if path.is_dir() or _is_image_file(path) else recognise(path).format
    _refuse_unused(path, format, split_type, image_root, image_attribute, input_filter)
    if format is Format.RECORDIO:
        return RecordImages(shown_name(path), [(path.name, path)])
    if format is Format.LIST:
        return ListImages(path, read_lst(path), root)
    if format is Format.MANIFEST:
        base = None if root else folder_of_origin(path)
        references = read_image_references(path, image_attribute, input_filter=input_filter, base=base)
        return ManifestImages(path, references, root)
    if split_type is SplitType.RECORDIO:
        return _records_below(path)
    return FileImages(shown_name(path), path, _sorted_images(path)) if path.is_dir() else _one_image(path)


def _is_image_file(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _refuse_unused(
    path: Path,
    format: Format | None,
    split_type: SplitType | None,
    image_root: str | Path | None,
    image_attribute: str | None,
    input_filter: str,
) -> None:
    """Refuse what would be ignored or cannot be."""
    problems = []
    if image_root is not None and format not in (Format.LIST, Format.MANIFEST):
        problems.append("an image root belongs to a list or a manifest; this is neither")
    if image_attribute is not None and format is not Format.MANIFEST:
        problems.append("the name of an image attribute belongs to a manifest; this is none")
    if input_filter != EVERYTHING and format is not Format.MANIFEST:
        problems.append("an input filter selects in the lines of a manifest; this is none")
    if format is Format.RECORDIO and split_type is SplitType.NONE:
        problems.append("split type None takes the file for one image, and it holds records; use RecordIO")
    if split_type is SplitType.RECORDIO and format is not Format.RECORDIO and not path.is_dir():
        problems.append("split type RecordIO is for .rec files and folders of them; this is none")
    if problems:
        raise DataError("\n".join(problems), where=shown_name(path), fix="Leave out what does not belong here.")


def _one_image(path: Path) -> "FileImages":
    return FileImages(shown_name(path), path.parent, [path.name])


def _named_images(path: Path, listed: ManifestFile) -> "FileImages":
    copies = remote_images(listed.references, None, shown_name(path))
    images = FileImages(shown_name(path), path.parent, listed.references, copies, keys=listed.names)
    images.check_first_files("Correct the prefix.")
    return images


def _sorted_images(folder: Path) -> list[str]:
    found = sorted(images_below(folder))
    if not found:
        raise DataError(
            "no images (.jpg, .jpeg, .png) in this folder\n" + "\n".join(f"  - {line}" for line in contents(folder)),
            where=shown_name(folder),
            fix="Name a folder of images or a .lst, manifest or .rec file; --split-type RecordIO takes a folder of "
            ".rec files.",
        )
    return found


def _records_below(folder: Path) -> "RecordImages":
    files = files_with_suffix(folder, ".rec", deep=True)
    if not files:
        raise DataError(
            "no .rec files in this folder\n" + "\n".join(f"  - {line}" for line in contents(folder)),
            where=shown_name(folder),
        )
    keyed = sorted((file.relative_to(folder).as_posix(), file) for file in files)
    return RecordImages(shown_name(folder), keyed)


class FileImages:
    """Images in files.

    Args:
        name: what the user typed.
        root: the folder that the paths start from.
        paths: path of each image relative to `root`, or absolute, or its address.
        places: where those are that are not below `root`: copies of remote images.
        keys: of the images; made of the paths by default.
    """

    objects = None

    def __init__(
        self,
        name: str,
        root: Path,
        paths: Sequence[str],
        places: Mapping[str, Path] = MappingProxyType({}),
        *,
        keys: Sequence[str] | None = None,
    ) -> None:
        self.name = name
        self.keys: Sequence[str] = keys or [_key(path, root) for path in paths]
        self._files = ImageFiles(name, root, paths, np.zeros((len(paths), 0), np.float32), None, places)

    def image(self, index: int) -> bytes:
        """As `Unlabelled.image`."""
        return self._files[index].image

    def record(self, index: int) -> object:
        """As `Unlabelled.record`."""
        return {"key": printable(self.keys[index])}

    def check_first_files(self, fix: str = "Name the folder that the paths start from: --image-root FOLDER.") -> None:
        """Find out early that all paths start from another folder.

        Raises:
            DataError: none of the first files exists.
        """
        self._files.check_first_files(fix)


class ListImages(FileImages):
    """The images of a `.lst` file."""

    def __init__(self, path: Path, image_list: ImageList, image_root: Path | None) -> None:
        super().__init__(
            shown_name(path), image_root or path.parent, image_list.paths, _copies(path, image_list.paths, image_root)
        )
        self._list = image_list
        self.check_first_files()

    def record(self, index: int) -> object:
        """As `Unlabelled.record`: [index, label, ..., path]."""
        labels = self._list.labels[index].tolist()
        return [int(self._list.indices[index]), *labels, printable(self._list.paths[index])]


class ManifestImages(FileImages):
    """The images of an augmented manifest."""

    def __init__(self, path: Path, references: Sequence[ImageReference], image_root: Path | None) -> None:
        paths = [each.image for each in references]
        super().__init__(shown_name(path), image_root or path.parent, paths, _copies(path, paths, image_root))
        self._references = references
        self.check_first_files()

    def record(self, index: int) -> object:
        """As `Unlabelled.record`."""
        return self._references[index].line


class RecordImages:
    """The records of `.rec` files.

    Args:
        name: what the user typed.
        files: key and path of each file.
    """

    def __init__(self, name: str, files: Sequence[tuple[str, Path]]) -> None:
        self.name = name
        self._sources = [RecordSource([path], key) for key, path in files]
        self.objects: Sequence[RecordObject] | None = [
            RecordObject(source.name, len(source)) for source in self._sources
        ]
        self.keys: Sequence[str] = [
            f"{source.name}:{source.key(number).rpartition(':')[2]}"
            for source in self._sources
            for number in range(len(source))
        ]
        self._first = np.cumsum([0, *map(len, self._sources)])
        if not self.keys:
            raise DataError("the RecordIO files hold no records", where=name)

    def image(self, index: int) -> bytes:
        """As `Unlabelled.image`."""
        source, number = self._place(index)
        return source[number].image

    def record(self, index: int) -> object:
        """As `Unlabelled.record`."""
        source, number = self._place(index)
        labels = source.labels[number].tolist()
        label = labels[0] if len(labels) == 1 else labels
        return {"key": printable(self.keys[index]), "id": int(source.ids[number]), "label": label}

    def _place(self, index: int) -> tuple[RecordSource, int]:
        file = int(np.searchsorted(self._first, index, side="right")) - 1
        return self._sources[file], index - int(self._first[file])


def _copies(path: Path, references: Sequence[str], image_root: Path | None) -> dict[str, Path]:
    """Fetch the images that a list or manifest has on other machines."""
    return remote_images(references, None if image_root else folder_of_origin(path), shown_name(path))


def _key(path: str, root: Path) -> str:
    """The path relative to the root, where it is below it, without "." and empty parts; the key in an address."""
    address = remote_address(path, None)
    if address is not None:
        return address.key
    if posixpath.isabs(path) and Path(path).is_relative_to(root.absolute()):
        path = str(Path(path).relative_to(root.absolute()))
    return posixpath.normpath(path)
