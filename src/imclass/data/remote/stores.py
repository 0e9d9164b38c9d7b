"""Reads objects of S3, Google Cloud Storage and web servers through obstore, and writes those of buckets.

obstore is the Python face of Rust's object_store: one wheel of 6 MB without dependencies, requests without
Python's lock, retries inside. `bench/remote.py` compares it with s3fs and boto3.
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
from obstore import exceptions
from obstore.store import GCSStore, HTTPStore, S3Store

from imclass.data.remote.addresses import Address
from imclass.data.remote.credentials import s3_config
from imclass.data.remote.faults import MissingObjectError, changed, fault
from imclass.errors import DataError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

RETRY: "RetryConfig" = {"max_retries": 8, "retry_timeout": timedelta(seconds=60)}
"""Of one request: dropped connections, timeouts and errors of the server are tried again until then."""
TIMEOUTS: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=60),
    "timeout": timedelta(days=1),
}
"""It is silence that ends a request: a large file over a slow connection takes as long as it takes. Without a limit for
the whole, obstore would set one of 30 seconds."""
REQUEST_DEADLINE = 300.0
"""Longest wait in seconds for a request of a few megabytes."""
STREAM_PIECE = 4 << 20

_ERRORS = (exceptions.BaseError, FileNotFoundError, ValueError, OSError)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """An object as it was found.

    Attributes:
        key: its key, or the path on a web server.
        size: bytes.
        etag: changes when the content does; None where the server has none.
        modified: seconds since 1970, for servers without ETag; negative where the server does not tell that either,
            and then another number each time.
    """

    key: str
    size: int
    etag: str | None
    modified: float

    @property
    def version(self) -> str:
        """What differs when the content does."""
        return self.etag or f"modified {self.modified:.3f}"

    @property
    def tells_changes(self) -> bool:
        """Whether the server tells a version at all."""
        return self.etag is not None or self.modified > 0

    def is_still(self, earlier: "RemoteFile") -> bool:
        """Whether this is what was found earlier, as far as the server tells."""
        return self.size == earlier.size and (not earlier.tells_changes or self.version == earlier.version)


class Store:
    """A bucket, or a web server. Its connections are kept for all that is read from it, by any number of threads.

    Raises:
        DataError: settings are missing or wrong.
    """

    def __init__(self, address: Address) -> None:
        self.address = address.with_key("")
        self._store = _open(address)

    def find(self, key: str) -> RemoteFile | None:
        """Look for one object; None if there is none.

        Raises:
            DataError: no such bucket, no access, no connection.
        """
        try:
            return _described(obstore.head(self._store, key))
        except FileNotFoundError:
            return None
        except _ERRORS as error:
            # A link that is signed for GET answers no HEAD.
            if not self.address.is_web or "HTTP error" in str(error):
                raise fault(error, self.address.with_key(key)) from error
        try:
            return _described(obstore.get(self._store, key).meta)
        except FileNotFoundError:
            return None
        except _ERRORS as error:
            raise fault(error, self.address.with_key(key)) from error

    def below(self, prefix: str) -> Iterator[RemoteFile]:
        """Yield all objects in a folder, at any depth.

        Raises:
            DataError: as `find`; or an object's name is not a path.
        """
        try:
            for chunk in obstore.list(self._store, prefix or None):
                yield from map(_described, chunk)
        except _ERRORS as error:
            raise fault(error, self.address.with_key(prefix)) from error

    def read(self, file: RemoteFile, start: int, stop: int) -> memoryview:
        """Read bytes `start` to `stop` of an object as it was found.

        Raises:
            ChangedObjectError: it is another object now.
            DataError: no access, no connection, or a server without range requests.
        """
        address = self.address.with_key(file.key)
        options: Any = {"range": (start, stop), **_condition(file)}
        try:
            result = obstore.get(self._store, file.key, options=options)
            if not _described(result.meta).is_still(file):
                raise changed(address)
            content = memoryview(result.bytes())
        except FileNotFoundError as error:
            raise changed(address) from error
        except _ERRORS as error:
            raise fault(error, address) from error
        if len(content) != stop - start:
            raise DataError(f"{len(content)} bytes came instead of {stop - start}", where=str(address))
        return content

    def pieces(self, file: RemoteFile) -> Iterator[bytes]:
        """Yield the whole content of an object as it was found, in pieces; errors are those of `read`."""
        address = self.address.with_key(file.key)
        options: Any = _condition(file)
        try:
            result = obstore.get(self._store, file.key, options=options)
            if not _described(result.meta).is_still(file):
                raise changed(address)
            yield from result.stream(min_chunk_size=STREAM_PIECE)
        except FileNotFoundError as error:
            raise changed(address) from error
        except _ERRORS as error:
            raise fault(error, address) from error

    def write(self, key: str, content: bytes) -> None:
        """Write an object of a bucket in one step, in place of any that is there.

        Raises:
            DataError: no such bucket, no right to write, no connection.
        """
        self._put(key, content)

    def upload(self, key: str, path: Path) -> None:
        """Write a file to a bucket, in parts if it is large; the object appears, or is replaced, with the last one.

        Raises:
            DataError: as `write`.
        """
        self._put(key, path)

    def _put(self, key: str, content: bytes | Path) -> None:
        try:
            obstore.put(self._store, key, content)
        except _ERRORS as error:
            raise fault(error, self.address.with_key(key)) from error

    def remove(self, keys: Sequence[str]) -> None:
        """Remove objects of a bucket.

        Raises:
            DataError: as `write`.
        """
        if not keys:
            return
        try:
            obstore.delete(self._store, keys)
        except _ERRORS as error:
            raise fault(error, self.address) from error

    def existing(self, key: str) -> RemoteFile:
        """`find`, for an object that must be there.

        Raises:
            MissingObjectError: it is not.
        """
        found = self.find(key)
        if found is None:
            raise MissingObjectError("there is no such object", where=str(self.address.with_key(key)))
        return found


def _described(meta: Any) -> RemoteFile:
    modified = meta["last_modified"].timestamp()
    return RemoteFile(meta["path"], meta["size"], meta["e_tag"], modified if modified > 0 else -time.time())


def _condition(file: RemoteFile) -> dict[str, str]:
    """Weak tags are for caches and must not be used with If-Match (RFC 9110, 13.1.1)."""
    return {"if_match": file.etag} if file.etag and not file.etag.startswith("W/") else {}


def _open(address: Address) -> Any:
    try:
        if address.scheme == "s3":
            config: Any = s3_config()
            client: ClientConfig = {**TIMEOUTS, "allow_http": config.get("endpoint", "").startswith("http://")}
            return S3Store(address.container, config=config, client_options=client, retry_config=RETRY)
        if address.scheme == "gs":
            client = {**TIMEOUTS, "allow_http": os.environ.get("GOOGLE_BASE_URL", "").startswith("http://")}
            return GCSStore(address.container, client_options=client, retry_config=RETRY)
        url = f"{address.scheme}://{address.container}/" + (f"?{address.query}" if address.query else "")
        client = {**TIMEOUTS, "allow_http": address.scheme == "http"}
        return HTTPStore.from_url(url, client_options=client, retry_config=RETRY)
    except DataError as error:
        raise DataError(error.what, where=str(address), fix=error.fix) from error
    except _ERRORS as error:
        raise fault(error, address) from error
