"""Writes `model.tar.gz`. The same model always gives the same bytes.

gzip (no name, time 0)
+-- tar, plain POSIX headers: owner 0, mode 0644, time 0, in this order
    +-- model.json                           UTF-8 JSON, fields in the order of `Description`
    +-- model.safetensors                    the weights
    +-- checkpoints/epoch-0002.safetensors   weights of earlier epochs, if any, in ascending order
    +-- checkpoints/...
"""

import gzip
import io
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from imclass.artifact.description import (
    Description,
    differences,
)
from imclass.artifact.members import CHECKPOINT_NAME, CHECKPOINTS, DESCRIPTION_MEMBER, WEIGHTS_MEMBER
from imclass.errors import ArtifactError
from imclass.pending_file import PendingFile

# Weights are close to noise: the highest level takes ten times as long to save less than one percent more.
COMPRESSION_LEVEL = 1


def save(
    path: str | Path,
    description: Description,
    state: Mapping[str, Tensor],
    *,
    checkpoints: Sequence[Path] = (),
) -> None:
    """Write a model; a file that is already there is replaced in one step.

    Args:
        path: the file, usually called `model.tar.gz`, in a folder that exists.
        description: what the weights are of.
        state: `state_dict()` of the network described, on any device, in any memory format.
        checkpoints: weights of earlier epochs, as safetensors files called `epoch-NNNN.safetensors`, the epoch
            counted from 1 with four digits. They are copied piece by piece, so they may be many.

    Raises:
        ArtifactError: the file or a checkpoint cannot be written or read.
    """
    with pending_archive(Path(path)) as tar:
        add_own(tar, description, state, checkpoints)


@contextmanager
def pending_archive(path: Path) -> Iterator[tarfile.TarFile]:
    """An archive to add members to, which takes its place at the end of the block.

    Raises:
        ArtifactError: the file cannot be written.
    """
    with (
        PendingFile(path, ArtifactError) as file,
        gzip.GzipFile("", "wb", COMPRESSION_LEVEL, file.stream, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        yield tar


def add_own(
    tar: tarfile.TarFile, description: Description, state: Mapping[str, Tensor], checkpoints: Sequence[Path]
) -> None:
    """Add the members of imclass's own format; the arguments are those of `save`."""
    with torch.device("meta"):
        expected = description.build().state_dict()
    problems = differences(expected, {name: tuple(tensor.shape) for name, tensor in state.items()})
    assert not problems, f"the weights are not of the network described: {problems}"
    assert all(CHECKPOINT_NAME.fullmatch(checkpoint.name) for checkpoint in checkpoints)

    add(tar, DESCRIPTION_MEMBER, _json(description))
    add(tar, WEIGHTS_MEMBER, _safetensors(state))
    for checkpoint in sorted(checkpoints):
        _add_file(tar, f"{CHECKPOINTS}/{checkpoint.name}", checkpoint)


def _json(description: Description) -> bytes:
    return description.model_dump_json(indent=2).encode() + b"\n"


def _safetensors(state: Mapping[str, Tensor]) -> bytes:
    from safetensors.torch import save as to_bytes

    return to_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file to an archive, with a header that says nothing of where and when it was made."""
    member = tarfile.TarInfo(name)  # its defaults are owner 0, mode 0644 and time 0
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _add_file(tar: tarfile.TarFile, name: str, file: Path) -> None:
    with reading_checkpoint(file), file.open("rb") as stream:
        member = tarfile.TarInfo(name)
        member.size = os.fstat(stream.fileno()).st_size
        tar.addfile(member, stream)


@contextmanager
def reading_checkpoint(file: Path) -> Iterator[None]:
    """Say it when the weights of an epoch are no longer where the run has put them."""
    try:
        yield
    except FileNotFoundError as error:
        raise ArtifactError(
            "the checkpoint is gone", where=str(file), fix="Leave the files of a run alone while it runs."
        ) from error
