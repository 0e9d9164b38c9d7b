"""Batches of the loader with a hardware decoder: a stand-in on the CPU, and the real one where there is a GPU."""

import gc
import threading
import weakref
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from imclass.data.source import ArrivedSamples, Sample
from imclass.errors import DataError
from imclass.images import AUGMENTATIONS, BadImages, Batch, Loader, Preprocessing, augment, preprocess
from imclass.images.batch import Pending
from imclass.images.draws import draw
from imclass.images.gpu.decoder import suits_hardware
from imclass.images.gpu.share import DecodeShare
from imclass.images.header import read_header
from tests.images.gpu.conftest import (
    CPU,
    DEVICE,
    ON_CPU,
    PREPROCESSING,
    REFUSED,
    DeviceLibjpegDecoder,
    collect,
    helped,
    make,
    pixels,
    requests,
)

pytest.importorskip("triton")


def test_batches_are_those_of_the_cpu(mixed, decoder) -> None:
    asked = requests(13, 5)
    batches = collect(make(mixed, decoder), asked)
    assert [batch.planned for batch in batches] == [5, 5, 3]
    for batch, (indices, _) in zip(batches, asked, strict=True):
        assert batch.images.dtype == torch.uint8
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.labels[:, 0].tolist() == indices.tolist()
        np.testing.assert_array_equal(batch.indices, indices)
        for index, image in zip(indices, pixels(batch), strict=True):
            expected = preprocess(mixed.images[index], PREPROCESSING)
            assert np.abs(image - expected).mean() < 2.0
            if index in ON_CPU:
                np.testing.assert_array_equal(image, expected)
    assert sum(decoder.calls) == 1 + 13 - len(ON_CPU)  # one to try it out


def test_training_batches(mixed, decoder) -> None:
    augmentation = AUGMENTATIONS["crop_color_transform"]
    indices, passes = np.array([5, 5, 10, 1, 0]), np.array([0, 1, 1, 1, 2])
    loader = make(mixed, decoder, augmentation=augmentation, seed=9)
    [batch] = collect(loader, [(indices, passes)])
    for image, index, number in zip(pixels(batch), indices.tolist(), passes.tolist(), strict=True):
        row = draw(9, number, index, index + 1)[0]
        assert np.abs(image - augment(mixed.images[index], PREPROCESSING, augmentation, row)).mean() < 2.0


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads_gives_the_same(mixed, threads: int) -> None:
    asked = requests(13, 4)
    options = {"augmentation": AUGMENTATIONS["crop"], "seed": 4}
    one = collect(make(mixed, DeviceLibjpegDecoder(), threads=2, **options), asked)
    many = collect(make(mixed, DeviceLibjpegDecoder(), threads=threads, **options), asked)
    for first, second in zip(one, many, strict=True):
        assert torch.equal(first.images, second.images)


def test_threads_take_a_share_when_batches_are_waited_for(mixed, decoder, monkeypatch) -> None:
    monkeypatch.setattr(DecodeShare, "portion", 0.4)
    asked = [request for number in range(2) for request in requests(13, 13, number)]
    batches = collect(helped(mixed, decoder, threads=2), asked)
    first_rows = [indices[:8] for indices, _ in asked]  # the last 5 of a batch are the threads'
    assert sum(decoder.calls) == 1 + sum(index not in ON_CPU for indices in first_rows for index in indices)
    for batch, (indices, passes) in zip(batches, asked, strict=True):
        np.testing.assert_array_equal(batch.indices, indices)
        for place, (image, index) in enumerate(zip(pixels(batch), indices.tolist(), strict=True)):
            row = draw(0, int(passes[0]), index, index + 1)[0]
            expected = augment(mixed.images[index], PREPROCESSING, AUGMENTATIONS["crop"], row)
            assert np.abs(image - expected).mean() < (2.0 if place < 8 else 1e-9)


def test_unreadable_images_of_the_threads_cost_only_themselves(mixed, decoder, monkeypatch) -> None:
    monkeypatch.setattr(DecodeShare, "portion", 0.4)
    whole = mixed.images[9]
    mixed.images[9] = whole[: len(whole) // 2]  # cut off
    mixed.images[11] = b"GIF89a"
    mixed.images[12] = None  # missing
    [batch] = collect(helped(mixed, decoder, threads=2), [(np.arange(13), np.zeros(13, np.int64))])
    assert batch.planned == 13
    assert batch.indices.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]
    assert batch.labels[:, 0].tolist() == batch.indices.tolist()


def test_speeds_and_waiting_are_measured(mixed, decoder) -> None:
    loader = helped(mixed, decoder, threads=2)
    batches = collect(loader, requests(13, 7))
    assert [len(batch.indices) for batch in batches] == [7, 6]
    hardware = loader._hardware
    assert hardware is not None
    assert hardware.share._hardware_seconds is not None
    assert hardware.share._hardware_seconds > 0
    assert hardware.share._need > 0


def test_unreadable_images_cost_only_themselves(mixed, decoder) -> None:
    whole = mixed.images[0]
    mixed.images[0] = whole[: len(whole) // 2]  # cut off
    mixed.images[2] = b"GIF89a"
    mixed.images[5] = None  # missing
    on_cpu = BadImages(1.0)
    collect(make(mixed, None, decoder="cpu", device=CPU, bad_images=on_cpu), requests(13, 13))
    bad_images = BadImages(1.0)
    [batch] = collect(make(mixed, decoder, bad_images=bad_images), requests(13, 13))
    assert batch.planned == 13
    assert set(batch.indices.tolist()) == set(range(13)) - {0, 2, 5}
    assert batch.labels[:, 0].tolist() == batch.indices.tolist()
    for index, image in zip(batch.indices, pixels(batch), strict=True):
        assert np.abs(image - preprocess(mixed.images[index], PREPROCESSING)).mean() < 2.0
    assert bad_images.entries == on_cpu.entries


def test_what_the_decoder_refuses_the_cpu_decodes(mixed, decoder) -> None:
    image = mixed.images[7]
    mixed.images[7] = image[:2] + b"\xff\xfe" + (2 + len(REFUSED)).to_bytes(2, "big") + REFUSED + image[2:]
    assert suits_hardware(mixed.images[7], read_header(mixed.images[7]))
    [batch] = collect(make(mixed, decoder), [(np.arange(13), np.zeros(13, np.int64))])
    np.testing.assert_array_equal(pixels(batch)[7], preprocess(image, PREPROCESSING))


def test_a_decoder_that_gives_another_size_is_not_believed(mixed) -> None:
    class Shrinking(DeviceLibjpegDecoder):
        def decode(self, images, channels):
            decoded = super().decode(images, channels)
            return decoded if len(images) == 1 else [image[:, :-1] for image in decoded]

    [batch] = collect(make(mixed, Shrinking()), [(np.arange(13), np.zeros(13, np.int64))])
    for image, data in zip(pixels(batch), mixed.images, strict=True):
        np.testing.assert_array_equal(image, preprocess(data, PREPROCESSING))


def test_all_images_may_be_unreadable(memory_source, decoder) -> None:
    [batch] = collect(make(memory_source([b"x", b"y"]), decoder), requests(2, 2))
    assert batch.images.shape == (0, 3, 16, 20)
    assert batch.planned == 2


def test_a_request_for_nothing_gives_an_empty_batch(mixed, decoder) -> None:
    nothing = np.zeros(0, np.int64)
    [batch] = collect(make(mixed, decoder), [(nothing, nothing)])
    assert batch.images.shape == (0, 3, 16, 20)


def test_small_images_that_are_kept_decoded_need_no_decoder(memory_source, jpeg, photo, decoder) -> None:
    tiny = memory_source([jpeg(photo(number, 32, 32)) for number in range(4)])
    batches = collect(make(tiny, decoder), requests(4, 2))
    assert len(batches) == 2
    assert decoder.calls == []


def test_enlarged_images_are_counted(memory_source, jpeg, photo, decoder) -> None:
    source = memory_source([jpeg(photo(0, 14, 300)), jpeg(photo(1, 70, 70)), jpeg(photo(2, 12, 12))])
    loader = Loader(
        source,
        Preprocessing((3, 16, 20)),
        device=DEVICE,
        bad_images=BadImages(1.0),
        decoder="hardware",
        hardware_decoder=decoder,
    )
    collect(loader, requests(3, 3))
    assert loader.enlarged == 2
    assert sum(decoder.calls) == 1 + 2


def test_images_that_are_all_turned_and_then_enlarged_are_the_cpus(mixed, decoder) -> None:
    preprocessing, augmentation = Preprocessing((3, 128, 160)), AUGMENTATIONS["crop_color_transform"]
    indices, passes = np.array([0, 2, 5, 10]), np.zeros(4, np.int64)
    loader = make(mixed, decoder, preprocessing=preprocessing, augmentation=augmentation)
    [batch] = collect(loader, [(indices, passes)])
    for image, index in zip(pixels(batch), indices.tolist(), strict=True):
        row = draw(0, 0, index, index + 1)[0]
        np.testing.assert_array_equal(image, augment(mixed.images[index], preprocessing, augmentation, row))
    assert decoder.calls == [1]  # to try it out


def test_samples_of_a_pipe(mixed, decoder) -> None:
    samples = tuple(Sample(f"part:{n}", image, np.array([n], np.float32)) for n, image in enumerate(mixed.images))
    arrived = ArrivedSamples("part", np.arange(13), np.zeros(13, np.int64), samples, lambda sample: sample.key)
    [batch] = collect(make(mixed, decoder), [arrived])
    for image, data in zip(pixels(batch), mixed.images, strict=True):
        assert np.abs(image - preprocess(data, PREPROCESSING)).mean() < 2.0


@pytest.mark.parametrize("problem", [DataError("gap"), OSError("disk")])
def test_other_errors_reach_the_consumer(mixed, decoder, problem: Exception) -> None:
    class Broken(type(mixed)):
        def __getitem__(self, index: int) -> Sample:
            if index == 9:
                raise problem
            return super().__getitem__(index)

    with pytest.raises(type(problem), match=str(problem)):
        collect(make(Broken(mixed.images), decoder, cache_bytes=0), requests(13, 4))


def test_errors_of_the_decoder_reach_the_consumer(mixed) -> None:
    class Failing(DeviceLibjpegDecoder):
        def decode(self, images, channels):
            if len(images) > 1:
                raise RuntimeError("CUDA error: the device is gone")
            return super().decode(images, channels)

    with pytest.raises(RuntimeError, match="the device is gone"):
        collect(make(mixed, Failing()), requests(13, 13))


def test_leaving_early_leaves_no_threads(mixed, decoder) -> None:
    before = threading.active_count()
    loader = make(mixed, decoder)
    iteration = loader.batches(request for number in range(99) for request in requests(13, 5, number))
    next(iteration)
    assert threading.active_count() > before
    loader.close()
    assert threading.active_count() == before


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    """What is in a circle of references stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("choice", ["cpu", "hardware"])
@pytest.mark.parametrize("unreadable", [0, 4])
def test_a_batch_is_freed_when_nobody_reads_it_any_more(
    mixed, png, photo, decoder, monkeypatch, choice: str, unreadable: int
) -> None:
    damaged = [b"", None, png(photo(9, 70, 80))[:2000], mixed.images[11][:-9] + REFUSED]
    mixed.images[9 : 9 + unreadable] = damaged[:unreadable]
    delivered = []
    deliver = Loader._deliver

    def noted(loader: Loader, pending: Pending) -> Batch:
        delivered.extend(weakref.ref(each) for each in (pending, pending.on_device) if each is not None)
        return deliver(loader, pending)

    monkeypatch.setattr(Loader, "_deliver", noted)
    batches = collect(make(mixed, decoder, decoder=choice, augmentation=AUGMENTATIONS["crop"]), requests(13, 5))
    assert sum(len(batch.indices) for batch in batches) == 13 - unreadable
    del batches
    assert len(delivered) == (6 if choice == "hardware" else 3)
    assert [each() for each in delivered if each() is not None] == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["none", "crop", "crop_color_transform"])
def test_the_gpus_own_decoder_gives_the_cpus_batches(memory_source, jpeg, photo, name: str) -> None:
    pytest.importorskip("torchvision")
    data = [jpeg(photo(number, 200 + 7 * number, 300 - 5 * number)) for number in range(24)]
    options = {"augmentation": AUGMENTATIONS[name], "preprocessing": Preprocessing((3, 96, 96), 112)}
    asked = requests(24, 8)
    source = memory_source(data)
    common = {"bad_images": BadImages(1.0), **options}
    on_cpu = collect(Loader(source, device=CPU, **common), asked)
    on_gpu = collect(Loader(source, device=DEVICE, decoder="hardware", **common), asked)
    for first, second in zip(on_cpu, on_gpu, strict=True):
        assert np.abs(pixels(first) - pixels(second)).mean() < 2.0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_thousand_batches_leak_nothing(memory_source, jpeg, photo) -> None:
    pytest.importorskip("torchvision")
    source = memory_source([jpeg(photo(number, 150 + 9 * number, 260 - 7 * number)) for number in range(16)])
    held = []
    loader = make(source, None, decoder="auto", augmentation=replace(AUGMENTATIONS["crop"]))
    with loader:
        asked = (request for number in range(1000) for request in requests(16, 16, number))
        for number, _ in enumerate(loader.batches(asked)):
            if number in (200, 999):
                torch.cuda.synchronize()
                held.append(torch.cuda.memory_reserved())
    assert held[1] <= held[0] * 1.05
