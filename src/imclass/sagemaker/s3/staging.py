"""Content on its way into the store, in a file of its own."""

from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Self

from imclass.pending_file import PendingFile


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
