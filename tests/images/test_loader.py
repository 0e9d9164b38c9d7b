import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from imclass.data import RecordWriter, open_source, pack_image
from imclass.errors import DataError
from imclass.images import AUGMENTATIONS, Augmentation, BadImages, Batch, Loader, Preprocessing, augment, preprocess
from imclass.images.draws import draw

CPU = torch.device("cpu")
PREPROCESSING = Preprocessing((3, 32, 40), 36)


def requests(samples: int, batch_size: int, number: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    order = np.random.default_rng(number).permutation(samples)
    parts = [order[start : start + batch_size] for start in range(0, samples, batch_size)]
    return [(part, np.full(len(part), number)) for part in parts]


def collect(loader: Loader, asked: list[tuple[np.ndarray, np.ndarray]]) -> list[Batch]:
    with loader:
        return list(loader.batches(asked))


def pixels(batches: list[Batch]) -> np.ndarray:
    return np.concatenate([batch.images.permute(0, 2, 3, 1).numpy() for batch in batches])


@pytest.fixture
def photos(memory_source, jpeg, png, smooth):
    """23 images of many sizes, JPEG and PNG."""
    sizes = [(30 + 7 * number, 90 - 2 * number) for number in range(23)]
    encode = [jpeg, png]
    return memory_source([encode[i % 2](smooth(i, *size)) for i, size in enumerate(sizes)], "photos")


@pytest.fixture
def tiny(memory_source, jpeg, png, smooth):
    """60 images of 32x32."""
    return memory_source([(jpeg if i % 3 else png)(smooth(i, 32, 32)) for i in range(60)], "tiny")


def make(source, preprocessing=PREPROCESSING, **options) -> Loader:
    values = {"threads": 2, "device": CPU, "bad_images": BadImages(1.0), **options}
    return Loader(source, preprocessing, **values)


def test_validation_batches_are_preprocess(photos) -> None:
    asked = requests(23, 8)
    batches = collect(make(photos), asked)
    assert [batch.planned for batch in batches] == [8, 8, 7]
    for batch, (indices, _) in zip(batches, asked, strict=True):
        assert batch.images.shape == (len(indices), 3, 32, 40)
        assert batch.images.dtype == torch.uint8
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.labels.dtype == torch.float32
        assert batch.labels[:, 0].tolist() == indices.tolist()
        np.testing.assert_array_equal(batch.indices, indices)
    for index, image in zip(np.concatenate([indices for indices, _ in asked]), pixels(batches), strict=True):
        np.testing.assert_array_equal(image, preprocess(photos.images[index], PREPROCESSING))


def test_training_batches_are_augment_with_the_row_of_sample_and_pass(photos) -> None:
    augmentation = AUGMENTATIONS["crop_color_transform"]
    indices, passes = np.array([5, 5, 20, 0]), np.array([0, 1, 1, 2])
    [batch] = collect(make(photos, augmentation=augmentation, seed=9), [(indices, passes)])
    for place, (index, number) in enumerate(zip(indices, passes, strict=True)):
        row = draw(9, int(number), int(index), int(index) + 1)[0]
        expected = augment(photos.images[index], PREPROCESSING, augmentation, row)
        np.testing.assert_array_equal(batch.images[place].permute(1, 2, 0).numpy(), expected)


def test_batches_of_records_are_preprocess_whatever_was_in_memory_before(tmp_path, photos) -> None:
    path = tmp_path / "photos.rec"
    with RecordWriter(path) as writer:
        for number, image in enumerate(photos.images):
            writer.write(number, pack_image(number, image, image_id=number))
    asked = [request for number in range(3) for request in requests(23, 6, number)]
    batches = collect(make(open_source(path), threads=3), asked)
    for index, image in zip(np.concatenate([indices for indices, _ in asked]), pixels(batches), strict=True):
        np.testing.assert_array_equal(image, preprocess(photos.images[index], PREPROCESSING))


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_any_number_of_threads_gives_the_same(photos, threads: int) -> None:
    augmentation = AUGMENTATIONS["crop_color_transform"]
    asked = [request for number in range(3) for request in requests(23, 5, number)]
    one = collect(make(photos, augmentation=augmentation, threads=1, seed=4), asked)
    many = collect(make(photos, augmentation=augmentation, threads=threads, seed=4), asked)
    np.testing.assert_array_equal(pixels(many), pixels(one))
    other_seed = collect(make(photos, augmentation=augmentation, threads=threads, seed=5), asked)
    assert not np.array_equal(pixels(other_seed), pixels(one))


def test_grey(photos) -> None:
    [batch] = collect(make(photos, Preprocessing((1, 32, 40), 36)), requests(23, 23))
    assert batch.images.shape == (23, 1, 32, 40)


SMALL_CASES = {
    "centre": (Preprocessing((3, 32, 32)), None),
    "centre of a larger image": (Preprocessing((3, 28, 24)), None),
    "crop": (Preprocessing((3, 28, 28)), AUGMENTATIONS["crop"]),
    "pad and crop": (Preprocessing((3, 32, 32), fill_value=0), replace(AUGMENTATIONS["crop"], pad_size=4)),
    "pad, crop, grey": (Preprocessing((1, 30, 32)), replace(AUGMENTATIONS["crop"], pad_size=2)),
    "pad without random crop": (Preprocessing((3, 32, 32)), Augmentation(random_mirror=True, pad_size=3)),
    "colour": (Preprocessing((3, 28, 28)), replace(AUGMENTATIONS["crop_color"], pad_size=2)),
    "transform": (Preprocessing((3, 28, 28)), replace(AUGMENTATIONS["crop_color_transform"], pad_size=2)),
    "resize": (Preprocessing((3, 28, 28), 40), AUGMENTATIONS["crop"]),
    "shrink by more than half": (Preprocessing((3, 12, 12), 14), None),
    "same size by stretch": (Preprocessing((3, 32, 32), 32, "stretch"), AUGMENTATIONS["crop"]),
    "enlarge": (Preprocessing((3, 48, 40)), AUGMENTATIONS["crop"]),
}
NEED_NO_LOOP = {"centre", "centre of a larger image", "crop", "same size by stretch"}


@pytest.mark.parametrize("case", list(SMALL_CASES))
def test_images_kept_decoded_give_the_same_batches(tiny, case: str) -> None:
    preprocessing, augmentation = SMALL_CASES[case]
    asked = [request for number in range(2) for request in requests(60, 16, number)]
    kept = make(tiny, preprocessing, augmentation=augmentation)
    read = make(tiny, preprocessing, augmentation=augmentation, cache_bytes=0)
    np.testing.assert_array_equal(pixels(collect(kept, asked)), pixels(collect(read, asked)))
    assert kept.enlarged == read.enlarged == (60 if case == "enlarge" else 0)
    assert kept._decoded is not None
    assert read._decoded is None
    is_vectorised = case in NEED_NO_LOOP or case.startswith("pad")
    assert (kept._plain_layout is not None) == is_vectorised


def test_small_images_are_read_once(tiny) -> None:
    loader = make(tiny, Preprocessing((3, 32, 32)))
    first = collect(loader, requests(60, 20))
    tiny.images = [None] * 60
    np.testing.assert_array_equal(pixels(collect(loader, requests(60, 20))), pixels(first))


@pytest.mark.parametrize("why", ["too large together", "another size", "too many pixels"])
def test_what_is_not_kept_decoded(tiny, memory_source, jpeg, smooth, why: str) -> None:
    cache_bytes = 60 * 32 * 32 * 3 - 1 if why == "too large together" else 1 << 30
    images = list(tiny.images)
    if why == "another size":
        images[-1] = jpeg(smooth(1, 33, 32))
    elif why == "too many pixels":
        images = [jpeg(smooth(1, 64, 65))]
    loader = make(memory_source(images), Preprocessing((3, 32, 32)), cache_bytes=cache_bytes)
    batches = collect(loader, requests(len(images), 20))
    assert loader._decoded is None
    expected = [
        preprocess(images[i], loader.preprocessing) for i in np.concatenate([batch.indices for batch in batches])
    ]
    np.testing.assert_array_equal(pixels(batches), np.stack(expected))


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("name", ["none", "crop", "crop_color"])
def test_unreadable_images_are_left_out_and_recorded(tiny, kept: bool, name: str) -> None:
    tiny.images[0] = b"GIF89a"
    tiny.images[7] = tiny.images[7][:-30]
    tiny.images[8] = None
    bad = BadImages(0.1)
    options = {"augmentation": AUGMENTATIONS[name], "bad_images": bad, "cache_bytes": (1 << 30) * kept}
    loader = make(tiny, Preprocessing((3, 28, 28)), **options)
    in_order = [(np.arange(start, start + 4), np.zeros(4, np.int64)) for start in (4, 8, 0)]
    batches = collect(loader, in_order * 2)
    assert [batch.indices.tolist() for batch in batches[:3]] == [[4, 5, 6], [9, 10, 11], [1, 2, 3]]
    assert {batch.planned for batch in batches} == {4}
    for batch in batches:
        assert batch.labels[:, 0].tolist() == batch.indices.tolist()
        assert batch.images.shape == (3, 3, 28, 28)
    assert [(entry.source, entry.key) for entry in bad.entries] == [("tiny", f"image-{i}") for i in (7, 8, 0)]
    assert "a GIF" in bad.entries[2].reason


def test_a_batch_may_end_up_empty(memory_source) -> None:
    [batch] = collect(make(memory_source([b"", b"GIF89a"])), requests(2, 2))
    assert batch.images.shape == (0, 3, 32, 40)
    assert batch.labels.shape == (0, 1)
    assert (len(batch.indices), batch.planned) == (0, 2)


@pytest.mark.parametrize("kept", [True, False])
def test_too_many_bad_images_end_the_run(tiny, kept: bool) -> None:
    tiny.images[10] = tiny.images[20] = b""
    loader = make(tiny, Preprocessing((3, 32, 32)), bad_images=BadImages(0.02), cache_bytes=(1 << 30) * kept)
    before = threading.active_count()
    in_order = [(np.arange(start, start + 10), np.zeros(10, np.int64)) for start in range(0, 60, 10)]
    with loader:
        iteration = loader.batches(in_order)
        seen = [len(next(iteration).indices), len(next(iteration).indices)]
        with pytest.raises(DataError, match="2 images of 60 cannot be read"):
            next(iteration)
    assert seen == [10, 9]
    assert threading.active_count() == before


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("problem", [DataError("the container is broken"), ZeroDivisionError("our own mistake")])
def test_other_errors_reach_the_consumer(tiny, memory_source, kept: bool, problem: Exception) -> None:
    class Broken(memory_source):
        def __getitem__(self, index: int):
            if index == 33:
                raise problem
            return super().__getitem__(index)

    loader = make(Broken(tiny.images), Preprocessing((3, 32, 32)), cache_bytes=(1 << 30) * kept)
    with pytest.raises(type(problem), match=str(problem)), loader:
        list(loader.batches(requests(60, 10)))


def test_leaving_early_leaves_no_threads(photos) -> None:
    before = threading.active_count()
    loader = make(photos, augmentation=AUGMENTATIONS["crop"], threads=4)
    for batch in loader.batches(requests(23, 2)):
        assert len(batch.indices) == 2
        break
    assert threading.active_count() == before

    def interrupted() -> None:
        for _ in loader.batches(requests(23, 2)):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert threading.active_count() == before

    iteration = loader.batches(requests(23, 2))
    next(iteration)
    assert threading.active_count() == before + 4
    loader.close()
    assert threading.active_count() == before
    assert list(iteration) == []


def test_only_a_few_batches_are_decoded_ahead(memory_source, photos) -> None:
    asked: list[int] = []

    def endless():
        number = 0
        while True:
            asked.append(number)
            yield np.array([number % 23]), np.array([number // 23])
            number += 1

    with make(photos) as loader:
        iteration = loader.batches(endless())
        for step in range(10):
            assert next(iteration).indices.tolist() == [step]
            assert len(asked) <= step + 4


def test_a_read_that_never_returns_ends_the_run(memory_source, tiny) -> None:
    release = threading.Event()

    class Lost(memory_source):
        def __getitem__(self, index: int):
            release.wait(20)
            return super().__getitem__(index)

    loader = make(Lost(tiny.images), cache_bytes=0, stall_seconds=0.1)
    with pytest.raises(RuntimeError, match="storage"), loader:
        next(loader.batches(requests(60, 10)))
    release.set()


def test_enlarged_counts_each_sample_once(memory_source, png, smooth) -> None:
    source = memory_source([png(smooth(i, *size)) for i, size in enumerate([(20, 50), (70, 70), (50, 39), (32, 40)])])
    loader = make(source, Preprocessing((3, 32, 40)))
    collect(loader, requests(4, 3) + requests(4, 3, 1))
    assert loader.enlarged == 2


def test_no_requests(tiny) -> None:
    assert collect(make(tiny), []) == []


@pytest.mark.parametrize("cache_bytes", [0, 1 << 30])
def test_a_request_for_nothing_gives_an_empty_batch(tiny, cache_bytes: int) -> None:
    nothing = np.zeros(0, np.int64)
    loader = make(tiny, Preprocessing((3, 28, 28)), augmentation=AUGMENTATIONS["crop"], cache_bytes=cache_bytes)
    [batch] = collect(loader, [(nothing, nothing)])
    assert batch.images.shape == (0, 3, 28, 28)
    assert batch.planned == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["none", "crop", "crop_color_transform"])
@pytest.mark.parametrize("kept", [True, False])
def test_gpu_batches_are_the_cpu_batches(tiny, name: str, kept: bool) -> None:
    tiny.images[7] = b"GIF89a"
    options = {"augmentation": AUGMENTATIONS[name], "cache_bytes": (1 << 30) * kept}
    asked = [request for number in range(40) for request in requests(60, 16, number)]
    on_cpu = collect(make(tiny, Preprocessing((3, 28, 28)), **options), asked)
    device = torch.device("cuda", torch.cuda.current_device())
    busy = torch.ones(2000, 2000, device=device)
    results = []
    with make(tiny, Preprocessing((3, 28, 28)), device=device, **options) as loader:
        for batch in loader.batches(asked):
            busy = busy @ busy / 2000  # the consumer falls behind, so that a missing wait would show
            assert batch.images.device == batch.labels.device == device
            assert batch.images.is_contiguous(memory_format=torch.channels_last)
            results.append((batch.images + 0, batch.labels + 0))
    for (images, labels), expected in zip(results, on_cpu, strict=True):
        assert torch.equal(images.cpu(), expected.images)
        assert torch.equal(labels.cpu(), expected.labels)
