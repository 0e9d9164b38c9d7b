"""Keeps the index of a large `.rec` file beside it, so that the next run opens it at once.

`NAME.rec.index.npz` is an uncompressed zip of NumPy arrays::

    stamp         (5,) int64    format version; size and mtime_ns of the .rec; size and mtime_ns of the .idx
    (-1: none) offsets       (N,) int64    byte offset of each record
    stored_bytes  (N,) int64    bytes from there to the record's end
    split         (N,) bool     stored in several parts
    labels        (N, L) float32
    ids           (N,) uint64

It is used only if its stamp equals that of the files as they are now. It never holds pickled objects;
anything in it that is not as above makes it worthless, and it is written anew.
"""

import io
import logging
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imclass.errors import DataError
from imclass.pending_file import PendingFile

FORMAT_VERSION = 1
STAMP = "stamp"
MISSING = -1

Columns = dict[str, NDArray[np.generic]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stamp:
    """The state of the files that an index was made from."""

    record_bytes: int
    record_mtime_ns: int
    index_bytes: int
    index_mtime_ns: int

    @classmethod
    def of(cls, record_status: os.stat_result, idx_path: Path) -> "Stamp":
        """Describe an open `.rec` file and the `.idx` that may be beside it."""
        try:
            idx = idx_path.stat()
        except FileNotFoundError:
            return cls(record_status.st_size, record_status.st_mtime_ns, MISSING, MISSING)
        return cls(record_status.st_size, record_status.st_mtime_ns, idx.st_size, idx.st_mtime_ns)

    def array(self) -> NDArray[np.int64]:
        """Return the (5,) numbers that the cache file keeps."""
        numbers = (
            FORMAT_VERSION, self.record_bytes, self.record_mtime_ns, self.index_bytes, self.index_mtime_ns
        )  # fmt: skip
        return np.array(numbers, np.int64)


def cache_path(record_path: Path) -> Path:
    """Return where the cache of a `.rec` file is."""
    return record_path.with_name(record_path.name + ".index.npz")


def read_cache(path: Path, stamp: Stamp, dtypes: dict[str, np.dtype[np.generic]]) -> Columns | None:
    """Read a cache file; None if there is none, or it is out of date or damaged, which a log line says.

    Args:
        dtypes: the columns that must be there, with their types.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if not np.array_equal(_read_array(archive, STAMP, np.dtype(np.int64)), stamp.array()):
                logger.info("%s is out of date: indexing again", path)
                return None
            return {name: _read_array(archive, name, dtype) for name, dtype in dtypes.items()}
    except FileNotFoundError:
        return None
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        logger.warning("%s cannot be used, indexing again: %s", path, error)
        return None


def _read_array(archive: zipfile.ZipFile, name: str, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Read one stored `.npy` member; its own bytes bound what is allocated, whatever its header says."""
    member = archive.getinfo(name + ".npy")
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    content = archive.read(member)
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{name} has another .npy version")
    shape, fortran_order, stored_dtype = np.lib.format.read_array_header_1_0(stream)
    if fortran_order or stored_dtype != dtype:
        raise ValueError(f"{name} has another layout")
    return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape)


def write_cache(path: Path, stamp: Stamp, columns: Columns) -> None:
    """Write a cache file in one step; in a folder that cannot be written to, a log line says that there is none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with PendingFile(path, DataError) as file:
            buffer = io.BytesIO()
            np.savez(buffer, allow_pickle=False, **{STAMP: stamp.array()}, **columns)
            file.write(buffer.getvalue())
    except (DataError, OSError) as error:
        logger.info("the index is not kept: %s", error)
