"""Reads the `.idx` text file beside a `.rec` file.

One line a record: ``key TAB byte offset``. The key is not used: the records come in the order of their
offsets, as in the original. A file that lists only some records means just these.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imclass.data.recordio import MAGIC, PART_HEAD, PartKind
from imclass.data.recordio_scan import Extents, Offsets, RecordMap, part_ends, part_kinds, walk_parts
from imclass.errors import DataError, listing

OFFSET_DIGITS = 18
DELETE_INDEX = "Delete the .idx file (the records are then found without it) or make it again."


@dataclass(frozen=True, slots=True)
class ListedOffsets:
    """The offsets of an `.idx` file, ascending, and the line of each."""

    name: str
    offsets: Offsets
    lines: NDArray[np.int64]

    def __getitem__(self, part: slice) -> "ListedOffsets":
        return ListedOffsets(self.name, self.offsets[part], self.lines[part])


def read_idx(path: Path) -> ListedOffsets:
    """Read the offsets of an `.idx` file.

    Raises:
        DataError: lines that are not a key and an offset, offsets named twice, or no line at all.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return parse_idx(content, str(path))


def parse_idx(content: bytes, name: str) -> ListedOffsets:
    """Read the offsets in the content of an `.idx` file, which `name` names; errors are those of `read_idx`."""
    offsets: list[int] = []
    lines: list[int] = []
    problems: list[str] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        fields = line.split()
        if len(fields) == 2 and fields[1].isdigit() and len(fields[1]) <= OFFSET_DIGITS:
            offsets.append(int(fields[1]))
            lines.append(number)
        elif fields:
            problems.append(f"line {number}: {line[:60]!r} is not a key, a tab and a byte offset")
    _raise_if_any(problems, name)
    if not offsets:
        raise DataError("lists no records", where=name, fix=DELETE_INDEX)
    return _ascending(name, np.array(offsets, np.int64), np.array(lines, np.int64))


def _ascending(name: str, offsets: Offsets, lines: NDArray[np.int64]) -> ListedOffsets:
    order = np.argsort(offsets, kind="stable")
    offsets, lines = offsets[order], lines[order]
    twice = np.flatnonzero(offsets[1:] == offsets[:-1])
    _raise_if_any(
        [f"line {lines[i + 1]}: byte {offsets[i + 1]} stands in line {lines[i]} already" for i in twice], name
    )
    return ListedOffsets(name, offsets, lines)


def check_offsets(listed: ListedOffsets, name: str, size: int) -> None:
    """Check that every offset may be that of a record of the `.rec` file of this name and size, before it is read.

    Raises:
        DataError: offsets that are not multiples of 4 or outside the file, with their lines.
    """
    outside = listed.offsets + PART_HEAD.size > size
    problems = [
        f"line {listed.lines[i]}: byte {listed.offsets[i]} is "
        + (f"outside {name} ({size} bytes)" if outside[i] else "not a multiple of 4")
        for i in np.flatnonzero(outside | (listed.offsets % 4 != 0))
    ]
    _raise_if_any(problems, listed.name)


def locate(listed: ListedOffsets, records: RecordMap) -> Extents:
    """Find how long the records at the listed offsets are; `check_offsets` has passed.

    Raises:
        DataError: no record begins at an offset, with the line in the `.idx` file; a record that is damaged
            or cut, with the byte offset in the `.rec` file.
    """
    offsets = listed.offsets
    words = records.words[offsets // 4 + 1]
    kinds = part_kinds(words)
    begins = (records.words[offsets // 4] == MAGIC) & ((kinds == PartKind.WHOLE) | (kinds == PartKind.FIRST))
    check_begins(listed, begins, records.name)
    ends = part_ends(offsets, words)
    split = kinds == PartKind.FIRST
    for i in np.flatnonzero(split | (ends > records.size)):
        *_, last = walk_parts(records, int(offsets[i]))
        ends[i] = last.end
    return Extents(offsets, ends - offsets, split)


def check_begins(listed: ListedOffsets, begins: NDArray[np.bool_], name: str) -> None:
    """Check that a record begins at each offset of the `.rec` file of this name.

    Raises:
        DataError: those where none does, with their lines.
    """
    problems = [
        f"line {listed.lines[i]}: no record begins at byte {listed.offsets[i]} of {name}"
        for i in np.flatnonzero(~begins)
    ]
    _raise_if_any(problems, listed.name)


def check_overlaps(listed: ListedOffsets, extents: Extents) -> None:
    """Check that no listed record reaches into the next one.

    Raises:
        DataError: those that do, with their lines.
    """
    ends = extents.offsets + extents.stored_bytes
    problems = [
        f"line {listed.lines[i + 1]}: byte {listed.offsets[i + 1]} is inside the record of line {listed.lines[i]}"
        for i in np.flatnonzero(ends[:-1] > listed.offsets[1:])
    ]
    _raise_if_any(problems, listed.name)


def _raise_if_any(problems: list[str], name: str) -> None:
    if problems:
        raise DataError("bad lines in the index\n" + listing(problems), where=name, fix=DELETE_INDEX)
