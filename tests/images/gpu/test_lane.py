"""Several batches at the same time: their order, what they read, what is left of them."""

import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest
import torch

from imclass.data import RecordWriter, Subset, open_source, pack_image
from imclass.data.recordio import MAGIC_BYTES
from imclass.data.reused_memory import ReusedMemory
from imclass.data.source import Sample
from imclass.errors import DataError
from imclass.images import AUGMENTATIONS, Loader, preprocess
from imclass.images.gpu.lane import LANES
from imclass.images.gpu.opening import open_hardware
from tests.images.gpu.conftest import DEVICE, PREPROCESSING, DeviceLibjpegDecoder, collect, make, pixels, requests

pytest.importorskip("triton")


@pytest.fixture
def record_file(mixed, tmp_path):
    """The images of `mixed` as a .rec file; image 2 is stored in two parts."""
    parts = mixed.images[2].split(b"\xff\xc0", 1)  # a comment in front of the frame holds the magic word
    length = 4 + (-(len(parts[0]) + 4 + 28)) % 4
    comment = b"\xff\xfe" + (length + 2).to_bytes(2, "big") + bytes(length - 4) + MAGIC_BYTES
    mixed.images[2] = parts[0] + comment + b"\xff\xc0" + parts[1]
    path = tmp_path / "mixed.rec"
    with RecordWriter(path) as writer:
        for number, image in enumerate(mixed.images):
            writer.write(number, pack_image(float(number), image, image_id=number))
    return path


def test_records_of_local_files_are_read_together(mixed, record_file, decoder) -> None:
    source = open_source(str(record_file))
    assert source.read_together(np.arange(13), ReusedMemory()).count(None) == 1
    options = {"augmentation": AUGMENTATIONS["crop"], "seed": 4, "cache_bytes": 0}
    asked = [request for number in range(3) for request in requests(13, 4, number)]
    one_by_one = collect(make(mixed, decoder, **options), asked)
    together = collect(make(source, decoder, **options), asked)
    for first, second in zip(one_by_one, together, strict=True):
        np.testing.assert_array_equal(first.indices, second.indices)
        assert torch.equal(first.labels, second.labels)
        assert torch.equal(first.images, second.images)


def test_part_of_a_record_file_is_read_together(mixed, record_file, decoder) -> None:
    part = Subset(open_source(str(record_file)), np.array([12, 2, 9, 0, 3]))
    [batch] = collect(make(part, decoder, cache_bytes=0), [(np.arange(5)[::-1], np.zeros(5, np.int64))])
    assert batch.labels[:, 0].tolist() == [3, 0, 9, 2, 12]
    for image, index in zip(pixels(batch), [3, 0, 9, 2, 12], strict=True):
        assert np.abs(image - preprocess(mixed.images[index], PREPROCESSING)).mean() < 2.0


def test_a_broken_record_ends_the_run(record_file, decoder) -> None:
    source = open_source(str(record_file))
    with record_file.open("r+b") as stream:
        stream.seek(int(source._offsets[7]))
        stream.write(b"junk")
    with pytest.raises(DataError, match="wrong magic word"):
        collect(make(source, decoder, cache_bytes=0), requests(13, 13))


def test_local_records_need_no_reading_threads(mixed, record_file, decoder) -> None:
    started = []
    for source in (mixed, open_source(str(record_file))):
        before = threading.active_count()
        with make(source, decoder, threads=6, cache_bytes=0) as loader:
            iteration = loader.batches(requests(13, 5))
            next(iteration)
            started.append(threading.active_count() - before)
    assert started == [6 + LANES + 6, 6 + LANES]


class Slow(DeviceLibjpegDecoder):
    """Decodes for several threads at the same time, the first batch last."""

    def __init__(self) -> None:
        super().__init__()
        self.at_once = threading.Barrier(2)

    def decode(self, images, channels):
        if len(images) > 1:
            self.at_once.wait(timeout=20)
        if len(images) == 4:
            time.sleep(0.2)
        return super().decode(images, channels)


def test_batches_are_made_at_the_same_time_and_come_in_order(memory_source, jpeg, photo) -> None:
    source = memory_source([jpeg(photo(number, 70, 90 + number)) for number in range(10)])
    parts = [np.arange(4), np.arange(4, 7), np.arange(7, 10), np.array([1, 5])]
    batches = collect(make(source, Slow(), cache_bytes=0), [(part, np.zeros(len(part), np.int64)) for part in parts])
    for batch, part in zip(batches, parts, strict=True):
        np.testing.assert_array_equal(batch.indices, part)
        for image, index in zip(pixels(batch), part.tolist(), strict=True):
            assert np.abs(image - preprocess(source.images[index], PREPROCESSING)).mean() < 2.0


def test_memory_on_the_cpu_is_taken_only_for_rows_of_the_cpu(
    memory_source, jpeg, png, photo, decoder, monkeypatch
) -> None:
    source = memory_source([jpeg(photo(number, 70, 90)) for number in range(4)] + [png(photo(4, 70, 90)), b"x"])
    delivered = []
    deliver = Loader._deliver
    monkeypatch.setattr(Loader, "_deliver", lambda self, pending: delivered.append(pending) or deliver(self, pending))
    asked = [(np.array(rows), np.zeros(len(rows), np.int64)) for rows in ([0, 1, 5], [2, 4])]
    assert [len(batch.indices) for batch in collect(make(source, decoder, cache_bytes=0), asked)] == [2, 2]
    assert [pending._pixels is not None for pending in delivered] == [False, True]


def test_a_lane_is_free_again_after_an_error(mixed) -> None:
    class Failing(DeviceLibjpegDecoder):
        def decode(self, images, channels):
            if len(images) > 1:
                raise RuntimeError("CUDA error: the device is gone")
            return super().decode(images, channels)

    loader = make(mixed, Failing())
    for _ in range(LANES + 1):
        with pytest.raises(RuntimeError, match="the device is gone"):
            next(loader.batches(requests(13, 13)))
    assert loader._hardware is not None
    assert loader._hardware._free.qsize() == LANES


def test_no_free_lane_is_no_endless_wait(mixed, decoder) -> None:
    hardware = open_hardware("hardware", DEVICE, 2, decoder)
    assert hardware is not None
    with ExitStack() as taken:
        for _ in range(LANES):
            taken.enter_context(hardware.lane(1.0))
        with pytest.raises(RuntimeError, match=r"busy with other batches for 0\.01 s"):
            taken.enter_context(hardware.lane(0.01))
    assert hardware._free.qsize() == LANES


def test_closing_does_not_decode_what_is_left(memory_source, png, photo, decoder) -> None:
    class Counting(type(memory_source([]))):
        reads = 0

        def __getitem__(self, index: int) -> Sample:
            self.reads += 1
            time.sleep(0.01)
            return super().__getitem__(index)

    source = Counting([png(photo(0, 70, 90))] * 400)
    loader = make(source, decoder, cache_bytes=0, threads=1)
    iteration = loader.batches([(np.arange(1), np.zeros(1, np.int64)), *requests(400, 100)])
    next(iteration)
    start = time.monotonic()
    loader.close()
    assert time.monotonic() - start < 1.0
    assert source.reads < 50
