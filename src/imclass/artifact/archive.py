"""Gets members out of `model.tar.gz`, or files out of a folder, without trusting what is in there.

Nothing is written to disk, and no size is believed before it is compared with a limit. An archive is a gzip
stream of POSIX tar blocks, read from front to back:

    offset  size
         0   512  header; at offset 0 the name (100 bytes), at 124 the size in octal (12), at 148 the
                  checksum (8), at 156 the type (1), at 345 the front of a long name (155)
       512     n  data of the member
     512+n     p  zeros up to a multiple of 512
       ...        further members
              512 of zeros: the end, and nothing but zeros behind it

Files that are not part of the format are passed over while they are small, since other tools leave notes;
folders too. Links, devices, absolute names and names with ".." have no business in a model and are refused.
"""

import gzip
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from imclass.artifact.members import CHECKPOINT_NAME, CHECKPOINTS, DESCRIPTION_MEMBER, WEIGHTS_MEMBER
from imclass.errors import ArtifactError

LIMIT = 4 << 30  # bytes that an archive may unpack to
LARGEST_DESCRIPTION = 16 << 20
LARGEST_OTHER = 1 << 20  # a member that is not part of the format, and the zeros at the end
MOST_MEMBERS = 10_000

BLOCK = tarfile.BLOCKSIZE
CHUNK = 1 << 20  # so much is read at a time, since a header may promise more than follows

REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)
# Longer names and finer dates of the member that follows. None of ours needs them, so they are passed over.
ANNOTATIONS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)

MXNET_SYMBOL = re.compile(r"(?P<prefix>[^/]+)-symbol\.json")
MXNET_PARAMS = re.compile(r"(?P<prefix>[^/]+)-(?P<epoch>\d{4,9})\.params")

COPY_AGAIN = "Copy or download the file again, or save the model again."


def read_members(path: Path, names: tuple[str, ...], limit: int, *, to_the_end: bool) -> dict[str, bytes]:
    """The bytes of the members called `names`, which all must be there.

    Args:
        path: an archive, or a folder that one was unpacked to.
        names: names with forward slashes.
        limit: refuse to unpack more bytes.
        to_the_end: read an archive to its end even when all are found, because its checksum stands there.

    Raises:
        ArtifactError: the file cannot be read, is damaged, unsafe, too large, no model, or lacks a member.
    """
    members = read_named(path, names, limit, to_the_end=to_the_end)
    missing = [name for name in names if name not in members]
    if DESCRIPTION_MEMBER in missing:
        raise ArtifactError(
            f"there is no {DESCRIPTION_MEMBER} in it, so this is not a model of imclass",
            where=str(path),
            fix="Give the model.tar.gz that a training run has written, or a model of MXNet: the archive of the "
            "original, or PREFIX-symbol.json.",
        )
    if missing:
        kept = _is_checkpoint(missing[0])
        raise ArtifactError(
            f"there is no {missing[0]} in it",
            where=str(path),
            fix="Give an epoch that the run has kept (checkpoint_frequency)." if kept else COPY_AGAIN,
        )
    return members


def member_names(path: Path, limit: int) -> Iterator[str]:
    """Names of the files of an archive or at the top of a folder, read on only while more are asked for.

    Raises:
        ArtifactError: as `read_members`.
    """
    if path.is_dir():
        try:
            yield from sorted(file.name for file in path.iterdir())
        except OSError as error:
            raise _unreadable(path, error) from error
    else:
        with _unpacked(path) as stream:
            yield from (name for name, _ in _members(stream, path, limit))


def file_pieces(path: Path, limit: int) -> Iterator[tuple[str, bytes]]:
    """The bytes of every file of an archive, in pieces, each with the name of its file; an empty file is one piece.

    Raises:
        ArtifactError: as `read_members`, or a file is there twice.
    """
    names = set()
    with _unpacked(path) as stream:
        for name, size in _members(stream, path, limit):
            if name in names:
                raise _twice(path, name)
            names.add(name)
            yield name, b""
            for piece in stream.chunks(size):
                yield name, piece


def read_small(path: Path, wanted: Callable[[str], bool], limit: int) -> tuple[tuple[str, ...], dict[str, bytes]]:
    """Names of all files, and the bytes of those that are wanted, in one reading to the end.

    Raises:
        ArtifactError: as `read_members`.
    """
    if path.is_dir():
        names = tuple(member_names(path, limit))
        return names, _read_from_folder(path, tuple(filter(wanted, names)), limit)
    found: list[str] = []
    members: dict[str, bytes] = {}
    with _unpacked(path) as stream:
        for name, size in _members(stream, path, limit):
            if wanted(name):
                if name in members:
                    raise _twice(path, name)
                members[name] = stream.read(size)
            found.append(name)
    return tuple(dict.fromkeys(found)), members


def read_named(path: Path, names: tuple[str, ...], limit: int, *, to_the_end: bool) -> dict[str, bytes]:
    """The bytes of those members called `names` that are there; arguments and errors are those of `read_members`."""
    if path.is_dir():
        return _read_from_folder(path, names, limit)
    return _read_from_archive(path, names, limit, to_the_end=to_the_end)


def _read_from_folder(path: Path, names: tuple[str, ...], limit: int) -> dict[str, bytes]:
    members = {}
    try:
        for name in names:
            file = path / name
            # A pipe or device would make the program wait for ever.
            if not file.is_file():
                continue
            size, most = file.stat().st_size, _largest(name, limit)
            if size > most:
                raise _too_large(file, f"has {size:,} bytes, more than {most:,}")
            members[name] = file.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    return members


def _read_from_archive(path: Path, names: tuple[str, ...], limit: int, *, to_the_end: bool) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    with _unpacked(path) as stream:
        for name, size in _members(stream, path, limit):
            if name not in names:
                continue
            if name in members:
                raise _twice(path, name)
            members[name] = stream.read(size)
            if len(members) == len(names) and not to_the_end:
                break
    return members


@contextmanager
def _unpacked(path: Path) -> Iterator["_Stream"]:
    """The tar stream of an archive; whatever goes wrong while it is read becomes an ArtifactError."""
    try:
        with path.open("rb") as packed, gzip.GzipFile(fileobj=packed) as unpacked:
            yield _Stream(unpacked)
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(path, f"is not a gzip archive, or is damaged: {error}") from error
    except EOFError as error:
        raise _damaged(path, "ends early") from error
    except OSError as error:
        raise _unreadable(path, error) from error


class _Stream:
    """A byte stream that knows its place and never allocates more than has come."""

    def __init__(self, source: gzip.GzipFile) -> None:
        self.source = source
        self.place = 0

    def chunks(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes in pieces; raises EOFError if there are fewer."""
        while size:
            data = self.source.read(min(size, CHUNK))
            if not data:
                raise EOFError
            self.place += len(data)
            size -= len(data)
            yield data

    def read(self, size: int) -> bytes:
        return b"".join(self.chunks(size))

    def skip_to(self, place: int) -> None:
        for _ in self.chunks(place - self.place):
            pass


def _members(stream: _Stream, path: Path, limit: int) -> Iterator[tuple[str, int]]:
    """Name and size of every regular file, with the stream at its first byte; whatever is left unread is skipped."""
    for _ in range(MOST_MEMBERS):
        header = stream.read(BLOCK)
        if not any(header):
            _check_the_rest(stream, path)
            return
        member = _parse_header(header, path)
        _check_header(member, path, limit)
        end = stream.place + -(-member.size // BLOCK) * BLOCK
        if end > limit:
            raise _too_large(path, f"unpacks to more than {limit:,} bytes")
        if member.type in REGULAR:
            yield _plain(member.name), member.size
        stream.skip_to(end)
    raise _too_large(path, f"has more than {MOST_MEMBERS:,} members")


def _parse_header(header: bytes, path: Path) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(header, "utf-8", "replace")
    except tarfile.HeaderError as error:
        raise _damaged(path, f"is not a tar archive inside, or is damaged: {error}") from error


def _check_header(member: tarfile.TarInfo, path: Path, limit: int) -> None:
    """Refuse what has no place in a model, before any of its data is read."""
    name = member.name if member.name.isprintable() else repr(member.name)
    where = f"{path}: {name}"
    pure = PurePosixPath(member.name)
    if pure.is_absolute() or ".." in pure.parts:
        raise ArtifactError(
            "the name leads out of the archive", where=where, fix="Do not use this file: it is not a model."
        )
    if member.type not in (*REGULAR, *ANNOTATIONS, tarfile.DIRTYPE):
        kind = "a link" if member.issym() or member.islnk() else "neither a file nor a folder"
        raise ArtifactError(
            f"the member is {kind}", where=where, fix="Pack the files themselves, or save the model again."
        )
    if member.size < 0 or (member.isdir() and member.size):
        raise ArtifactError("the member has an impossible size", where=where, fix=COPY_AGAIN)
    most = _largest(_plain(member.name), limit)
    if member.size > most:
        raise _too_large(where, f"has {member.size:,} bytes, more than {most:,}")


def _check_the_rest(stream: _Stream, path: Path) -> None:
    """Behind the end there may be zeros up to the block size of the packing tool; reading them ends the gzip
    stream.

    Only there does gzip compare its checksum.
    """
    rest = 0
    while data := stream.source.read(CHUNK):
        rest += len(data)
        if rest > LARGEST_OTHER or any(data):
            raise _damaged(path, "goes on behind its end")


def _largest(name: str, limit: int) -> int:
    """The most bytes that a member of this name may have."""
    if name == DESCRIPTION_MEMBER or MXNET_SYMBOL.fullmatch(name):
        return min(LARGEST_DESCRIPTION, limit)
    if name == WEIGHTS_MEMBER or _is_checkpoint(name) or MXNET_PARAMS.fullmatch(name):
        return limit
    return min(LARGEST_OTHER, limit)


def _is_checkpoint(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return folder == CHECKPOINTS and CHECKPOINT_NAME.fullmatch(file) is not None


def _plain(name: str) -> str:
    """tar writes "./model.json" where it was told to pack "."."""
    return name.removeprefix("./")


def _twice(path: Path, name: str) -> ArtifactError:
    return ArtifactError("the member is there twice", where=f"{path}: {name}", fix=COPY_AGAIN)


def _too_large(where: object, what: str) -> ArtifactError:
    return ArtifactError(f"it {what}", where=str(where), fix="Open only models from sources that you trust.")


def _damaged(path: Path, what: str) -> ArtifactError:
    return ArtifactError(f"the file {what}", where=str(path), fix=COPY_AGAIN)


def _unreadable(path: Path, error: OSError) -> ArtifactError:
    return ArtifactError(f"the model cannot be read: {error.strerror or error}", where=str(path), fix="Check the path.")
