"""Finds out what a path is and opens it.

===================================  ============================================================
path                                 opened as
===================================  ============================================================
`*.rec`                              RecordIO records
`*.lst`                              list of images
`*.manifest`, `*.jsonl`, `*.json`    augmented manifest
another file                         by its first bytes: RecordIO or manifest
folder with `.rec` files             their records, file after file in the order of their names
folder with one `.lst`               that list, paths relative to the folder
folder with one manifest             that manifest
folder of class folders              one class a folder
===================================  ============================================================
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from imclass.data.folders import (
    ClassFolders,
    contents,
    find_split_folders,
    folder_source,
    scan_class_folders,
    subfolders,
    union_of_class_names,
    visible_entries,
)
from imclass.data.image_files import printable
from imclass.data.location import folder_of_origin, local_path, shown_name
from imclass.data.lst import open_lst
from imclass.data.manifest import Manifest, read_manifest
from imclass.data.names import nearest
from imclass.data.recordio import MAGIC_BYTES
from imclass.data.recordio_source import RecordSource
from imclass.data.source import Source
from imclass.errors import DataError, listing

if TYPE_CHECKING:
    from imclass.data.location import Place
    from imclass.data.remote.locating import StreamedSource

MANIFEST_SUFFIXES = (".manifest", ".jsonl", ".json")


class Format(Enum):
    """The kinds of data sets."""

    RECORDIO = "RecordIO"
    LIST = "list"
    MANIFEST = "manifest"
    FOLDERS = "class folders"


SUFFIXES = {
    ".rec": Format.RECORDIO,
    ".lst": Format.LIST,
    **dict.fromkeys(MANIFEST_SUFFIXES, Format.MANIFEST),
}


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a path is.

    Attributes:
        name: what the user typed.
        format: the kind of data set.
        paths: the files, or the folder of class folders; several only for RecordIO.
        streamed: in place of paths, records that stay where they are.
    """

    name: str
    format: Format
    paths: tuple[Path, ...]
    streamed: "StreamedSource | None" = None


@dataclass(frozen=True, slots=True)
class Options:
    """What the user may say about a data set; see `open_source`."""

    image_root: Path | None = None
    attribute_names: Sequence[str] | None = None
    label_format: str = "multi-hot"
    num_classes: int | None = None
    class_names: tuple[str, ...] | None = None


def open_source(
    path: "Place",
    *,
    image_root: str | Path | None = None,
    attribute_names: Sequence[str] | None = None,
    label_format: str = "multi-hot",
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
) -> Source:
    """Open a data set of any format.

    Args:
        path: a file or a folder; the module's table says what it may be. Text may be an address, which is fetched.
        image_root: folder that the paths of a list or manifest start from; that of the file by default.
        attribute_names: image and label attribute of a manifest; found in the file by default.
        label_format: what lists of numbers in a manifest mean: "multi-hot" or "class-id".
        num_classes: number of classes, for class-id lists; the highest class + 1 by default.
        class_names: the class table to follow, say that of a model.

    Raises:
        DataError: the path is missing, is nothing known, or its data are broken.
    """
    options = _options(image_root, attribute_names, label_format, num_classes, class_names)
    return open_recognised(recognise(_at_hand(path)), options)


def open_pair(
    train: "Place",
    validation: "Place",
    *,
    image_root: str | Path | None = None,
    validation_image_root: str | Path | None = None,
    attribute_names: Sequence[str] | None = None,
    label_format: str = "multi-hot",
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
) -> tuple[Source, Source]:
    """Open training and validation data with one class table.

    Args:
        validation_image_root: `image_root` of the validation data; the same as for training by default.

    The other arguments are those of `open_source`, for both.

    Raises:
        DataError: as `open_source`, or the two have a different number of labels.
    """
    options = _options(image_root, attribute_names, label_format, num_classes, class_names)
    root = local_path(validation_image_root) if validation_image_root is not None else options.image_root
    return open_recognised_pair(
        recognise(_at_hand(train)), recognise(_at_hand(validation)), options, replace(options, image_root=root)
    )


def _options(
    image_root: str | Path | None,
    attribute_names: Sequence[str] | None,
    label_format: str,
    num_classes: int | None,
    class_names: Sequence[str] | None,
) -> Options:
    return Options(
        local_path(image_root) if image_root is not None else None,
        attribute_names,
        label_format,
        num_classes,
        tuple(class_names) if class_names is not None else None,
    )


def open_recognised(found: Recognised, options: Options) -> Source:
    """Open what was recognised; `open_source` says more."""
    _refuse_unused(found, options)
    if found.streamed is not None:
        from imclass.data.remote.records import StreamedRecords

        return StreamedRecords(found.streamed.files, found.name)
    if found.format is Format.RECORDIO:
        return RecordSource(found.paths, found.name)
    if found.format is Format.LIST:
        return open_lst(found.paths[0], found.name, options.image_root)
    if found.format is Format.MANIFEST:
        return _manifest_source(_read(found, options), found, options)
    return folder_source(scan_class_folders(found.paths[0]), found.name, options.class_names)


def _refuse_unused(found: Recognised, options: Options) -> None:
    """Refuse what would be ignored, since somebody meant something by it."""
    unused = []
    if options.image_root is not None and found.format not in (Format.LIST, Format.MANIFEST):
        unused.append("an image root belongs to a list or a manifest")
    if options.attribute_names is not None and found.format is not Format.MANIFEST:
        unused.append("attribute names belong to a manifest")
    if unused:
        raise DataError(f"{' and '.join(unused)}; this is neither", where=found.name, fix="Leave it out.")


def open_recognised_pair(
    train: Recognised, validation: Recognised, train_options: Options, validation_options: Options
) -> tuple[Source, Source]:
    """Open two data sets with one class table; `open_pair` says more."""
    formats = {train.format, validation.format}
    pair: tuple[Source, Source]
    if formats == {Format.FOLDERS}:
        pair = _folder_pair(train, validation, train_options.class_names)
    elif formats == {Format.MANIFEST}:
        pair = _manifest_pair(train, validation, train_options, validation_options)
    else:
        pair = open_recognised(train, train_options), open_recognised(validation, validation_options)
    widths = [source.labels.shape[1] for source in pair]
    if widths[0] != widths[1]:
        raise DataError(
            f"the validation images have {widths[1]} labels each, the training images {widths[0]}",
            where=validation.name,
            fix="Both need one class number an image, or one 0/1 column for each of the same classes.",
        )
    return pair


def _folder_pair(
    train: Recognised, validation: Recognised, class_names: tuple[str, ...] | None
) -> tuple[Source, Source]:
    folders: list[ClassFolders] = [scan_class_folders(found.paths[0]) for found in (train, validation)]
    table = class_names or union_of_class_names(*folders)
    return folder_source(folders[0], train.name, table), folder_source(folders[1], validation.name, table)


def _manifest_pair(
    train: Recognised, validation: Recognised, train_options: Options, validation_options: Options
) -> tuple[Source, Source]:
    """Read both manifests before either becomes a source: the class table needs the labels of both."""
    manifests = _read(train, train_options), _read(validation, validation_options)
    tables = [manifest.labels for manifest in manifests]
    problems = tables[1].add_names([(0, tables[0].names)])
    if problems:
        raise DataError(
            "class numbers mean different things in training and validation\n"
            + listing([problem.removeprefix("line 0: ") for problem in problems]),
            where=validation.name,
        )
    tables[0].add_names([(0, tables[1].names)])
    number = train_options.num_classes or max(table.class_count for table in tables)
    return (
        _manifest_source(manifests[0], train, replace(train_options, num_classes=number)),
        _manifest_source(manifests[1], validation, replace(validation_options, num_classes=number)),
    )


def _read(found: Recognised, options: Options) -> Manifest:
    path = found.paths[0]
    return read_manifest(
        path,
        attribute_names=options.attribute_names,
        label_format=options.label_format,
        base=None if options.image_root else folder_of_origin(path),
    )


def _manifest_source(manifest: Manifest, found: Recognised, options: Options) -> Source:
    return manifest.source(
        found.name,
        image_root=options.image_root,
        num_classes=options.num_classes,
        class_names=options.class_names,
    )


def _at_hand(place: "Place") -> "Path | StreamedSource":
    return local_path(place) if isinstance(place, str | Path) else place


def recognise(path: "Path | StreamedSource") -> Recognised:
    """Find out what a path is; streamed records are known already.

    Raises:
        DataError: it is missing, or nothing known; the message says what was looked for and what is there.
    """
    if not isinstance(path, Path):
        return Recognised(path.name, Format.RECORDIO, (), path)
    name = shown_name(path)
    if path.is_dir():
        return _recognise_folder(path, name)
    if not path.exists():
        parent = path.parent
        siblings = [entry.name for entry in visible_entries(parent)] if parent.is_dir() else []
        raise DataError(f"there is no such file or folder{nearest(path.name, siblings)}", where=name)
    format = SUFFIXES.get(path.suffix.lower()) or _by_first_bytes(path)
    if format is None:
        raise DataError(
            "the file is no data set: looked for .rec (RecordIO), .lst (list) and .manifest, .jsonl, .json (manifest)",
            where=name,
            fix="Name the folder of class folders, or one of these files.",
        )
    return Recognised(name, format, (path,))


def _by_first_bytes(path: Path) -> Format | None:
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=printable(path)) from error
    if start.startswith(MAGIC_BYTES):
        return Format.RECORDIO
    return Format.MANIFEST if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") else None


def _recognise_folder(path: Path, name: str) -> Recognised:
    records = files_with_suffix(path, ".rec")
    if records:
        return Recognised(name, Format.RECORDIO, tuple(records))
    for format, suffixes in ((Format.LIST, (".lst",)), (Format.MANIFEST, MANIFEST_SUFFIXES[:2])):
        files = files_with_suffix(path, *suffixes)
        if len(files) > 1:
            raise DataError(
                f"the folder holds several files that may be meant ({format.value})\n"
                + listing([printable(file.name) for file in files]),
                where=name,
                fix="Name one of them.",
            )
        if files:
            return Recognised(name, format, (files[0],))
    splits = find_split_folders(path)
    if splits:
        raise DataError(
            f"the folder holds training and validation data: {splits[0].name} and {splits[1].name}",
            where=name,
            fix=f"Name one of them: {printable(splits[0])} or {printable(splits[1])}",
        )
    if not subfolders(path):
        raise DataError(
            "the folder is no data set: looked for .rec files, one .lst, one .manifest or .jsonl, and class folders\n"
            + listing(contents(path)),
            where=name,
            fix="Put the images of each class in a folder of its name: photos/cat/1.jpg, photos/dog/1.jpg.",
        )
    return Recognised(name, Format.FOLDERS, (path,))


def files_with_suffix(folder: Path, *suffixes: str, deep: bool = False) -> list[Path]:
    """Return the visible files in a folder that end in one of the suffixes, in any letter case, sorted.

    Args:
        deep: look into the folders below too.
    """
    entries = folder.rglob("*") if deep else visible_entries(folder)
    return sorted(
        entry
        for entry in entries
        if entry.suffix.lower() in suffixes and not _hidden(entry, folder) and entry.is_file()
    )


def _hidden(entry: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in entry.relative_to(folder).parts)
