"""A file that is written under a temporary name and takes its place in one step, or never."""

import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

from imclass.errors import DataError


class PendingFile:
    """A binary file beside `path` that becomes `path` on `commit`, or at the end of a `with` block without an
    error.

    Raises:
        DataError: the folder cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        if path.is_dir():
            raise DataError("is a folder; a file is to be written here", where=str(path))
        try:
            self._file = self._temporary.open("xb")
        except OSError as error:
            raise DataError(f"cannot be written: {error.strerror}", where=str(path)) from error

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._file.write(data)

    def finish(self) -> None:
        """Bring all bytes to the disk; `commit` may follow."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def commit(self) -> None:
        """Put the file in place."""
        if not self._file.closed:
            self.finish()
        self._temporary.replace(self.path)

    def discard(self) -> None:
        """Throw away what was written; does nothing after `commit`."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.discard()
