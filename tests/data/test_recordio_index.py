"""The index of a `.rec` file: from a scan, an `.idx`, or the cache, always the same."""

import logging
import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imclass.data import RecordWriter, pack_image, recordio_index
from imclass.data.recordio_cache import cache_path
from imclass.data.recordio_idx import read_idx
from imclass.data.recordio_index import RecordIndex, build_index, load_index
from imclass.data.recordio_reader import RecordFile
from imclass.data.recordio_scan import RecordMap, scan
from imclass.errors import DataError
from tests.data.golden_files import MAGIC, RECORDIO, expected, single_label_magic_records, without_idx, write_records

SMALL_CHUNK = 256  # records of the golden files straddle such chunks
PART = struct.Struct("<II")


def part(kind: int, data: bytes) -> bytes:
    return PART.pack(0xCED7230A, kind << 29 | len(data)) + data + bytes(-len(data) % 4)


def image_part(label: float, rest: bytes = b"") -> bytes:
    return part(0, pack_image(label, rest, 0))


def scan_bytes(path: Path, content: bytes, chunk_bytes: int = SMALL_CHUNK) -> RecordIndex:
    path.write_bytes(content)
    return build_index(RecordFile(path, "x.rec"), None, chunk_bytes)


@pytest.mark.parametrize("chunk_bytes", [8, 12, 64, 1000, 1 << 20])
@pytest.mark.parametrize("name", ["scalar", "multilabel", "varlabel", "magic", "raw"])
def test_scan_finds_the_records_of_golden_files(name: str, chunk_bytes: int) -> None:
    path = RECORDIO / f"{name}.rec"
    found = list(scan(RecordMap(RecordFile(path)), chunk_bytes))
    wanted = expected(path)
    assert np.concatenate([each.offsets for each in found]).tolist() == [record["offset"] for record in wanted]
    assert np.concatenate([each.stored_bytes for each in found]).tolist() == [
        record["stored_bytes"] for record in wanted
    ]
    assert np.concatenate([each.split for each in found]).tolist() == [len(record["parts"]) > 1 for record in wanted]


@pytest.mark.parametrize("by_idx", [True, False])
@pytest.mark.parametrize("chunk_bytes", [SMALL_CHUNK, 1 << 20])
@pytest.mark.parametrize("name", ["scalar", "multilabel"])
def test_labels_and_ids_of_golden_files(name: str, chunk_bytes: int, by_idx: bool) -> None:
    file = RecordFile(RECORDIO / f"{name}.rec")
    listed = read_idx(file.path.with_suffix(".idx")) if by_idx else None
    index = build_index(file, listed, chunk_bytes)
    wanted = expected(file.path)
    assert index.labels.dtype == np.float32
    assert index.labels.tolist() == [record["label"] for record in wanted]
    assert index.ids.tolist() == [record["id"] for record in wanted]
    assert index.extents.stored_bytes.tolist() == [record["stored_bytes"] for record in wanted]


@pytest.mark.parametrize("name", ["magic", "varlabel"])
def test_labels_and_ids_of_golden_files_with_labels_of_several_widths(name: str) -> None:
    """One record at a time, as if the `.idx` listed no other; in `magic` the header and the labels are split too."""
    file = RecordFile(RECORDIO / f"{name}.rec")
    listed = read_idx(file.path.with_suffix(".idx"))
    for number, record in enumerate(expected(file.path)):
        index = build_index(file, listed[number : number + 1])
        assert index.labels.tolist() == [record["label"]]
        assert index.ids.tolist() == [record["id"]]
        assert index.extents.stored_bytes.tolist() == [record["stored_bytes"]]


def test_ragged_labels_name_the_first_odd_record() -> None:
    with pytest.raises(DataError, match="byte 984: this record has 2 labels, the records before it have 1"):
        load_index(RecordFile(RECORDIO / "varlabel.rec"))


def test_plain_records_are_no_images() -> None:
    with pytest.raises(DataError, match="byte 0: a record of 0 bytes is too short for the 24-byte image header"):
        load_index(RecordFile(RECORDIO / "raw.rec"))


@pytest.mark.parametrize(
    ("name", "offset", "message"),
    [
        ("truncated_aligned", 9748, "ends inside"),
        ("truncated_unaligned", 9748, "ends inside"),
        ("bad_magic", 3976, "no record begins"),
        ("truncated_header", 11612, "too few for the head"),
    ],
)
def test_broken_files(name: str, offset: int, message: str) -> None:
    path = RECORDIO / "broken" / f"{name}.rec"
    with pytest.raises(DataError, match=f"{name}.rec, byte {offset}: .*{message}"):
        load_index(RecordFile(path))


def test_empty_file() -> None:
    with pytest.raises(DataError, match=r"empty\.rec: the file is empty"):
        load_index(RecordFile(RECORDIO / "broken" / "empty.rec"))


@pytest.mark.parametrize("length", [1, 4, 7])
def test_file_shorter_than_a_head(length: int, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"byte 0: {length} bytes at the end are too few"):
        scan_bytes(tmp_path / "x.rec", MAGIC.ljust(8, b"\0")[:length])


@pytest.mark.parametrize("chunk_bytes", [8, 32, 64, 1 << 20])
def test_unescaped_magic_in_data_is_not_a_record(chunk_bytes: int, tmp_path: Path) -> None:
    """Foreign writers do not split records: whole false records inside an image must not be found."""
    false_records = image_part(9, bytes(16)) * 3 + MAGIC + bytes(8)
    content = image_part(1, false_records) + image_part(2) + image_part(3, false_records)
    index = scan_bytes(tmp_path / "x.rec", content, chunk_bytes)
    assert index.labels[:, 0].tolist() == [1, 2, 3]


def test_gap_between_records_is_an_error_with_its_place(tmp_path: Path) -> None:
    content = image_part(1, bytes(40))
    with pytest.raises(DataError, match=f"byte {len(content)}: no record begins"):
        scan_bytes(tmp_path / "x.rec", content + bytes(8) + content)


def test_junk_at_the_end(tmp_path: Path) -> None:
    content = image_part(1)
    for junk, message in ((b"\n", "1 bytes at the end"), (bytes(8), "no record begins"), (bytes(300), "no record")):
        with pytest.raises(DataError, match=f"byte {len(content)}: {message}"):
            scan_bytes(tmp_path / "x.rec", content + junk)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [((3,), "without its beginning"), ((1, 0), "before the one"), ((1, 2), "lacks its last"), ((0, 2), "without its")],
)
@pytest.mark.parametrize("chunk_bytes", [8, 1 << 20])
def test_parts_out_of_order(kinds: tuple[int, ...], message: str, chunk_bytes: int, tmp_path: Path) -> None:
    content = b"".join(part(kind, pack_image(1, b"", 0)) for kind in kinds)
    with pytest.raises(DataError, match=message):
        scan_bytes(tmp_path / "x.rec", content, chunk_bytes)


def test_label_that_is_not_finite(tmp_path: Path) -> None:
    content = image_part(1) + image_part(float("nan"))
    with pytest.raises(DataError, match=f"byte {len(image_part(1))}: a label .* is not a finite number"):
        scan_bytes(tmp_path / "x.rec", content)


@pytest.mark.parametrize("flag", [1, 2, 0xFFFFFFFF])
@pytest.mark.parametrize("chunk_bytes", [8, 1 << 20])
def test_more_labels_than_bytes(flag: int, chunk_bytes: int, tmp_path: Path) -> None:
    header = struct.pack("<IfQQ", flag, 0, 0, 0)
    for content in (part(0, header), part(1, header[:8]) + part(3, header[12:])):
        with pytest.raises(DataError, match="byte 0: "):
            scan_bytes(tmp_path / "x.rec", content, chunk_bytes)


def test_many_records_with_label_arrays_some_split(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    labels = generator.random((200, 7), np.float32)
    magic = np.frombuffer(MAGIC, np.float32)[0]
    labels[generator.random(labels.shape) < 0.05] = magic  # labels that look like the magic word split the record
    with RecordWriter(tmp_path / "x.rec") as writer:
        for number, row in enumerate(labels):
            writer.write(number, pack_image(row, bytes(number), number << 40))
    for listed in (None, read_idx(tmp_path / "x.idx")):
        index = build_index(RecordFile(tmp_path / "x.rec"), listed, SMALL_CHUNK)
        assert index.extents.split.sum() > 20
        np.testing.assert_array_equal(index.labels, labels)
        assert index.ids.tolist() == [number << 40 for number in range(200)]


CONTENT, RECORDS = single_label_magic_records()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=st.integers(0, len(CONTENT)),
    flips=st.dictionaries(st.integers(0, len(CONTENT) - 1), st.integers(1, 255), max_size=3),
    chunk_bytes=st.sampled_from([64, 4096, 1 << 20]),
    use_idx=st.booleans(),
)
def test_cut_and_flipped_bytes_give_an_index_or_a_data_error(
    cut: int, flips: dict[int, int], chunk_bytes: int, use_idx: bool, tmp_path: Path
) -> None:
    damaged = bytearray(CONTENT)
    for position, bits in flips.items():
        damaged[position] ^= bits
    path = tmp_path / "x.rec"
    path.write_bytes(damaged[:cut])
    path.with_suffix(".idx").write_text("".join(f"0\t{record['offset']}\n" for record in RECORDS))
    listed = read_idx(path.with_suffix(".idx")) if use_idx else None
    message = "x.rec"
    try:
        index = build_index(RecordFile(path, "x.rec"), listed, chunk_bytes)
        assert index.labels.shape == (len(index), 1)
    except DataError as error:
        message = str(error)
    assert "x.rec" in message


# The .idx file


def test_idx_of_some_records_means_just_these(tmp_path: Path) -> None:
    path = write_records(tmp_path / "x.rec", [0, 1, 2, 3])
    lines = path.with_suffix(".idx").read_text().splitlines(keepends=True)
    path.with_suffix(".idx").write_text(lines[3] + "\n" + lines[1].replace("\t", "   "))
    assert load_index(RecordFile(path)).labels[:, 0].tolist() == [1, 3]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("0\t0\nx\n1 2 3\n2\t-4\n3\t" + "9" * 30, ["line 2: ", "line 3: ", "line 4: ", "line 5: "]),
        ("0\t0\n1\t6\n2\t4000\n", ["line 2: byte 6 is not a multiple of 4", "line 3: byte 4000 is outside"]),
        ("0\t0\n1\t8\n2\t16\n", ["line 2: no record begins at byte 8", "line 3: no record begins at byte 16"]),
        ("0\t0\n1\t40\n2\t40\n", ["line 3: byte 40 stands in line 2 already"]),
        ("\n", ["lists no records"]),
    ],
)
def test_bad_idx_lines(text: str, messages: list[str], tmp_path: Path) -> None:
    path = write_records(tmp_path / "x.rec", [0, 1, 2, 3])
    path.with_suffix(".idx").write_text(text)
    with pytest.raises(DataError) as caught:
        load_index(RecordFile(path))
    assert str(path.with_suffix(".idx")) in str(caught.value)
    for message in messages:
        assert message in str(caught.value)


def test_idx_that_points_into_a_record(tmp_path: Path) -> None:
    path = tmp_path / "x.rec"
    path.write_bytes(image_part(1, image_part(2)) + image_part(3))
    path.with_suffix(".idx").write_text("0\t0\n1\t32\n")
    with pytest.raises(DataError, match="line 2: byte 32 is inside the record of line 1"):
        load_index(RecordFile(path))


# The cache file


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `.rec` file without `.idx`, whose cache file has been written."""
    monkeypatch.setattr(recordio_index, "CACHE_FROM_RECORDS", 1)
    (tmp_path / "x.rec").write_bytes(CONTENT)
    load_index(RecordFile(tmp_path / "x.rec"))
    assert cache_path(tmp_path / "x.rec").exists()
    return tmp_path / "x.rec"


def assert_golden(index: RecordIndex) -> None:
    wanted = RECORDS
    assert index.extents.offsets.tolist() == [record["offset"] for record in wanted]
    assert index.labels.tolist() == [record["label"] for record in wanted]
    assert index.ids.tolist() == [record["id"] for record in wanted]
    assert index.extents.split.tolist() == [len(record["parts"]) > 1 for record in wanted]


def test_cache_is_used_instead_of_the_file(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordio_index, "build_index", None)
    assert_golden(load_index(RecordFile(cached)))


def test_small_files_get_no_cache(tmp_path: Path) -> None:
    load_index(RecordFile(write_records(tmp_path / "x.rec", [1, 2])))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.idx", "x.rec"]


def test_changed_record_file_makes_the_cache_out_of_date(cached: Path) -> None:
    status = cached.stat()
    os.utime(cached, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    content = bytearray(cached.read_bytes())
    content[12:16] = struct.pack("<f", 42)
    cached.write_bytes(content)
    assert load_index(RecordFile(cached)).labels[0].tolist() == [42]


def test_new_idx_makes_the_cache_out_of_date(cached: Path) -> None:
    cached.with_suffix(".idx").write_text("0\t0\n")
    assert len(load_index(RecordFile(cached))) == 1


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1), position=st.floats(0, 0.999), bits=st.integers(1, 255))
def test_damaged_cache_is_made_again(cut: float, position: float, bits: int, cached: Path) -> None:
    path = cache_path(cached)
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= bits
    path.write_bytes(content[: int(cut * len(content))])
    assert_golden(load_index(RecordFile(cached)))
    assert_golden(load_index(RecordFile(cached)))


def test_cache_with_other_columns_is_made_again(cached: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Sound zip files that are no index of this file: pickled objects, compressed, wrong types or lengths."""
    path = cache_path(cached)
    with np.load(path) as archive:
        good = dict(archive)
    bad = [
        {**good, "offsets": good["offsets"].astype(object)},
        {**good, "labels": good["labels"].astype(np.float64)},
        {**good, "ids": good["ids"][:-1]},
        {**good, "offsets": good["offsets"] + (1 << 40)},
        {name: column for name, column in good.items() if name != "split"},
    ]
    for columns in bad:
        np.savez(path, **columns)
        assert_golden(load_index(RecordFile(cached)))
    np.savez_compressed(path, **good)
    with caplog.at_level(logging.WARNING):
        assert_golden(load_index(RecordFile(cached)))
    assert "is compressed" in caplog.text


def test_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordio_index, "CACHE_FROM_RECORDS", 1)
    (tmp_path / "x.rec").write_bytes(CONTENT)
    (tmp_path / "x.rec.index.npz").mkdir()  # a folder in the way also stops root, who may write anywhere
    assert_golden(load_index(RecordFile(tmp_path / "x.rec")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.rec", "x.rec.index.npz"]


# Size


def test_two_hundred_thousand_records_open_in_seconds(tmp_path: Path) -> None:
    count = 200_000
    one = np.frombuffer(image_part(0, bytes(64)), np.uint32)
    content = np.tile(one, (count, 1))
    content[:, 3] = (np.arange(count) % 1000).astype(np.float32).view(np.uint32)
    content[:, 4] = np.arange(count)
    path = tmp_path / "x.rec"
    content.tofile(path)
    start = time.perf_counter()
    index = load_index(RecordFile(path))
    scanned = time.perf_counter() - start
    start = time.perf_counter()
    again = load_index(RecordFile(path))
    cached = time.perf_counter() - start
    for each in (index, again):
        assert each.ids.tolist() == list(range(count))
        assert each.labels[:, 0].tolist() == [number % 1000 for number in range(count)]
    assert scanned < 5
    assert cached < 5


def test_long_data_is_skipped_not_read(tmp_path: Path) -> None:
    """Two records of 256 MiB each in a sparse file: chunks inside them are jumped over."""
    path = tmp_path / "x.rec"
    length = 1 << 28
    with path.open("wb") as file:
        for label in (1, 2):
            file.write(PART.pack(0xCED7230A, length) + struct.pack("<IfQQ", 0, label, label, 0))
            file.seek(length - 24, os.SEEK_CUR)
        file.truncate()
    start = time.perf_counter()
    index = build_index(RecordFile(path), None)
    assert index.labels[:, 0].tolist() == [1, 2]
    assert time.perf_counter() - start < 5


def test_file_without_idx_is_scanned(tmp_path: Path) -> None:
    path = without_idx(write_records(tmp_path / "x.rec", [5, 6]))
    assert load_index(RecordFile(path)).labels[:, 0].tolist() == [5, 6]
