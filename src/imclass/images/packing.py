"""Packs images into RecordIO files, as MXNet's `im2rec.py` does: on all cores, and able to go on after a stop."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2

from imclass.data.image_files import ImageFiles
from imclass.data.lst_writer import write_lst
from imclass.data.packing_list import PackingList, Part
from imclass.data.recordio import pack_image
from imclass.data.recordio_resumable import ResumableRecordWriter
from imclass.errors import DataError, ImageError
from imclass.images.bad_images import BadImages
from imclass.images.ordered import map_in_order
from imclass.images.reencode import Encoding, reencode

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class PackSettings:
    """What goes into the records.

    Attributes:
        encoding: how images are made anew; None stores the bytes as they are.
        pack_label: store all labels of an image; otherwise the first one alone.
    """

    encoding: Encoding | None = None
    pack_label: bool = False


@dataclass(frozen=True, slots=True)
class Packed:
    """A file that was made.

    Attributes:
        path: `NAME.rec`; `NAME.idx` and `NAME.lst` are beside it.
        images: records in it.
        unreadable: images of its list that are not in it.
        kept: images of these that an earlier, interrupted attempt had done.
    """

    path: Path
    images: int
    unreadable: int
    kept: int


def list_path(output: Path, part: Part) -> Path:
    """Name the list of a part of `output`."""
    return output.with_name(f"{output.stem}{part.suffix}.lst")


def record_path(output: Path, part: Part) -> Path:
    """Name the records of a part of `output`."""
    return output.with_name(f"{output.stem}{part.suffix}.rec")


def write_lists(packing: PackingList, parts: Sequence[Part], output: Path) -> list[Path]:
    """Write the list of each part. A list that is packed in its own order, under its own name, is left alone.

    Raises:
        DataError: a list would replace the one that is packed, in another order; or the folder cannot be written to.
    """
    written = []
    for part in parts:
        path = list_path(output, part)
        if packing.list_file is not None and path.exists() and path.samefile(packing.list_file):
            if part.order.tolist() != list(range(len(packing.source))):
                raise DataError(
                    "the list to pack would be replaced by a shuffled or divided one",
                    where=str(path),
                    fix="Give --output another name.",
                )
            continue
        write_lst(path, (packing.row(int(sample)) for sample in part.order))
        written.append(path)
    return written


def pack(
    packing: PackingList,
    parts: Sequence[Part],
    output: Path,
    settings: PackSettings,
    *,
    bad_images: BadImages,
    threads: int = 0,
    go_on: bool = True,
    progress: Progress = lambda done: None,
) -> list[Packed]:
    """Write the records of all parts: `NAME.rec` and `NAME.idx`, for `NAME.lst`.

    An attempt that is interrupted keeps what it has done, and the next one with the same images and settings goes
    on behind it (`imclass.data.recordio_resumable` says how).

    Args:
        output: `NAME.rec` when there is one part; parts add their suffix to its stem.
        bad_images: collects unreadable images, which are left out, and ends the work when there are too many.
        threads: number of threads; 0 = one for each core.
        go_on: use the work of an interrupted attempt.
        progress: called with the number of images that became done.

    Raises:
        DataError: the source is broken, too many of its images are unreadable, or the disk is full.
    """
    refuse_to_replace_source(packing, parts, output)
    cv2.setNumThreads(0)  # the threads are ours: one image each
    writers: list[ResumableRecordWriter] = []
    packed = []
    for part in parts:
        path = record_path(output, part)
        with ResumableRecordWriter(path, _job(packing, part, settings), go_on=go_on) as writer:
            packed.append(_pack_part(packing, part, settings, writer, bad_images, threads, progress))
        writers.append(writer)
    for writer in writers:
        writer.forget()
    return packed


def refuse_to_replace_source(packing: PackingList, parts: Sequence[Part], output: Path) -> None:
    """Refuse to pack records into the file that they are read from; to ask before lists are written spares its list.

    Raises:
        DataError: a part would replace a file that is packed.
    """
    for part in parts:
        path = record_path(output, part)
        if any(path.exists() and path.samefile(file) for file in packing.record_files):
            raise DataError("this file is to be packed and would be replaced", where=str(path), fix="Name another.")


def _pack_part(
    packing: PackingList,
    part: Part,
    settings: PackSettings,
    writer: ResumableRecordWriter,
    bad_images: BadImages,
    threads: int,
    progress: Progress,
) -> Packed:
    source, kept = packing.source, writer.items
    for item, reason in writer.left_out:
        bad_images.add(source.name, source.key(int(part.order[item])), reason)
    progress(kept)
    remaining = [int(sample) for sample in part.order[kept:]]

    def make(sample: int) -> bytes | ImageError:
        try:
            return _record(packing, sample, settings)
        except ImageError as error:
            return error

    with closing(map_in_order(make, remaining, threads)) as records:
        for sample, record in zip(remaining, records, strict=True):
            key = int(packing.ids[sample])
            if isinstance(record, ImageError):
                bad_images.add(source.name, source.key(sample), record.what)
                writer.leave_out(key, record.what)
                bad_images.check(source.name, len(packing.order))
            else:
                writer.write(key, record)
            progress(1)
    if not writer.is_finished:
        bad_images.check(source.name, len(packing.order))
        writer.finish()
    return Packed(writer.path, writer.items - len(writer.left_out), len(writer.left_out), kept)


def _record(packing: PackingList, sample: int, settings: PackSettings) -> bytes:
    """The record of a sample.

    Raises:
        ImageError: the image cannot be read or decoded.
    """
    read = packing.source[sample]
    image = read.image if settings.encoding is None else reencode(read.image, settings.encoding)
    label = read.label if settings.pack_label and len(read.label) > 1 else float(read.label[0])
    return pack_image(label, image, image_id=int(packing.ids[sample]))


def _job(packing: PackingList, part: Part, settings: PackSettings) -> str:
    """A hash of everything that decides what is packed, except the content of the images."""
    source = packing.source
    root = source.root.resolve() if isinstance(source, ImageFiles) else Path(source.name).resolve()
    encoding = asdict(settings.encoding) if settings.encoding is not None else None
    digest = hashlib.sha256(
        repr((str(root), encoding, settings.pack_label, cv2.__version__)).encode("utf-8", "replace")
    )
    for sample in part.order:
        digest.update(repr(packing.row(int(sample))).encode("utf-8", "replace"))
    return digest.hexdigest()
