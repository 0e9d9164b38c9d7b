"""Batches of a decoded set on a device. A CPU plays the device here: the arithmetic is the same."""

import logging
import threading

import numpy as np
import pytest
import torch

from imclass.errors import DataError
from imclass.images import AUGMENTATIONS, BadImages, Preprocessing, device_set
from imclass.images.decoded_set import DecodedSet
from imclass.images.device_set import BATCHES_TOGETHER, DeviceSet, as_table, put_on_device
from imclass.images.plan import Cuts
from tests.images.test_loader import CPU, NEED_NO_LOOP, SMALL_CASES, collect, make, pixels, requests

GPU = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
    ],
)
FREE = 1 << 30


@pytest.fixture(params=["cpu", GPU])
def device(request, monkeypatch) -> torch.device:
    """A device that keeps decoded sets."""
    if request.param == "cpu":
        monkeypatch.setattr(device_set, "free_bytes", lambda device: FREE)
        return CPU
    return torch.device("cuda", torch.cuda.current_device())


@pytest.fixture
def tiny(memory_source, jpeg, png, smooth):
    """60 images of 32x32."""
    return memory_source([(jpeg if i % 3 else png)(smooth(i, 32, 32)) for i in range(60)], "tiny")


def random_set(samples: int, height: int, width: int, channels: int) -> DecodedSet:
    generator = np.random.default_rng(samples)
    return DecodedSet(generator.integers(0, 256, (samples, height, width, channels), dtype=np.uint8), 0, {})


@pytest.mark.parametrize("case", [case for case in SMALL_CASES if case in NEED_NO_LOOP or case.startswith("pad")])
def test_batches_are_those_of_the_host(tiny, device: torch.device, case: str) -> None:
    preprocessing, augmentation = SMALL_CASES[case]
    asked = [request for number in range(BATCHES_TOGETHER) for request in requests(60, 16, number)]
    on_device = make(tiny, preprocessing, augmentation=augmentation, device=device, seed=3)
    batches = collect(on_device, asked)
    expected = collect(make(tiny, preprocessing, augmentation=augmentation, cache_bytes=0, seed=3), asked)
    assert on_device._device_set is not None
    assert len(batches) == len(asked) > BATCHES_TOGETHER
    for batch, other in zip(batches, expected, strict=True):
        assert batch.images.device == batch.labels.device == device
        assert batch.images.dtype == torch.uint8
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(batch.images.cpu(), other.images)
        assert torch.equal(batch.labels.cpu(), other.labels)
        np.testing.assert_array_equal(batch.indices, other.indices)
        assert batch.planned == other.planned


@pytest.mark.parametrize("case", ["colour", "transform", "resize", "enlarge"])
def test_what_needs_more_than_cuts_is_made_on_the_host(tiny, device: torch.device, case: str) -> None:
    preprocessing, augmentation = SMALL_CASES[case]
    loader = make(tiny, preprocessing, augmentation=augmentation, device=device)
    on_device = collect(loader, requests(60, 16))
    assert loader._device_set is None
    on_host = collect(make(tiny, preprocessing, augmentation=augmentation, cache_bytes=0), requests(60, 16))
    for batch, other in zip(on_device, on_host, strict=True):
        assert torch.equal(batch.images.cpu(), other.images)


@pytest.mark.parametrize(("height", "width", "channels"), [(9, 12, 3), (12, 9, 1), (1, 1, 3), (9, 9, 3)])
def test_cuts_reach_every_edge(height: int, width: int, channels: int) -> None:
    decoded = random_set(5, 12, 13, channels)
    corners = [(0, 0), (12 - height, 0), (0, 13 - width), (12 - height, 13 - width), (1, 2)]
    mirror = np.array([True, False, True, False, True])
    corners[4] = min(1, 12 - height), min(2, 13 - width)
    cuts = Cuts(np.array([y for y, _ in corners]), np.array([x for _, x in corners]), mirror)
    indices = np.array([4, 0, 2, 2, 1])
    kept = DeviceSet(decoded, np.zeros((5, 1), np.float32), CPU)
    images, _ = kept.cut(torch.from_numpy(as_table(indices, cuts, width)), height, width)
    expected = np.empty((5, height, width, channels), np.uint8)
    decoded.cut(indices, cuts, expected)
    np.testing.assert_array_equal(images.permute(0, 2, 3, 1).numpy(), expected)


def test_a_plan_of_many_batches_is_that_of_each(tiny) -> None:
    """Samples of several passes, in one plan and one by one."""
    decoded, labels = random_set(60, 40, 40, 3), np.arange(120, dtype=np.float32).reshape(60, 2)
    kept = DeviceSet(decoded, labels, CPU)
    planner = make(tiny, Preprocessing((3, 32, 32)), augmentation=SMALL_CASES["pad and crop"][1], seed=8)
    collect(planner, requests(60, 60))
    asked = [request for number in range(4) for request in requests(60, 7, number)]
    plan = (planner._plain_layout, planner.augmentation, planner._draws)
    together = list(kept.batches(asked, *plan))
    alone = [batch for request in asked for batch in kept.batches([request], *plan)]
    assert len(together) == len(alone) == len(asked)
    for batch, other, (indices, _) in zip(together, alone, asked, strict=True):
        assert torch.equal(batch.images, other.images)
        np.testing.assert_array_equal(batch.labels.numpy(), labels[indices])
        assert batch.failures == {}


def test_unreadable_images_are_left_out_and_recorded(tiny, device: torch.device) -> None:
    tiny.images[0] = b"GIF89a"
    tiny.images[7] = tiny.images[7][:-30]
    tiny.images[8] = None
    bad = BadImages(0.1)
    loader = make(tiny, Preprocessing((3, 28, 28)), augmentation=AUGMENTATIONS["crop"], bad_images=bad, device=device)
    in_order = [(np.arange(start, start + 4), np.zeros(4, np.int64)) for start in (4, 8, 0)]
    batches = collect(loader, in_order * 2)
    assert loader._device_set is not None
    assert [batch.indices.tolist() for batch in batches[:3]] == [[4, 5, 6], [9, 10, 11], [1, 2, 3]]
    for batch in batches:
        assert batch.planned == 4
        assert batch.labels[:, 0].tolist() == batch.indices.tolist()
        assert batch.images.shape == (3, 3, 28, 28)
    assert [(entry.source, entry.key) for entry in bad.entries] == [("tiny", f"image-{i}") for i in (7, 8, 0)]


def test_too_many_bad_images_end_the_run(tiny, device: torch.device) -> None:
    tiny.images[10] = tiny.images[20] = b""
    in_order = [(np.arange(start, start + 10), np.zeros(10, np.int64)) for start in range(0, 60, 10)]
    with make(tiny, Preprocessing((3, 32, 32)), bad_images=BadImages(0.02), device=device) as loader:
        iteration = loader.batches(in_order)
        assert [len(next(iteration).indices), len(next(iteration).indices)] == [10, 9]
        with pytest.raises(DataError, match="2 images of 60 cannot be read"):
            next(iteration)


def test_an_empty_request_and_an_empty_batch(tiny, device: torch.device) -> None:
    tiny.images[3] = b""
    nothing = np.zeros(0, np.int64)
    loader = make(tiny, Preprocessing((3, 32, 32)), device=device)
    batches = collect(loader, [(nothing, nothing), (np.array([3]), np.array([0])), (np.array([4]), np.array([0]))])
    assert [(batch.planned, len(batch.images), len(batch.labels)) for batch in batches] == [
        (0, 0, 0),
        (1, 0, 0),
        (1, 1, 1),
    ]
    assert batches[1].images.shape == (0, 3, 32, 32)


def test_images_are_decoded_once_and_kept_once(tiny, device: torch.device) -> None:
    loader = make(tiny, Preprocessing((3, 32, 32)), device=device)
    first = collect(loader, requests(60, 20))
    tiny.images = [None] * 60
    before = threading.active_count()
    second = collect(loader, requests(60, 20))
    assert all(torch.equal(batch.images, other.images) for batch, other in zip(first, second, strict=True))
    assert threading.active_count() == before
    assert loader._decoded is None


@pytest.mark.parametrize("fits", [True, False])
def test_a_set_takes_a_quarter_of_free_memory_at_most(monkeypatch, caplog, fits: bool) -> None:
    wanted = 40 * (32 * 32 * 3 + 4)  # pixels and one label each
    monkeypatch.setattr(device_set, "free_bytes", lambda device: 4 * wanted - (not fits))
    with caplog.at_level(logging.INFO, logger="imclass"):
        kept = put_on_device(random_set(40, 32, 32, 3), np.zeros((40, 1), np.float32), CPU, "tiny")
    assert (kept is not None) == fits
    [line] = caplog.messages
    assert line.startswith("tiny: ")
    assert ("stay in the host's memory" in line) == (not fits)


def test_a_set_that_does_not_fit_is_cut_on_the_host(tiny, monkeypatch) -> None:
    monkeypatch.setattr(device_set, "free_bytes", lambda device: 60 * 3072)
    loader = make(tiny, Preprocessing((3, 32, 32)))
    batches = collect(loader, requests(60, 16))
    assert loader._device_set is None
    assert loader._decoded is not None
    np.testing.assert_array_equal(
        pixels(batches), pixels(collect(make(tiny, Preprocessing((3, 32, 32)), cache_bytes=0), requests(60, 16)))
    )


def test_a_cpu_keeps_no_second_copy(tiny) -> None:
    assert device_set.free_bytes(CPU) is None
    assert put_on_device(random_set(2, 8, 8, 3), np.zeros((2, 1), np.float32), CPU, "tiny") is None
