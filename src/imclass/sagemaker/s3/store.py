"""Buckets and objects in a folder, without HTTP. Its methods block, and threads may call them at the same time.

    FOLDER/BUCKET/KEY                 objects, see `paths`
    FOLDER/.imclass/descriptions/     see `descriptions`
    FOLDER/.imclass/staging/          files on their way, empty after a start
    FOLDER/.imclass/uploads/          multipart uploads, see `multipart`

One process at a time may write. Files and folders that others put below FOLDER/BUCKET are objects at once.
"""

import errno
import os
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from imclass.errors import UserError
from imclass.sagemaker.s3.checksums import Hashes
from imclass.sagemaker.s3.descriptions import NO_ATTRIBUTES, Attributes, Description, Descriptions
from imclass.sagemaker.s3.errors import S3Error, no_such_bucket, no_such_key
from imclass.sagemaker.s3.paths import beside_folder, is_bucket_name, path_of
from imclass.sagemaker.s3.staging import StagedFile
from imclass.sagemaker.s3.walk import KeyWalk

Precondition = Callable[[Description | None], None]
"""Gets the object that is to be replaced, or None, and raises S3Error when it must stay."""


@dataclass(frozen=True)
class Bucket:
    """A bucket.

    Attributes:
        name: of it.
        created: seconds since 1970; for a folder that a person made, when something in it was changed last.
    """

    name: str
    created: float


@dataclass(frozen=True)
class OpenObject:
    """An object whose content can be read, whatever happens to it meanwhile.

    Attributes:
        file: unbuffered, to be closed by the caller.
        description: of the object.
    """

    file: BinaryIO
    description: Description


def _always(present: Description | None) -> None:
    """The precondition of a write without one."""


class Store:
    """All buckets.

    Args:
        folder: made if it is not there.

    Raises:
        UserError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        own = folder / ".imclass"
        self._staging, self.uploads, descriptions = own / "staging", own / "uploads", own / "descriptions"
        try:
            for path in (self._staging, self.uploads, descriptions):
                path.mkdir(parents=True, exist_ok=True)
            for left_over in self._staging.iterdir():
                left_over.unlink()
        except OSError as error:
            raise UserError(
                f"the folder of S3 cannot be used: {error.strerror or error}",
                where=str(folder),
                fix="Choose a folder that can be written to with --data.",
            ) from error
        self._descriptions = Descriptions(descriptions)
        self._marks = descriptions
        # Held while names change, which takes microseconds; never while content is read or written.
        self._changing = threading.Lock()

    def buckets(self) -> list[Bucket]:
        """All buckets by name."""
        names = sorted(entry.name for entry in self.folder.iterdir() if is_bucket_name(entry.name) and entry.is_dir())
        return [Bucket(name, self._created(name)) for name in names]

    def create_bucket(self, name: str) -> None:
        """Make a bucket.

        Raises:
            S3Error: InvalidBucketName, BucketAlreadyOwnedByYou.
        """
        if not is_bucket_name(name):
            raise S3Error("InvalidBucketName", "The specified bucket is not valid.", BucketName=name)
        try:
            (self.folder / name).mkdir()
        except FileExistsError as error:
            message = "Your previous request to create the named bucket succeeded and you already own it."
            raise S3Error("BucketAlreadyOwnedByYou", message, BucketName=name) from error
        (self._marks / name).mkdir(exist_ok=True)
        os.utime(self._marks / name)

    def delete_bucket(self, name: str) -> None:
        """Remove a bucket without objects, with its unfinished uploads.

        Raises:
            S3Error: NoSuchBucket; BucketNotEmpty: there is a file in it, an object or not.
        """
        with self._changing:
            folder = self.bucket_folder(name)
            found = list(os.walk(folder, topdown=False))
            linked = any(Path(place, child).is_symlink() for place, folders, _ in found for child in folders)
            if linked or any(files for _, _, files in found):
                raise S3Error("BucketNotEmpty", "The bucket you tried to delete is not empty", BucketName=name)
            for place, _, _ in found:
                Path(place).rmdir()
            for own in (self._marks / name, self.uploads / name):
                if own.exists():
                    shutil.rmtree(own)

    def bucket_folder(self, name: str) -> Path:
        """The folder of a bucket.

        Raises:
            S3Error: NoSuchBucket.
        """
        folder = self.folder / name
        if not is_bucket_name(name) or not folder.is_dir():
            raise no_such_bucket(name)
        return folder

    def path(self, bucket: str, key: str) -> Path:
        """The file of an object, for reading.

        Raises:
            S3Error: NoSuchBucket, NoSuchKey.
        """
        for path in self._paths(bucket, key):
            with _missing_is_none():
                if stat.S_ISREG(path.stat().st_mode):
                    return path
        raise no_such_key(key)

    def find(self, bucket: str, key: str) -> Description | None:
        """The description of an object, None if there is none.

        Raises:
            S3Error: NoSuchBucket.
        """
        for path in self._paths(bucket, key):
            with _missing_is_none():
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    return self._descriptions.find(bucket, key, status)
        return None

    def open(self, bucket: str, key: str) -> OpenObject:
        """Open an object.

        Raises:
            S3Error: NoSuchBucket, NoSuchKey, AccessDenied.
        """
        for path in self._paths(bucket, key):
            with _missing_is_none():
                # A pipe that somebody put there is no object, and must not stop the server.
                descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                try:
                    status = os.fstat(descriptor)
                    if stat.S_ISREG(status.st_mode):
                        description = self._descriptions.find(bucket, key, status)
                        return OpenObject(os.fdopen(os.dup(descriptor), "rb", buffering=0), description)
                finally:
                    os.close(descriptor)
        raise no_such_key(key)

    def stage(self) -> StagedFile:
        """A file for content that is to become an object with `put`."""
        return StagedFile(self._staging)

    def put(
        self,
        bucket: str,
        key: str,
        staged: StagedFile,
        etag: str,
        attributes: Attributes,
        precondition: Precondition = _always,
    ) -> Description:
        """Let content become an object, in one step; an object that is there already is replaced.

        Args:
            staged: written to its end.

        Raises:
            S3Error: NoSuchBucket, or what the precondition raises.
            UserError: the disk is full.
        """
        staged.finish()
        now = time.time_ns()  # finer than the kernel's clock, so that no two states of an object have the same time
        os.utime(staged.path, ns=(now, now))
        status = staged.path.stat()
        description = Description(status.st_size, status.st_mtime_ns, etag, attributes)
        with self._changing:
            present = self.find(bucket, key)
            precondition(present)
            self._descriptions.announce(bucket, key, description, present)
            self._place(bucket, key, staged.path)
        return description

    def put_file(self, bucket: str, key: str, file: BinaryIO, attributes: Attributes = NO_ATTRIBUTES) -> Description:
        """Let what a file has from its position on become an object; raises as `put`."""
        self.bucket_folder(bucket)
        hashes = Hashes()
        with self.stage() as staged:
            staged.copy(file, hashes)
            return self.put(bucket, key, staged, hashes.etag, attributes)

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object, if there is one, and the folders that are empty then.

        Raises:
            S3Error: NoSuchBucket.
        """
        with self._changing:
            for path in self._paths(bucket, key):
                with _missing_is_none():
                    if not path.is_dir():
                        path.unlink()
            self._descriptions.forget(bucket, key)
            folder = path.parent
            with suppress(OSError):  # it holds something, or is not there
                while folder != self.folder / bucket:
                    folder.rmdir()
                    folder = folder.parent

    def walk(self, bucket: str, prefix: str, after: str) -> KeyWalk:
        """The keys of a bucket that begin with a prefix and are behind another key.

        Raises:
            S3Error: NoSuchBucket.
        """
        return KeyWalk(self.bucket_folder(bucket), prefix, after)

    def describe(self, bucket: str, key: str, path: str) -> Description | None:
        """The description of an object that a walk found; None when it has gone since."""
        try:
            status = Path(path).stat()
        except FileNotFoundError:
            return None
        return self._descriptions.find(bucket, key, status)

    def _created(self, bucket: str) -> float:
        mark = self._marks / bucket
        return min(place.stat().st_mtime for place in (mark, self.folder / bucket) if place.exists())

    def _paths(self, bucket: str, key: str) -> tuple[Path, Path]:
        """Where an object is: its plain path, or where it is when that is a folder."""
        folder, names = self.bucket_folder(bucket), path_of(key)
        return folder.joinpath(*names), folder.joinpath(*beside_folder(names))

    def _place(self, bucket: str, key: str, staged: Path) -> None:
        plain, beside = self._paths(bucket, key)
        folder = self.folder / bucket
        for name in plain.relative_to(folder).parts[:-1]:
            folder = folder / name
            if not folder.is_dir():
                _make_folder(folder)
        # An object beside its folder stays there when the folder goes: who reads it looks at the plain path first.
        is_beside = plain.is_dir() or (beside.exists() and not plain.exists())
        staged.replace(beside if is_beside else plain)


def _make_folder(folder: Path) -> None:
    """Make a folder; an object that has its name steps aside."""
    if folder.is_file():
        folder.replace(folder.with_name(beside_folder([folder.name])[0]))
    folder.mkdir()


@contextmanager
def _missing_is_none() -> Iterator[None]:
    """Ends the block where there is no such file.

    Raises:
        S3Error: AccessDenied: the file may not be used; KeyTooLongError: the file system has no such long paths.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        pass
    except PermissionError as error:
        raise S3Error("AccessDenied", "The server may not use the file of this object.") from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise S3Error("KeyTooLongError", "Your key is too long for the file system.") from error
