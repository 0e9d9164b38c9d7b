"""Goes through the records of one file once, in their order, without copying them.

Where the records are is found by `imclass.data.recordio_scan`; `imclass.data.recordio` shows the bytes.
"""

from collections.abc import Iterator
from pathlib import Path

from imclass.data.recordio import LENGTH_MASK, MAGIC_BYTES, PART_HEAD
from imclass.data.recordio_reader import RecordFile
from imclass.data.recordio_scan import RecordMap, scan, walk_parts


def iterate_records(path: str | Path) -> Iterator[memoryview]:
    """Yield the records of a `.rec` file; `unpack_image(bytes(record), where)` takes one apart.

    Yields:
        Read-only bytes in the file's memory map, which stays as long as they do. `bytes(record)` copies them. A record
        that is stored in several parts is put together in memory.

    Raises:
        DataError: the file cannot be opened, is empty, damaged or cut, with the byte offset; before any record of the
            32 MiB around the damage.
    """
    file = RecordFile(Path(path))
    records = RecordMap(file)
    file.close()  # the map stays
    for extents in scan(records):
        begins = extents.offsets + PART_HEAD.size
        ends = begins + (records.words[extents.offsets // 4 + 1] & LENGTH_MASK)
        for begin, end, is_split in zip(begins.tolist(), ends.tolist(), extents.split.tolist(), strict=True):
            yield _joined(records, begin - PART_HEAD.size) if is_split else records.view[begin:end]


def _joined(records: RecordMap, offset: int) -> memoryview:
    parts = [records.view[part.data_offset : part.data_offset + part.length] for part in walk_parts(records, offset)]
    return memoryview(MAGIC_BYTES.join(parts))
