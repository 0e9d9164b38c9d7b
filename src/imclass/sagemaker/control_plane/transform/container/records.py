"""Takes objects apart into records: the bodies of requests.

===========  ==============================================================
SplitType    a record
===========  ==============================================================
`None`       the whole object
`Line`       a line, without its end
`RecordIO`   the image of a record of a `.rec` file, without its header
===========  ==============================================================
"""

import gzip
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imclass.data import iterate_records
from imclass.data.recordio import unpack_image
from imclass.errors import DataError
from imclass.sagemaker.control_plane.transform.container.order import TransformFolder, TransformOrder

CHUNK = 1 << 20
VOLUME_BYTES = 30 << 30
"""What an object may unpack to: an instance of SageMaker's has such a volume."""


@dataclass(frozen=True)
class Record:
    """What one request is for.

    Attributes:
        object_number: of the object that it is from.
        body: as it was stored.
        said: what is known of it beside its body, as JSON has it: to be joined with the answer when the body is none.
    """

    object_number: int
    body: bytes
    said: object


@dataclass(frozen=True)
class Broken:
    """An object that cannot be taken apart any further."""

    object_number: int
    reason: str


@dataclass(frozen=True)
class EndOfObject:
    """All records of an object came before."""

    object_number: int


Item = Record | Broken | EndOfObject


class BadObjectError(Exception):
    """An object that is not what the job says."""


def items_of(order: TransformOrder, folder: TransformFolder, largest: int, given_up: Container[int]) -> Iterator[Item]:
    """The records of all objects, in order, each object with its end.

    Args:
        largest: bytes that a record may have.
        given_up: numbers of objects whose other records are not wanted any more; it may grow meanwhile.
    """
    split = SPLITS[order.split_type]
    for number, key in enumerate(order.names):
        try:
            with _unpacked(folder.input(number), order.compression_type) as file:
                for body, said in split(file, key, largest):
                    if number in given_up:
                        break
                    yield Record(number, body, said)
        except (BadObjectError, DataError) as error:
            yield Broken(number, str(error).replace(str(folder.input(number)), key))
        yield EndOfObject(number)


@contextmanager
def _unpacked(file: Path, compression_type: str) -> Iterator[Path]:
    """The file, or what is packed in it while the block lasts."""
    if compression_type == "None":
        yield file
        return
    unpacked = file.with_suffix(".unpacked")
    try:
        with gzip.open(file) as source, unpacked.open("wb") as target:
            size = 0
            while chunk := source.read(CHUNK):
                size += len(chunk)
                if size > VOLUME_BYTES:
                    raise BadObjectError(f"it unpacks to more than {VOLUME_BYTES:,} bytes")
                target.write(chunk)
        yield unpacked
    except (gzip.BadGzipFile, EOFError) as error:
        raise BadObjectError(f"it is not gzip, or damaged: {error}") from error
    finally:
        unpacked.unlink(missing_ok=True)


def _whole(file: Path, key: str, largest: int) -> Iterator[tuple[bytes, object]]:
    _check_size(file.stat().st_size, largest)
    yield file.read_bytes(), {"key": key}


def _lines(file: Path, key: str, largest: int) -> Iterator[tuple[bytes, object]]:
    with file.open("rb") as stream:
        while line := stream.readline(largest + 2):
            body = line.removesuffix(b"\n").removesuffix(b"\r")
            _check_size(len(body), largest)
            yield body, {"key": key}


def _records(file: Path, key: str, largest: int) -> Iterator[tuple[bytes, object]]:
    for number, record in enumerate(iterate_records(file)):
        unpacked = unpack_image(bytes(record), f"{key}, record {number}")
        _check_size(len(unpacked.image), largest)
        labels = unpacked.labels.tolist()
        label = labels[0] if len(labels) == 1 else labels
        yield unpacked.image, {"key": key, "id": unpacked.header.id, "label": label}


def _check_size(size: int, largest: int) -> None:
    if size > largest:
        raise BadObjectError(f"a request would have {size:,} bytes, and MaxPayloadInMB allows {largest:,}")


Split = Callable[[Path, str, int], Iterator[tuple[bytes, object]]]
"""From a file, its key and the most bytes of a record to the records with what is said of them."""

SPLITS: dict[str, Split] = {"None": _whole, "Line": _lines, "RecordIO": _records}
"""By SplitType."""
