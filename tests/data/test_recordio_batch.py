import os
from pathlib import Path

import numpy as np
import pytest

from imclass.data import RecordWriter, Subset, open_source, pack_image
from imclass.data.recordio import MAGIC_BYTES
from imclass.data.recordio_source import RecordSource
from imclass.data.reused_memory import ReusedMemory
from imclass.data.together import together
from imclass.errors import DataError, ImageError

IMAGES = [bytes([number]) * (1 + 37 * number) for number in range(1, 8)]


def write(path: Path, images: list[bytes], label: float | list[float] = 1.0) -> Path:
    with RecordWriter(path) as writer:
        for number, image in enumerate(images):
            writer.write(number, pack_image(label, image, image_id=number))
    return path


def read(source, indices: list[int], memory: ReusedMemory | None = None) -> list[bytes | None]:
    reader = together(source)
    assert reader is not None
    images = reader(np.array(indices, np.int64), memory or ReusedMemory())
    return [None if image is None else bytes(image) for image in images]


@pytest.mark.parametrize("label", [3.0, [1.0, 0.0, 1.0]], ids=["label in the header", "labels behind it"])
def test_images_are_those_that_are_read_one_by_one(tmp_path, label) -> None:
    source = RecordSource(
        [write(tmp_path / "a.rec", IMAGES, label), write(tmp_path / "b.rec", IMAGES[::-1], label)], ""
    )
    indices = [13, 0, 7, 6, 6, 3]
    assert read(source, indices) == [source[index].image for index in indices]
    assert read(source, []) == []


def test_a_subset_reads_its_own_samples(tmp_path) -> None:
    source = open_source(str(write(tmp_path / "a.rec", IMAGES)))
    part = Subset(Subset(source, np.array([6, 4, 2, 0])), np.array([3, 1]))
    assert read(part, [1, 0]) == [IMAGES[4], IMAGES[0]]


def test_sources_of_other_kinds_are_read_one_by_one() -> None:
    class Other:
        name, class_names, labels = "other", None, np.zeros((1, 1), np.float32)

    assert together(Other()) is None  # type: ignore[arg-type]


def test_memory_is_used_again(tmp_path) -> None:
    source = open_source(str(write(tmp_path / "a.rec", IMAGES)))
    memory = ReusedMemory()
    most = source.read_together(np.arange(7), memory)
    again = source.read_together(np.array([2]), memory)
    assert most[0].obj is not None
    assert np.shares_memory(np.asarray(most[0]), memory.array((1 << 9,)))
    assert np.shares_memory(np.asarray(again[0]), memory.array((1 << 9,)))
    assert bytes(again[0]) == IMAGES[2]


def test_split_and_empty_records_are_left_to_be_read_by_themselves(tmp_path) -> None:
    split = b"1234" + MAGIC_BYTES + b"5678"
    source = open_source(str(write(tmp_path / "a.rec", [IMAGES[0], split, b"", IMAGES[1]])))
    assert read(source, [0, 1, 2, 3]) == [IMAGES[0], None, None, IMAGES[1]]
    assert source[1].image == split
    with pytest.raises(ImageError, match="no image bytes"):
        source[2]


@pytest.mark.parametrize("word", [0, 1, 2], ids=["magic", "length", "number of labels"])
def test_damage_costs_the_damaged_record_only(tmp_path, word: int) -> None:
    path = write(tmp_path / "a.rec", IMAGES)
    source = open_source(str(path))
    with path.open("r+b") as stream:
        stream.seek(int(source._offsets[2]) + 4 * word)
        stream.write((1 << 20).to_bytes(4, "little"))
    assert read(source, list(range(7))) == [*IMAGES[:2], None, *IMAGES[3:]]
    with pytest.raises(DataError):
        source[2]


def test_a_file_that_has_become_shorter_is_noticed(tmp_path) -> None:
    path = write(tmp_path / "a.rec", IMAGES)
    source = open_source(str(path))
    os.truncate(path, int(source._offsets[5]) + 9)
    memory = ReusedMemory()
    assert read(source, [6, 5, 4], memory) == [None, None, IMAGES[4]]
    # Nothing is allocated for what is not there.
    assert len(memory.array((0,)).base) <= 2 * int(source._stored_bytes[4])


@pytest.mark.parametrize("flag", ["RWF_NOWAIT", "posix_fadvise"])
def test_systems_that_cannot_say_what_is_in_memory(tmp_path, monkeypatch, flag: str) -> None:
    from imclass.data import recordio_batch

    source = open_source(str(write(tmp_path / "a.rec", IMAGES)))
    if flag == "RWF_NOWAIT":
        really = os.preadv
        refused: list[int] = []

        def without_flags(descriptor, buffers, offset, flags=0):
            if flags:
                refused.append(offset)
                raise OSError("not supported")
            return really(descriptor, buffers, offset)

        monkeypatch.setattr(recordio_batch, "_NOT_WAITING", 8)
        monkeypatch.setattr(os, "preadv", without_flags)
        assert read(source, [3, 1]) == [IMAGES[3], IMAGES[1]]
        assert len(refused) == 2
    else:
        monkeypatch.setattr(recordio_batch, "_CAN_ADVISE", False)
        assert read(source, [3, 1]) == [IMAGES[3], IMAGES[1]]


@pytest.mark.parametrize("index", [-1, 7])
def test_samples_that_do_not_exist_are_refused(tmp_path, index: int) -> None:
    source = open_source(str(write(tmp_path / "a.rec", IMAGES)))
    with pytest.raises(IndexError, match=f"sample {index} of 7"):
        read(source, [0, index])
