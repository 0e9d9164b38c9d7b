"""What jobs print, kept as CloudWatch Logs has it: groups of streams of events.

A stream is a file, `DIR/logs/GROUP/STREAM.log`. A line is an event: when it came, and what it said::

    1769817600123 [01/31/2026 00:00:00 INFO 140291262449472] Epoch[0] Train-accuracy=0.150391
    |             |
    |             message, a TAB in it as #011, in UTF-8
    milliseconds since 1970, never less than in the line before

A writer adds whole lines, so that readers see no halves. The place of an event in its stream is its offset in bytes.
"""

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

GROUP = re.compile(r"/aws/sagemaker/(TrainingJobs|TransformJobs|CompilationJobs|Endpoints(/[A-Za-z0-9-]{1,63})?)")
PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
LONGEST_MESSAGE = 256 << 10  # bytes, as AWS has it
SUFFIX = ".log"


@dataclass(frozen=True)
class Event:
    """One line.

    Attributes:
        offset, end: where it begins, and where the next one does, in bytes.
        timestamp: milliseconds since 1970.
    """

    offset: int
    end: int
    timestamp: int
    message: str


class LogWriter:
    """Adds events to a stream.

    Args:
        file: of the stream; what it holds stays.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._last = 0

    def write(self, line: bytes) -> None:
        """Add a line of output, without its end; a very long one becomes several events."""
        self._last = max(self._last, time.time_ns() // 1_000_000)
        text = line.rstrip(b"\r\n").replace(b"\t", b"#011").replace(b"\r", b" ") or b" "  # CloudWatch has no empty ones
        for start in range(0, len(text), LONGEST_MESSAGE):
            os.write(self._file, b"%d %s\n" % (self._last, text[start : start + LONGEST_MESSAGE]))

    def __enter__(self) -> "LogWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)


def read_events(file: Path, start: int = 0, end: int | None = None) -> Iterator[Event]:
    """The events that lie in a range of bytes of a stream, which begins and ends between events."""
    with file.open("rb") as stream:
        stream.seek(start)
        offset = start
        for line in stream:
            if not line.endswith(b"\n") or (end is not None and offset + len(line) > end):
                return
            time_text, _, message = line[:-1].partition(b" ")
            yield Event(offset, offset + len(line), int(time_text), message.decode("utf-8", "replace"))
            offset += len(line)


class LogFolder:
    """The streams of all groups."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, group: str, stream: str) -> Path | None:
        """The file of a stream; None for names that no stream has."""
        parts = stream.split("/")
        if GROUP.fullmatch(group) is None or len(parts) > 3 or not all(PART.fullmatch(part) for part in parts):
            return None
        return self._folder / group.lstrip("/") / f"{stream}{SUFFIX}"

    def has_group(self, group: str) -> bool:
        return GROUP.fullmatch(group) is not None and (self._folder / group.lstrip("/")).is_dir()

    def groups(self) -> list[str]:
        """Names of the groups that there are, in order."""
        top = self._folder / "aws/sagemaker"
        folders = {file.parent for file in top.rglob(f"*{SUFFIX}")}
        names = {f"/{parent.relative_to(self._folder)}" for each in folders for parent in (each, *each.parents[:-1])
                 if parent.is_relative_to(top)}  # fmt: skip
        return sorted(name for name in names if self.has_group(name) and name != "/aws/sagemaker/Endpoints")

    def streams(self, group: str, prefix: str = "") -> list[str]:
        """Names of the streams of a group that exists, in order."""
        root = self._folder / group.lstrip("/")
        job, slash, _ = prefix.partition("/")
        pattern = f"{job}/**/*{SUFFIX}" if slash and PART.fullmatch(job) else f"**/*{SUFFIX}"
        names = [file.relative_to(root).as_posix().removesuffix(SUFFIX) for file in root.glob(pattern)]
        return sorted(name for name in names if name.startswith(prefix))
