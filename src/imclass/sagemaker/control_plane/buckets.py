"""The local S3 as jobs use it: objects are plain files, `DIR/s3/BUCKET/KEY`.

Jobs get hard links to objects instead of copies. That is safe because an object is never written in place: another
one takes its name.
"""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imclass.errors import UserError
from imclass.pending_file import PendingFile

ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """A place in S3: of an object, or what the names of several begin with."""

    bucket: str
    key: str

    @classmethod
    def of(cls, address: str) -> "Place":
        """Read `s3://BUCKET/KEY`.

        Raises:
            ValueError: it is something else, or the key would be a file outside its bucket.
        """
        found = ADDRESS.fullmatch(address)
        if found is None:
            raise ValueError(f"{address!r} is not s3://BUCKET/KEY")
        key = found[2] or ""
        # A name that is empty would make the path absolute, or be lost; only the last may be, as in `folder/`.
        parts = key.removesuffix("/").split("/") if key else []
        if "\0" in key or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"{address!r} has a key that cannot be a file")
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
    """An object, and the file that it is."""

    key: str
    file: Path


class Buckets:
    """Buckets as folders.

    Args:
        folder: with one folder for each bucket.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def exists(self, bucket: str) -> bool:
        return (self._folder / bucket).is_dir()

    def objects(self, prefix: Place) -> Iterator[S3Object]:
        """All objects whose keys begin with the prefix's, in the order of the keys."""
        root = self._folder / prefix.bucket
        # Only the folder that all such keys share is looked through.
        shared = prefix.key.rpartition("/")[0]
        found = []
        for folder, _, files in os.walk(root / shared):
            for name in files:
                file = Path(folder, name)
                key = file.relative_to(root).as_posix()
                if key.startswith(prefix.key) and not is_temporary(name) and file.is_file():
                    found.append(S3Object(key, file))
        yield from sorted(found, key=lambda each: each.key.encode())

    def pending(self, place: Place) -> PendingFile:
        """A file that becomes the object when it is complete.

        Raises:
            UserError: there is no such bucket, or no space.
        """
        if not self.exists(place.bucket):
            raise UserError("there is no such bucket", where=str(place), fix=f"Create s3://{place.bucket}.")
        file = self._folder / place.bucket / place.key
        file.parent.mkdir(parents=True, exist_ok=True)
        return PendingFile(file)

    def put(self, file: Path, place: Place) -> None:
        """Copy a file to an object.

        Raises:
            UserError: as `pending`.
        """
        with file.open("rb") as source, self.pending(place) as target:
            shutil.copyfileobj(source, target.stream)

    def remove(self, place: Place) -> None:
        """Delete an object, if it is there."""
        (self._folder / place.bucket / place.key).unlink(missing_ok=True)


def is_temporary(name: str) -> bool:
    """Whether a file is one that `PendingFile` has not finished."""
    return name.startswith(".") and name.endswith(".tmp")


def relative_name(key: str, prefix: str) -> str:
    """Where an object lies in the folder of a channel with this prefix.

    What follows the prefix is kept. If the prefix ends in the middle of a name, or is one object, the name is kept too.
    """
    rest = key.removeprefix(prefix)
    if prefix.endswith("/") or rest.startswith("/") or not prefix:
        return rest.lstrip("/")
    return str(PurePosixPath(key).relative_to(PurePosixPath(prefix).parent))


def link_objects(objects: list[S3Object], prefix: str, folder: Path) -> None:
    """Put objects below a folder, as links where the file system allows it and as copies elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in objects:
        link(each.file, folder / relative_name(each.key, prefix))


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
