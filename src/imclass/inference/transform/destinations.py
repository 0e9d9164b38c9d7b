"""Where results go: a file for each image, or pieces that are put together when all are there."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from imclass.data.image_files import printable
from imclass.data.unlabelled import Unlabelled
from imclass.errors import UserError, listing
from imclass.inference.transform.assembling import Assembly
from imclass.inference.transform.output_folder import OutputFolder
from imclass.inference.transform.pieces import Piece
from imclass.inference.transform.rows import RowWriter
from imclass.inference.transform.work_folder import Failure, WorkFolder

OUT = ".out"
LONGEST_NAME = 255  # bytes, on all usual file systems
TEMPORARY_EXTRA = 18  # bytes that `PendingFile` adds to a name while it writes


class PieceWriter(Protocol):
    """Takes the results of a piece."""

    def add(self, indices: Sequence[int], probabilities: NDArray[np.float32]) -> None:
        """Take results of images, whose numbers rise from call to call."""
        ...

    def commit(self) -> None:
        """All results are there."""
        ...

    def discard(self) -> None:
        """Throw away what is not complete; does nothing after `commit`."""
        ...


class Destination(Protocol):
    """Where results go."""

    def existing(self) -> Sequence[str]:
        """Names of the results that stand in the output folder."""
        ...

    def missing(self, piece: Piece) -> Sequence[int]:
        """Images of a piece that have no result yet."""
        ...

    def clean(self, indices: Sequence[int]) -> None:
        """Remove what a killed process left half-way of the results of these images, which nobody else writes now."""
        ...

    def piece_writer(self, piece: Piece) -> PieceWriter:
        """What takes the results of a piece."""
        ...

    def put_together(self, pieces: Sequence[Piece], failures: Sequence[Sequence[Failure]]) -> None:
        """Finish the output folder, when all pieces are done. Doing it again gives the same.

        Args:
            pieces: all of the job.
            failures: of each piece.
        """
        ...

    def is_put_together(self, pieces: Sequence[Piece], failures: Sequence[Sequence[Failure]]) -> bool:
        """Whether what `put_together` made is still there."""
        ...


class FileForEachImage:
    """`KEY.out` for each image.

    Args:
        output: the folder.
        images: whose keys are paths.
        rows: writes a result.

    Raises:
        UserError: some keys cannot be paths below the folder.
    """

    def __init__(self, output: OutputFolder, images: Unlabelled, rows: RowWriter) -> None:
        check_output_keys(images.keys, images.name)
        self._output = output
        self._images = images
        self._rows = rows

    def existing(self) -> list[str]:
        """As `Destination.existing`."""
        return list(self._output.sizes(self._names(range(len(self._images.keys)))))

    def missing(self, piece: Piece) -> list[int]:
        """As `Destination.missing`. A result that is empty lost its content in a power failure."""
        names = self._names(piece.images)
        sizes = self._output.sizes(names)
        return [index for index, name in zip(piece.images, names, strict=True) if not sizes.get(name)]

    def clean(self, indices: Sequence[int]) -> None:
        """As `Destination.clean`."""
        self._output.clean(self._names(indices))

    def piece_writer(self, piece: Piece) -> "FileForEachImage":
        """As `Destination.piece_writer`."""
        return self

    def add(self, indices: Sequence[int], probabilities: NDArray[np.float32]) -> None:
        """As `PieceWriter.add`."""
        rows = self._rows.rows(indices, probabilities)
        self._output.write(list(zip(self._names(indices), rows, strict=True)))

    def commit(self) -> None:
        """As `PieceWriter.commit`: every file is complete already."""

    def discard(self) -> None:
        """As `PieceWriter.discard`: no file is incomplete."""

    def put_together(self, pieces: Sequence[Piece], failures: Sequence[Sequence[Failure]]) -> None:
        """As `Destination.put_together`: everything is in its place already."""

    def is_put_together(self, pieces: Sequence[Piece], failures: Sequence[Sequence[Failure]]) -> bool:
        """As `Destination.is_put_together`: `missing` finds each file that is not there."""
        return True

    def _names(self, indices: Sequence[int]) -> list[str]:
        return [f"{self._images.keys[index]}{OUT}" for index in indices]


class PutTogether:
    """Pieces in the work folder, then one file, or one for each file of the input.

    Args:
        assembly: the form of the file.
        images: what is transformed.
        folder: keeps the pieces.
        output: the output folder.
        file_name: of the one file; None for `KEY.out` for each file of the input.
    """

    def __init__(
        self, assembly: Assembly, images: Unlabelled, folder: WorkFolder, output: OutputFolder, file_name: str | None
    ) -> None:
        self._assembly = assembly
        self._images = images
        self._folder = folder
        self._output = output
        objects = images.objects if file_name is None else None
        self._names = [str(file_name)] if objects is None else [f"{each.key}{OUT}" for each in objects]

    def existing(self) -> list[str]:
        """As `Destination.existing`."""
        return list(self._output.sizes(self._names))

    def missing(self, piece: Piece) -> Sequence[int]:
        """As `Destination.missing`: all or none."""
        return [] if self._folder.is_done(piece) else piece.images

    def clean(self, indices: Sequence[int]) -> None:
        """As `Destination.clean`: pieces in the making are in the work folder and harm nobody."""

    def piece_writer(self, piece: Piece) -> PieceWriter:
        """As `Destination.piece_writer`."""
        return self._assembly.piece_writer(self._folder.rows_file(piece))

    def put_together(self, pieces: Sequence[Piece], failures: Sequence[Sequence[Failure]]) -> None:
        """As `Destination.put_together`. A file of the input with an image that failed gets no `KEY.out`, since the
        results behind it could no longer be told apart."""
        for name, own in self._files_to_write(pieces, failures):
            rows = [self._folder.rows_file(piece) for piece in own]
            self._output.put(name, partial(self._assembly.put_together, pieces=rows))

    def is_put_together(self, pieces: Sequence[Piece], failures: Sequence[Sequence[Failure]]) -> bool:
        """As `Destination.is_put_together`."""
        names = [name for name, _ in self._files_to_write(pieces, failures)]
        return len(self._output.sizes(names)) == len(names)

    def _files_to_write(
        self, pieces: Sequence[Piece], failures: Sequence[Sequence[Failure]]
    ) -> Iterator[tuple[str, list[Piece]]]:
        """Each file with its pieces."""
        for number, name in enumerate(self._names):
            own = [piece for piece in pieces if piece.object_number == number]
            if not name.endswith(OUT) or not any(failures[piece.number] for piece in own):
                yield name, own


def check_output_keys(keys: Sequence[str], name: str) -> None:
    """Check that every key with `.out` behind it is a path below the output folder.

    Raises:
        UserError: some are not; they are named.
    """
    problems = [f"{printable(key)} leads out of the output folder" for key in keys if _leads_out(key)]
    problems += [f"{printable(key)} has too long a name" for key in keys if _is_too_long(key)]
    files = {f"{key}{OUT}" for key in keys}
    problems += [f"{printable(path)} would be a file and a folder" for path in sorted(_folders(keys) & files)]
    if problems:
        raise UserError(
            "some images cannot have a file of their own in the output folder:\n" + listing(problems),
            where=name,
            fix="Name a folder that holds them all with --image-root, or write one file: --format jsonl.",
        )


def _leads_out(key: str) -> bool:
    return key.startswith("/") or ".." in key.split("/")


def _is_too_long(key: str) -> bool:
    """Whether the temporary file of its result would have a name that file systems refuse."""
    return len(os.fsencode(key.rpartition("/")[2])) > LONGEST_NAME - len(OUT) - TEMPORARY_EXTRA


def _folders(keys: Sequence[str]) -> set[str]:
    """All folders above the keys."""
    return {folder for parent in {key.rpartition("/")[0] for key in keys} for folder in _with_parents(parent)}


def _with_parents(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
