"""Content on its way into the store, in a file of its own."""

from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import BinaryIO, Self

from imclass.pending_file import PendingFile
from imclass.sagemaker.s3.checksums import Hashes

COPY_BYTES = 1 << 20


class StagedFile:
    """A file that is not an object yet. It is removed at the end of the `with` block unless it was moved away.

    The bytes reach the disk when the kernel writes them: what was acknowledged survives the end of the process, but the
    last seconds not a power failure, as with other files.

    Args:
        folder: of the files on their way, on the file system of the objects.

    Attributes:
        path: where the file is, when it is finished.

    Raises:
        UserError: the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / token_hex(16)
        self._file = PendingFile(self.path, to_disk=False)

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._file.write(data)

    def copy(self, file: BinaryIO, hashes: Hashes, size: int | None = None) -> None:
        """Append what a file has from its position on, and hash it.

        Args:
            size: bytes to take; all by default.

        Raises:
            EOFError: there are fewer.
        """
        left = size
        while left is None or left > 0:
            data = file.read(COPY_BYTES if left is None else min(COPY_BYTES, left))
            if not data and left is None:
                return
            if not data:
                raise EOFError("the file became shorter while it was copied")
            self.write(data)
            hashes.update(data)
            left = None if left is None else left - len(data)

    def finish(self) -> None:
        """Let the file appear at `path`; nothing may be written any more."""
        self._file.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.discard()
        self.path.unlink(missing_ok=True)
