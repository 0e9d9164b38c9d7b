"""What fuzzing runs: one function a format, which reads bytes that anyone may have made.

A reader may accept them or refuse them with its own error. Anything else is a finding: another exception, two readers
of one format that disagree, something that does not survive being written and read again, or memory that the bytes do
not justify (the fuzzer's own limit).
"""

import gzip
import io
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from imclass.artifact import read_description
from imclass.artifact.archive import MXNET_PARAMS, MXNET_SYMBOL, member_names, read_named
from imclass.artifact.members import DESCRIPTION_MEMBER, WEIGHTS_MEMBER
from imclass.data.lst import read_lst
from imclass.data.lst_writer import write_lst
from imclass.data.manifest import read_manifest
from imclass.data.recordio import ImageRecord, place, unpack_image
from imclass.data.recordio_idx import read_idx
from imclass.data.recordio_index import RecordIndex, build_index
from imclass.data.recordio_reader import Record, RecordFile, read_records
from imclass.data.recordio_scan import Extents, RecordMap, scan
from imclass.data.recordio_sequence import iterate_records
from imclass.data.recordio_writer import encode_record
from imclass.errors import ArtifactError, DataError, ImageError
from imclass.images.decode import decode_with_header
from imclass.images.header import is_cut_off, read_header, stored_channels
from imclass.models.mxnet import read_params, read_symbol, recognise
from imclass.sagemaker.s3.chunked import ChunkedDecoder
from imclass.sagemaker.s3.errors import S3Error
from imclass.sagemaker.s3.paths import MOST_KEY_BYTES, path_of
from imclass.sagemaker.s3.request_xml import read_complete, read_delete, read_location
from imclass.sagemaker.s3.store import Store
from tests.fuzz.seeds import SCALAR_RECORDS

SMALL_CHUNK = 64  # bytes, so that small files have many chunks
MOST_DECODED_PIXELS = 1 << 14
MOST_UNPACKED = 1 << 19

_SCRATCH = tempfile.TemporaryDirectory(prefix="imclass-fuzz-")


def recordio(data: bytes) -> None:
    """The reader of streams, the scan of a memory map, the gathered headers and random access agree."""
    streamed = _records(data)
    path = _file("fuzz.rec", data)
    with closing(RecordFile(path)) as file:
        extents = _scanned(file)
        if not data:
            assert streamed == []
            assert extents is None
            return
        assert (streamed is None) == (extents is None)
        if streamed is None or extents is None:
            return
        assert [record.offset for record in streamed] == extents.offsets.tolist()
        assert [bytes(record) for record in iterate_records(path)] == [record.payload for record in streamed]
        assert [len(record.parts) > 1 for record in streamed] == extents.split.tolist()
        for record, stored_bytes in zip(streamed, extents.stored_bytes.tolist(), strict=True):
            assert file.read(record.offset, stored_bytes) == record
            (again,) = read_records(io.BytesIO(encode_record(record.payload)), "again")
            assert again.payload == record.payload
        _check_headers(_index(file), [_image(record) for record in streamed])


def _records(data: bytes) -> list[Record] | None:
    try:
        return list(read_records(io.BytesIO(data), "fuzz"))
    except DataError:
        return None


def _scanned(file: RecordFile) -> Extents | None:
    try:
        found = list(scan(RecordMap(file), SMALL_CHUNK))
    except DataError:
        return None
    return Extents(
        np.concatenate([part.offsets for part in found]),
        np.concatenate([part.stored_bytes for part in found]),
        np.concatenate([part.split for part in found]),
    )


def _index(file: RecordFile) -> RecordIndex | None:
    try:
        return build_index(file, None, SMALL_CHUNK)
    except DataError:
        return None


def _image(record: Record) -> ImageRecord | None:
    try:
        return unpack_image(record.payload, place("fuzz", record.offset))
    except DataError:
        return None


def _check_headers(index: RecordIndex | None, images: list[ImageRecord | None]) -> None:
    """An index exists exactly if all records are image records with as many finite labels each, and holds these."""
    whole = [image for image in images if image is not None]
    widths = {max(image.header.flag, 1) for image in whole}
    finite = all(np.isfinite(image.labels).all() for image in whole)
    assert (index is not None) == (len(whole) == len(images) and len(widths) == 1 and finite)
    if index is not None:
        assert np.array_equal(index.labels, np.stack([image.labels for image in whole]))
        assert index.ids.tolist() == [image.header.id for image in whole]
        assert all(len(image.pack()) >= len(image.image) for image in whole)


def idx(data: bytes) -> None:
    """An `.idx` file beside sound records either leads to some of these records, or is refused."""
    listed_path = _file("fuzz.idx", data)
    with closing(RecordFile(SCALAR_RECORDS)) as file:
        true = set(build_index(file, None).extents.offsets.tolist())
        try:
            index = build_index(file, read_idx(listed_path), SMALL_CHUNK)
        except DataError:
            return
        assert set(index.extents.offsets.tolist()) <= true
        for offset, stored_bytes in zip(index.extents.offsets, index.extents.stored_bytes, strict=True):
            file.read(int(offset), int(stored_bytes))


def lst(data: bytes) -> None:
    """What is read from a list and written anew is read the same, labels to six decimals."""
    try:
        first = read_lst(_file("fuzz.lst", data))
    except DataError:
        return
    assert first.labels.shape[0] == len(first.paths) == len(first.indices) > 0
    rows = zip(first.indices.tolist(), first.labels.astype(np.float64), first.paths, strict=True)
    again_path = Path(_SCRATCH.name) / "again.lst"
    try:
        write_lst(again_path, ((index, labels.tolist(), path) for index, labels, path in rows))
    except DataError:
        assert any(character in path for path in first.paths for character in "\t\r")
        return
    again = read_lst(again_path)
    assert again.paths == first.paths
    assert np.array_equal(again.indices, first.indices)
    assert np.allclose(again.labels, first.labels, rtol=1e-6, atol=1e-6)


def manifest(data: bytes) -> None:
    """A manifest gives as many finite labels an image as it has classes, in both meanings of lists."""
    path = _file("fuzz.manifest", data)
    for label_format in ("multi-hot", "class-id"):
        try:
            read = read_manifest(path, label_format=label_format)
            labels = read.labels.array()
            names = read.labels.class_names()
        except DataError:
            continue
        assert labels.shape == (len(read.images), read.labels.width)
        assert np.isfinite(labels).all()
        assert names is None or len(names) == read.labels.class_count


def image(data: bytes) -> None:
    """A header that can be read tells the shape of the pixels, if these can be decoded."""
    is_cut_off(data)
    try:
        header = read_header(data)
    except ImageError:
        return
    stored_channels(data, header)
    if header.width * header.height > MOST_DECODED_PIXELS:
        return
    for channels in (1, 3):
        try:
            pixels = decode_with_header(data, header, channels)
        except ImageError:
            continue
        assert pixels.shape == (header.height, header.width, channels)


def archive(data: bytes) -> None:
    """A model archive; packed here unless the bytes are gzip already, or no mutation would get through its checksum."""
    packed = data if data[:2] == b"\x1f\x8b" else gzip.compress(data, 1)
    path = _file("model.tar.gz", packed)
    try:
        names = tuple(member_names(path, MOST_UNPACKED))
    except ArtifactError:
        names = ()
    assert not any(name.startswith("/") or ".." in name.split("/") for name in names)
    wanted = (DESCRIPTION_MEMBER, WEIGHTS_MEMBER, *filter(MXNET_SYMBOL.fullmatch, names))
    wanted += tuple(filter(MXNET_PARAMS.fullmatch, names))
    for to_the_end in (False, True):
        try:
            members = read_named(path, wanted, MOST_UNPACKED, to_the_end=to_the_end)
        except ArtifactError:
            continue
        assert set(members) <= set(names) | set(wanted)
        assert sum(map(len, members.values())) <= MOST_UNPACKED
    try:
        read_description(path, limit=MOST_UNPACKED)
    except ArtifactError:
        return


def params(data: bytes) -> None:
    """Arrays of MXNet take no more memory than the file has bytes."""
    try:
        arrays = read_params(data)
    except ArtifactError:
        return
    assert sum(array.numel() * array.element_size() for array in arrays.values()) <= len(data)


def symbol(data: bytes) -> None:
    """A symbol of MXNet is one of the networks that imclass knows, or is refused."""
    try:
        recognise(read_symbol(data))
    except ArtifactError:
        return


def s3_key(data: bytes) -> None:
    """Objects of any keys, one a line, are files below their bucket; each is found again, alone and in the list."""
    root = Path(_SCRATCH.name) / "s3"
    shutil.rmtree(root, ignore_errors=True)
    store = Store(root)
    store.create_bucket("bucket")
    kept: dict[str, str] = {}
    for line in data.split(b"\n")[:8]:
        key = line.decode("utf-8", "replace")
        try:
            description = store.put_file("bucket", key, io.BytesIO(line))
        except S3Error:
            assert not 0 < len(key.encode()) <= MOST_KEY_BYTES or _fills_a_path(key)
            continue
        kept[key] = description.etag
    assert {path.name for path in root.iterdir()} == {"bucket", ".imclass"}
    assert [found.key for found in store.walk("bucket", "", "")] == sorted(kept)
    for key, etag in kept.items():
        path = store.path("bucket", key)
        assert path.resolve().is_relative_to((root / "bucket").resolve())
        found = store.find("bucket", key)
        assert found is not None
        assert found.etag == etag
        store.delete("bucket", key)
    assert list((root / "bucket").iterdir()) == []


def _fills_a_path(key: str) -> bool:
    """Whether a key is longer as a path than Linux lets paths be, or nearly so."""
    return len("/".join(path_of(key)).encode()) > 3 * MOST_KEY_BYTES


def s3_chunked(data: bytes) -> None:
    """An aws-chunked body gives the same content, or the same refusal, whole and byte by byte."""
    whole, bytewise = (_decode_chunked(pieces) for pieces in ([data], [data[i : i + 1] for i in range(len(data))]))
    assert whole == bytewise
    assert whole is None or len(whole) <= len(data)


def _decode_chunked(pieces: list[bytes]) -> bytes | None:
    decoder = ChunkedDecoder()
    try:
        content = b"".join(piece for data in pieces for piece in decoder.feed(data))
        decoder.finish()
    except S3Error:
        return None
    return content


def s3_xml(data: bytes) -> None:
    """The XML of a request of S3 is read within its limits, or refused."""
    for read in (read_delete, read_complete, read_location):
        with suppress(S3Error):
            read(data)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "recordio": recordio,
    "idx": idx,
    "lst": lst,
    "manifest": manifest,
    "image": image,
    "archive": archive,
    "params": params,
    "symbol": symbol,
    "s3_key": s3_key,
    "s3_chunked": s3_chunked,
    "s3_xml": s3_xml,
}


def _file(name: str, data: bytes) -> Path:
    """A new file with these bytes; an old one is removed, not cut, since it may be mapped into memory still."""
    path = Path(_SCRATCH.name) / name
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path
