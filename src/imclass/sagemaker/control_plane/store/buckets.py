"""S3 as jobs use it: places, the objects there, and how they come into the folder of a job.

Objects are files of this machine to whoever reads them: those of the server's own S3 (`local_buckets`) are the objects
themselves, of which jobs get links. That is safe because an object is never written in place: another one takes its
name.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imclass.errors import UserError
from imclass.sagemaker.s3.errors import S3Error
from imclass.sagemaker.s3.paths import check_key, is_bucket_name, path_of

ADDRESS = re.compile(r"s3://([^/]+)(?:/(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """A place in S3: of an object, or what the names of several begin with."""

    bucket: str
    key: str

    @classmethod
    def of(cls, address: str) -> "Place":
        """Read `s3://BUCKET/KEY`; the key may be empty.

        Raises:
            ValueError: it is something else, or no object can have such a key.
        """
        found = ADDRESS.fullmatch(address)
        if found is None or not is_bucket_name(found[1]):
            raise ValueError(f"{address!r} is not s3://BUCKET/KEY")
        key = found[2] or ""
        try:
            if key:
                check_key(key)
        except S3Error as error:
            raise ValueError(f"{address!r} has a key that no object can have: {error.message}") from error
        return cls(found[1], key)

    def below(self, *names: str) -> "Place":
        """A place further down; slashes at the ends do not double."""
        return Place(self.bucket, "/".join(part for part in (self.key.strip("/"), *names) if part))

    @property
    def as_folder(self) -> "Place":
        """The same place, as what the names of everything in it begin with."""
        key = self.key.strip("/")
        return Place(self.bucket, key and f"{key}/")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class S3Object:
    """An object.

    Attributes:
        place: where it is.
        fetch: brings its content to this machine, if it is not here.
    """

    place: Place
    fetch: Callable[[], Path]

    @property
    def key(self) -> str:
        return self.place.key

    @property
    def file(self) -> Path:
        """Its content; nobody may write to it."""
        return self.fetch()


class ObjectWriter(Protocol):
    """Takes the content of an object to come."""

    def write(self, data: bytes, /) -> int:
        """Append bytes; returns their number."""

    def flush(self) -> None:
        """Nothing needs to be done; writers of archives ask for it."""


class Buckets(Protocol):
    """The buckets of an S3."""

    def exists(self, bucket: str) -> bool:
        """Whether there is a bucket of this name."""

    def objects(self, prefix: Place) -> Iterator[S3Object]:
        """All objects whose keys begin with the prefix's, in the order of the keys; none if there is no bucket."""

    def find(self, place: Place) -> S3Object | None:
        """The object with exactly this key, if there is one."""

    def files(self, objects: Sequence[S3Object]) -> list[Path]:
        """The files of several objects, which are fetched at the same time where they are elsewhere."""

    def pending(self, place: Place) -> AbstractContextManager[ObjectWriter]:
        """A block that writes an object, which appears at its end, whole, or never if the block raises.

        Raises:
            UserError: there is no such bucket, or no space.
        """

    def put(self, file: Path, place: Place) -> None:
        """Copy a file to an object.

        Raises:
            UserError: as `pending`.
            FileNotFoundError: there is no such file.
        """

    def remove(self, place: Place) -> None:
        """Delete an object, if it is there."""


def is_temporary(name: str) -> bool:
    """Whether a file is one that `PendingFile` has not finished."""
    return name.startswith(".") and name.endswith(".tmp")


def relative_name(key: str, prefix: str) -> str:
    """Where an object lies in the folder of a channel with this prefix.

    What follows the prefix is kept. If the prefix ends in the middle of a name, or is one object, the name is kept too.
    """
    rest = key.removeprefix(prefix)
    if prefix.endswith("/") or rest.startswith("/") or not prefix:
        return rest.removeprefix("/")
    folder, slash, _ = prefix.rpartition("/")
    return key.removeprefix(folder + slash)


def link_objects(objects: Iterable[S3Object], prefix: str, folder: Path) -> None:
    """Put objects below a folder under their relative names; see `link_files`."""
    link_files(((relative_name(each.key, prefix), each.file) for each in objects), folder)


def link_files(files: Iterable[tuple[str, Path]], folder: Path) -> None:
    """Put files below a folder, as links where the file system allows it and as copies elsewhere.

    A name that ends with a slash becomes a folder, as consoles mean it. Parts that are no names of files are escaped as
    in `s3.paths`, so that nothing lies outside the folder.

    Args:
        files: name in the folder, and the file.

    Raises:
        UserError: a file has the name of a folder that others are in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in files:
        try:
            if not name or name.endswith("/"):
                folder.joinpath(*_names(name.rstrip("/"))).mkdir(parents=True, exist_ok=True)
            else:
                link(file, folder.joinpath(*_names(name)))
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(
                f"the object {name!r} cannot be beside the others: one of them has its name, or that of a folder",
                where=str(folder.name),
                fix="Rename one of them, or give a prefix that holds only one.",
            ) from error


def _names(name: str) -> tuple[str, ...]:
    return path_of(name) if name else ()


def link(file: Path, target: Path) -> None:
    """Give a file another name, or copy it where that cannot be.

    Raises:
        FileExistsError, NotADirectoryError: the name is taken.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(file)
    except FileExistsError:
        raise
    except OSError:  # another file system, or too many links: then it costs time and space
        shutil.copyfile(file, target)
