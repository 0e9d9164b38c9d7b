"""Puts the files of a model archive into a folder, where they stay a model that every command opens."""

from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from imclass.artifact.archive import MXNET_PARAMS, MXNET_SYMBOL, file_pieces
from imclass.artifact.members import (
    CHECKPOINT_NAME,
    CHECKPOINTS,
    DESCRIPTION_MEMBER,
    SHAPES_MEMBER,
    WEIGHTS_MEMBER,
)
from imclass.errors import ArtifactError
from imclass.pending_file import PendingFile


def unpack(path: str | Path, folder: str | Path, *, limit: int) -> list[str]:
    """Unpack a model; the model that the folder holds already is replaced, and other files stay.

    The files appear once all of them are written, in the reverse of their order in the archive: what says that there is
    a model comes last.

    Args:
        path: an archive.
        folder: made when missing.
        limit: refuse archives that unpack to more bytes.

    Returns:
        The names of the files, in the order of the archive.

    Raises:
        ArtifactError: the archive cannot be read, is damaged or unsafe, or the folder cannot be written to.
    """
    path, folder = Path(path), Path(folder)
    files: dict[str, PendingFile] = {}
    with ExitStack() as stack:
        for name, pieces in groupby(file_pieces(path, limit), key=itemgetter(0)):
            _make((folder / name).parent)
            file = files[name] = stack.enter_context(PendingFile(folder / name, ArtifactError))
            for _, piece in pieces:
                file.write(piece)
            file.finish()
    for held in [entry for entry in folder.rglob("*") if entry.is_file()]:
        name = held.relative_to(folder).as_posix()
        if name not in files and is_model_file(name):
            held.unlink()
    return list(files)


def is_model_file(name: str) -> bool:
    """Whether a file of this name, with forward slashes, is part of a model, of ours or of the original's."""
    parent, _, base = name.rpartition("/")
    if parent:
        return parent == CHECKPOINTS and CHECKPOINT_NAME.fullmatch(base) is not None
    if base in (DESCRIPTION_MEMBER, WEIGHTS_MEMBER, SHAPES_MEMBER):
        return True
    return any(pattern.fullmatch(base) for pattern in (MXNET_SYMBOL, MXNET_PARAMS))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"the folder cannot be made: {error.strerror}", where=str(folder)) from error
