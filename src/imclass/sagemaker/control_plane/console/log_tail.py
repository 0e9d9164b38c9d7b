"""The end of a log, and what comes after it, for a page that follows it."""

from dataclasses import dataclass
from pathlib import Path

from imclass.sagemaker.control_plane.store.log_files import Event, read_events

TAIL_BYTES = 64 << 10
MOST_BYTES = 256 << 10
MOST_LINES = 500
LONGEST_LINE = 4096  # characters that are shown


@dataclass(frozen=True)
class Lines:
    """Some lines.

    Attributes:
        events: in order; long messages are cut.
        after: where the next one begins, in bytes.
        is_cut: whether lines before these were left out.
    """

    events: list[Event]
    after: int
    is_cut: bool


def read_tail(log: Path) -> Lines:
    """The last lines of a log, at most `MOST_LINES` and `TAIL_BYTES`."""
    start = line_start(log, log.stat().st_size - TAIL_BYTES)
    return _lines(list(read_events(log, start)), start, is_cut=start > 0)


def read_after(log: Path, after: int) -> Lines:
    """What follows the place where an answer before ended; who is too far behind gets the tail.

    Raises:
        ValueError: no line begins there.
    """
    size = log.stat().st_size
    if not 0 <= after <= size or line_start(log, after) != after:
        raise ValueError(f"no line begins at {after}")
    if size - after > MOST_BYTES:
        return read_tail(log)
    return _lines(list(read_events(log, after)), after, is_cut=False)


def line_start(log: Path, offset: int) -> int:
    """Where the first line begins that begins at this offset, or behind it; the end of the file if none does."""
    if offset <= 0:
        return 0
    with log.open("rb") as stream:
        stream.seek(offset - 1)
        # A line is never longer than LogWriter makes it, so that this reads little.
        stream.readline()
        return stream.tell()


def _lines(events: list[Event], after: int, *, is_cut: bool) -> Lines:
    kept = events[-MOST_LINES:]
    shown = [Event(each.offset, each.end, each.timestamp, shortened(each.message)) for each in kept]
    return Lines(shown, kept[-1].end if kept else after, is_cut or len(kept) < len(events))


def shortened(message: str) -> str:
    """A message of a length that a page can show."""
    return message if len(message) <= LONGEST_LINE else f"{message[:LONGEST_LINE]} ..."
