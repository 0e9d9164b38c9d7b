"""The server's own S3 as jobs use it: beside its requests, over the same store."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from imclass.errors import UserError
from imclass.sagemaker.control_plane.store.buckets import Buckets, ObjectWriter, Place, S3Object
from imclass.sagemaker.s3.checksums import Hashes
from imclass.sagemaker.s3.descriptions import NO_ATTRIBUTES
from imclass.sagemaker.s3.errors import S3Error
from imclass.sagemaker.s3.staging import StagedFile
from imclass.sagemaker.s3.store import Store


class LocalBuckets(Buckets):
    """The buckets of a store.

    Args:
        store: the one that answers the requests of S3: a folder has one at a time.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def exists(self, bucket: str) -> bool:
        try:
            self._store.bucket_folder(bucket)
        except S3Error:
            return False
        return True

    def objects(self, prefix: Place) -> Iterator[S3Object]:
        if self.exists(prefix.bucket):
            for found in self._store.walk(prefix.bucket, prefix.key, after=""):
                yield S3Object(Place(prefix.bucket, found.key), partial(Path, found.path))

    def find(self, place: Place) -> S3Object | None:
        try:
            path = self._store.path(place.bucket, place.key)
        except S3Error:
            return None
        return S3Object(place, lambda: path)

    def files(self, objects: Sequence[S3Object]) -> list[Path]:
        return [each.file for each in objects]

    @contextmanager
    def pending(self, place: Place) -> Iterator[ObjectWriter]:
        self._check(place)
        with self._store.stage() as staged:
            writer = _HashingWriter(staged)
            yield writer
            with _as_user_error(place):
                self._store.put(place.bucket, place.key, staged, writer.hashes.etag, NO_ATTRIBUTES)

    def put(self, file: Path, place: Place) -> None:
        self._check(place)
        with file.open("rb") as source, _as_user_error(place):
            self._store.put_file(place.bucket, place.key, source)

    def remove(self, place: Place) -> None:
        if self.exists(place.bucket):
            self._store.delete(place.bucket, place.key)

    def _check(self, place: Place) -> None:
        if not self.exists(place.bucket):
            raise UserError("there is no such bucket", where=str(place), fix=f"Create s3://{place.bucket}.")


class _HashingWriter:
    """Writes to a staged file, and computes what its ETag will be."""

    def __init__(self, staged: StagedFile) -> None:
        self._staged = staged
        self.hashes = Hashes()

    def write(self, data: bytes, /) -> int:
        self._staged.write(data)
        self.hashes.update(data)
        return len(data)

    def flush(self) -> None:
        """The staged file is finished when it becomes an object."""


@contextmanager
def _as_user_error(place: Place) -> Iterator[None]:
    """Tell whoever asked for an object there what S3 says of it."""
    try:
        yield
    except S3Error as error:
        raise UserError(f"S3 refuses the object: {error}", where=str(place)) from error
