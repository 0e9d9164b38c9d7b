"""The predictor: the same probabilities whatever the form of the image, and clear answers to bad input."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import imclass
from imclass import artifact
from imclass.errors import ArtifactError, ImageError, UserError
from imclass.inference import Predictor

Pixels = Callable[..., np.ndarray]
WritePng = Callable[[Path, np.ndarray], Path]


@pytest.fixture
def predictor(save_model: Callable[..., Path]) -> Predictor:
    return Predictor.load(save_model(), device="cpu", threads=2)


def direct(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Softmax of the network on (N, H, W, C) uint8 pixels of its own size, computed without the predictor."""
    _, network = artifact.load(path)
    with torch.no_grad():
        logits = network(torch.from_numpy(pixels).permute(0, 3, 1, 2).float()).double().numpy()
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_probabilities_are_the_softmax_of_the_network(save_model: Callable[..., Path], pixels_of: Pixels) -> None:
    path = save_model()
    images = np.stack([pixels_of(seed) for seed in range(5)])
    answer = imclass.load(path, device="cpu").predict(list(images))
    assert answer.dtype == np.float32
    assert answer.shape == (5, 3)
    np.testing.assert_allclose(answer, direct(path, images), atol=1e-5)
    assert np.ptp(answer, axis=0).max() > 0.01  # the images do differ


def test_multi_label_probabilities_are_sigmoids(save_model: Callable[..., Path], pixels_of: Pixels) -> None:
    path = save_model(multi_label=True)
    pixels = pixels_of(0)
    _, network = artifact.load(path)
    with torch.no_grad():
        logits = network(torch.from_numpy(pixels).permute(2, 0, 1)[None].float()).numpy()
    answer = imclass.load(path).predict([pixels])
    np.testing.assert_allclose(answer, 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert abs(answer.sum() - 1) > 0.01


def test_path_bytes_and_array_of_an_image_give_the_same(
    predictor: Predictor, tmp_path: Path, write_png: WritePng, pixels_of: Pixels
) -> None:
    pixels = pixels_of(3, height=40, width=23)
    path = write_png(tmp_path / "a.png", pixels)
    answer = predictor.predict([path, str(path), path.read_bytes(), pixels])
    for row in answer[1:]:
        np.testing.assert_allclose(row, answer[0], atol=1e-6)


@pytest.mark.parametrize("resize_mode", ["crop", "pad", "stretch"])
def test_geometry_is_that_of_the_model_file(
    save_model: Callable[..., Path], pixels_of: Pixels, tmp_path: Path, write_png: WritePng, resize_mode: str
) -> None:
    from imclass.images import Preprocessing, preprocess

    pixels = pixels_of(4, height=50, width=30)
    data = write_png(tmp_path / "a.png", pixels).read_bytes()
    model = save_model(resize=20, resize_mode=resize_mode, fill_value=9)
    settings = Preprocessing((3, 16, 16), resize=20, resize_mode=resize_mode, fill_value=9)  # type: ignore[arg-type]
    expected = direct(model, preprocess(data, settings)[np.newaxis])
    answer = imclass.load(model).predict([data, pixels])
    np.testing.assert_allclose(answer, np.repeat(expected, 2, axis=0), atol=1e-5)


def test_grey_model_takes_colour_images(
    save_model: Callable[..., Path], tmp_path: Path, write_png: WritePng, pixels_of: Pixels
) -> None:
    predictor = imclass.load(save_model(image_shape=(1, 16, 16)))
    pixels = pixels_of(5)
    data = write_png(tmp_path / "a.png", pixels).read_bytes()
    from_bytes, from_array = predictor.predict([data, pixels])
    np.testing.assert_allclose(from_bytes, from_array, atol=0.02)  # decoders round grey levels on their own


def test_order_and_values_do_not_depend_on_batches(predictor: Predictor, pixels_of: Pixels) -> None:
    images = [pixels_of(seed) for seed in range(150)]
    together = predictor.predict(images)
    assert together.shape == (150, 3)
    np.testing.assert_allclose(
        together[[0, 70, 149]], predictor.predict([images[0], images[70], images[149]]), atol=1e-5
    )


def test_an_array_of_images_and_a_generator_are_lists_too(predictor: Predictor, pixels_of: Pixels) -> None:
    images = np.stack([pixels_of(seed) for seed in range(3)])
    np.testing.assert_allclose(predictor.predict(images), predictor.predict(image for image in images), atol=1e-6)


def test_no_images_give_no_rows(predictor: Predictor) -> None:
    assert predictor.predict([]).shape == (0, 3)
    assert predictor.probabilities(np.zeros((0, 3, 16, 16), np.float32)).shape == (0, 3)


def test_all_bad_images_are_named_together(
    predictor: Predictor, tmp_path: Path, write_png: WritePng, pixels_of: Pixels
) -> None:
    good = write_png(tmp_path / "good.png", pixels_of(0))
    text = tmp_path / "notes.jpg"
    text.write_text("no image")
    cut = good.read_bytes()[:40]
    wrong_type = np.zeros((16, 16, 3), np.float32)
    images = [good, text, cut, tmp_path / "none.png", wrong_type, 7, good]
    with pytest.raises(ImageError) as caught:
        predictor.predict(images)  # type: ignore[list-item]
    message = str(caught.value)
    assert message.startswith("5 of 7 images cannot be read")
    for name in (str(text), "images[2]", str(tmp_path / "none.png"), "images[4]", "images[5]"):
        assert name in message
    assert "No such file" in message
    assert "float32" in message
    assert str(good) not in message


def test_batches_go_on_where_images_are_bad(predictor: Predictor, pixels_of: Pixels) -> None:
    images: list[object] = [pixels_of(seed) for seed in range(100)]
    images[3] = b"bad"
    images[80] = b""
    batches = list(predictor.predict_batches(images))  # type: ignore[arg-type]
    read = np.concatenate([batch.indices for batch in batches])
    assert read.tolist() == [i for i in range(100) if i not in (3, 80)]
    assert [i for batch in batches for i, _ in batch.unreadable] == [3, 80]
    alone = predictor.predict([images[99]])  # type: ignore[list-item]
    np.testing.assert_allclose(batches[-1].probabilities[-1:], alone, atol=1e-5)


def test_a_batch_of_nothing_but_bad_images(predictor: Predictor) -> None:
    (batch,) = predictor.predict_batches([b"bad", b"worse"])
    assert batch.probabilities.shape == (0, 3)
    assert len(batch.unreadable) == 2


@pytest.mark.parametrize("one", ["a.png", Path("a.png"), b"\x89PNG", np.zeros((16, 16, 3), np.uint8)])
def test_one_image_is_not_a_list(predictor: Predictor, one: object) -> None:
    with pytest.raises(UserError, match=r"(?s)not a list.*predict\(\[image\]\)"):
        predictor.predict(one)  # type: ignore[arg-type]


def test_pixels_as_numpy_and_torch(predictor: Predictor, pixels_of: Pixels) -> None:
    images = np.stack([pixels_of(seed) for seed in range(70)])
    pixels = images.transpose(0, 3, 1, 2).astype(np.float32)
    expected = predictor.predict(images)
    np.testing.assert_allclose(predictor.probabilities(pixels), expected, atol=1e-5)
    np.testing.assert_allclose(predictor.probabilities(torch.from_numpy(pixels)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((1, 16, 16, 3), np.float32), "shape is (1, 16, 16, 3)"),
        (np.zeros((3, 16, 16), np.float32), "shape is (3, 16, 16)"),
        (np.zeros((1, 3, 16, 16), np.uint8), "pixels are uint8"),
        (torch.zeros((1, 3, 16, 16), dtype=torch.float64), "float64"),
        (np.full((1, 3, 16, 16), 256, np.float32), "values run from 256 to 256"),
        (np.full((1, 3, 16, 16), -1, np.float32), "values run from -1"),
        (np.full((1, 3, 16, 16), np.nan, np.float32), "nan"),
        ([[1.0]], "list is no array"),
    ],
)
def test_pixels_of_another_kind_are_refused(predictor: Predictor, pixels: object, said: str) -> None:
    with pytest.raises(UserError) as caught:
        predictor.probabilities(pixels)  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert "float32 of shape (N, 3, 16, 16), 0 to 255" in str(caught.value)


def test_class_names_and_description(predictor: Predictor, save_model: Callable[..., Path]) -> None:
    assert predictor.class_names == ("cat", "dog", "owl")
    assert predictor.description.num_layers == 8
    assert imclass.load(save_model(class_names=None)).class_names == ("0", "1", "2")


def test_threads_share_a_predictor(predictor: Predictor, pixels_of: Pixels) -> None:
    from concurrent.futures import ThreadPoolExecutor

    images = [pixels_of(seed) for seed in range(4)]
    expected = predictor.predict(images)
    with ThreadPoolExecutor(4) as pool:
        for answer in pool.map(predictor.predict, [images] * 8):
            np.testing.assert_allclose(answer, expected, atol=1e-6)


def test_leaving_early_leaves_no_threads(predictor: Predictor, pixels_of: Pixels) -> None:
    import threading

    batches = predictor.predict_batches([pixels_of(seed) for seed in range(300)])
    next(iter(batches))
    batches.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("imclass-predict")]


def test_no_such_model(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError):
        imclass.load(tmp_path / "none.tar.gz")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta", "cpu:1"])
def test_no_such_device(save_model: Callable[..., Path], name: str) -> None:
    with pytest.raises(UserError, match="there is no device"):
        imclass.load(save_model(), device=name)
