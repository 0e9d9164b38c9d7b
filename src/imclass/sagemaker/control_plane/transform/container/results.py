"""Answers put together: one file an object, which appears when all of its records have answers."""

from datetime import UTC, datetime

from imclass.pending_file import PendingFile
from imclass.sagemaker.control_plane.store.log_files import LogWriter
from imclass.sagemaker.control_plane.transform.container.order import TransformFolder


class DataLog:
    """The stream that tells of objects, in the words of SageMaker's."""

    def __init__(self, log: LogWriter) -> None:
        self._log = log

    def write(self, text: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        for line in text.splitlines() or [""]:
            self._log.write(f"{now}:[sagemaker logs]: {line}".encode())


class Results:
    """The results of a job's objects, which come one after the other.

    Attributes:
        failed: by number, why an object has no result.
        written: how many objects have one.
    """

    def __init__(self, folder: TransformFolder) -> None:
        self.failed: dict[int, str] = {}
        self.written = 0
        self._folder = folder
        self._file: PendingFile | None = None
        folder.results.mkdir(exist_ok=True)

    def add(self, number: int, result: bytes) -> None:
        """Add the result of an object's next record; those of one that has failed are dropped."""
        if number in self.failed:
            return
        if self._file is None:
            self._file = PendingFile(self._folder.result(number), to_disk=False)
        self._file.write(result)

    def fail(self, number: int, reason: str) -> None:
        """An object gets no result; the first reason is kept."""
        self.failed.setdefault(number, reason)
        self.close()

    def end(self, number: int) -> None:
        """All records of an object have answers, or it has failed."""
        if number in self.failed:
            return
        self.add(number, b"")  # of an object without records
        assert self._file is not None
        self._file.commit()
        self._file = None
        self.written += 1

    def close(self) -> None:
        """Throw away what is not complete."""
        if self._file is not None:
            self._file.discard()
            self._file = None
