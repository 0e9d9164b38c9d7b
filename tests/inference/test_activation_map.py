"""Class activation maps: their values against gradients, their place against what the network looks at."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import imclass
from imclass.errors import ImageError, UserError
from imclass.images import Preprocessing
from imclass.images.plan import Size
from imclass.inference.activation_map import ActivationMap, Box, class_activations, explain, place
from imclass.inference.pixels import prepare
from imclass.models import ResNet, build, initialise
from tests.conftest import settle_statistics

# family, depth, image size: small stem of the small table, small and large stem of the large one, with both units
NETWORKS = [
    (family, depth, size)
    for family in ("resnet_v1", "resnet_v2")
    for depth, size in ((8, 28), (164, 28), (18, 32), (18, 64), (50, 64))
]


def network_of(family: str, depth: int, size: int, channels: int = 3, classes: int = 4) -> ResNet:
    network = build(family, depth, (channels, size, size), classes)
    initialise(network, torch.Generator().manual_seed(3))
    return network.eval()


def positive(network: ResNet) -> ResNet:
    """The network with weights of convolutions above 0: bright pixels then add to every feature, and none is cut."""
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data.abs_()
            module.weight.data.div_(module.weight[0].sum())
    return network


def gradient_map(network: ResNet, images: torch.Tensor, class_index: int) -> np.ndarray:
    """Grad-CAM before its ReLU (Selvaraju et al., 2017): features weighted with the mean gradient of the logit."""
    caught: list[torch.Tensor] = []
    features_of = network.features
    network.features = lambda images: caught.append(features_of(images)) or caught[0]  # type: ignore[method-assign,func-returns-value]
    logits = network(images)
    (gradient,) = torch.autograd.grad(logits[0, class_index], caught[0])
    return (gradient.mean(dim=(2, 3), keepdim=True) * caught[0]).sum(dim=1)[0].detach().numpy()


@pytest.mark.parametrize(("family", "depth", "size"), NETWORKS)
def test_equals_grad_cam_up_to_scale_and_adds_up_to_the_logit(family: str, depth: int, size: int) -> None:
    network = network_of(family, depth, size)
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3)).astype(np.uint8)
    placement = place(Size(size, size), Preprocessing((3, size, size)), network.stride)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[np.newaxis].float()
    with torch.no_grad():
        logits = network(images)[0]
    maps = [explain(network, pixels, placement, class_index) for class_index in range(4)]
    assert {each.largest for each in maps} == {max(each.cells.max() for each in maps)}
    for class_index, explained in enumerate(maps):
        cells = explained.cells
        side = -(-size // network.stride)
        assert cells.shape == (side, side)
        assert cells.mean() + network.head.bias[class_index].item() == pytest.approx(
            logits[class_index].item(), rel=1e-4, abs=1e-3
        )
        scaled = gradient_map(network_of(family, depth, size), images, class_index) * cells.size
        np.testing.assert_allclose(cells, scaled, rtol=1e-3, atol=1e-4 * np.abs(cells).max())
    assert explain(network, pixels, placement).class_index == int(logits.argmax())


def test_is_the_weighted_sum_of_the_features() -> None:
    features = torch.tensor([[[1.0, 2.0, 3.0]], [[10.0, 20.0, 0.0]]])
    cells = class_activations(features, torch.tensor([[2.0, -0.5], [0.0, 1.0]]))
    assert cells.tolist() == [[[-3.0, -6.0, 6.0]], [[10.0, 20.0, 0.0]]]


@pytest.mark.parametrize(
    ("family", "depth", "size", "side", "cell", "tolerance"),
    [
        ("resnet_v1", 8, 28, 81, 10, 0.0),
        ("resnet_v2", 8, 28, 81, 10, 0.0),
        ("resnet_v1", 18, 64, 600, 9, 4.0),  # the maximum in the stem blurs the edge of what is looked at
        ("resnet_v2", 18, 64, 600, 9, 4.0),
    ],
)
def test_cells_look_at_the_pixels_around_their_stride(
    family: str, depth: int, size: int, side: int, cell: int, tolerance: float
) -> None:
    network = positive(network_of(family, depth, size))
    images = torch.rand((1, 3, side, side), generator=torch.Generator().manual_seed(0)) * 100 + 155
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(network.features(images)[0, :, cell, cell].sum(), images)
    for axis in (1, 2):
        looked_at = gradient[0].abs().amax(dim=(0, axis)).nonzero().flatten()
        assert 0 < looked_at.min() < looked_at.max() < side - 1, "the image is too small for this test"
        centre = (looked_at.min() + looked_at.max()).item() / 2
        assert centre == pytest.approx(cell * network.stride, abs=tolerance)


GEOMETRIES = [
    (Size(90, 60), Preprocessing((3, 32, 32), resize=40)),
    (Size(60, 90), Preprocessing((3, 32, 32), resize=40)),
    (Size(90, 60), Preprocessing((3, 32, 32))),
    (Size(20, 16), Preprocessing((3, 32, 48))),
    (Size(90, 60), Preprocessing((3, 32, 48), resize_mode="stretch")),
    (Size(90, 60), Preprocessing((3, 32, 32), resize=40, resize_mode="stretch")),
    (Size(90, 60), Preprocessing((3, 32, 32), resize_mode="pad")),
    (Size(30, 60), Preprocessing((3, 32, 48), resize=40, resize_mode="pad")),
]


@pytest.mark.parametrize(("size", "preprocessing"), GEOMETRIES)
def test_the_place_agrees_with_the_pixels(size: Size, preprocessing: Preprocessing) -> None:
    """Every pixel of this image says where it is, so the prepared image says where its pixels come from."""
    ramp = np.zeros((size.height, size.width, 3), np.uint8)
    ramp[..., 0] = 2 * np.arange(size.width)
    ramp[..., 1] = 2 * np.arange(size.height)[:, np.newaxis]
    ramp[..., 2] = 255
    prepared = prepare(ramp, preprocessing).astype(np.float64)
    is_image = prepared[..., 2] == 255
    rows, columns = np.nonzero(is_image)
    placement = place(size, preprocessing, stride=8)
    for axis, positions in enumerate((columns, rows)):
        expected = placement.offset[axis] + placement.scale[axis] * positions
        found = prepared[..., axis][is_image] / 2
        inside = (expected >= 0) & (expected <= size[axis] - 1)
        assert inside.sum() > 0.8 * len(inside)
        np.testing.assert_allclose(found[inside], expected[inside], atol=0.6)


@pytest.mark.parametrize(
    ("size", "preprocessing", "seen"),
    [
        (Size(100, 50), Preprocessing((3, 50, 50)), Box(25, 0, 50, 50)),
        (Size(100, 50), Preprocessing((3, 20, 20), resize=25), Box(30, 4, 40, 40)),
        (Size(100, 50), Preprocessing((3, 20, 20), resize_mode="stretch"), Box(0, 0, 100, 50)),
        (Size(100, 50), Preprocessing((3, 20, 20), resize_mode="pad"), Box(0, 0, 100, 50)),
        (Size(10, 5), Preprocessing((3, 20, 20)), Box(2.5, 0, 5, 5)),
    ],
)
def test_what_the_network_saw(size: Size, preprocessing: Preprocessing, seen: Box) -> None:
    found = place(size, preprocessing, stride=4).seen
    assert (found.left, found.top, found.width, found.height) == pytest.approx(
        (seen.left, seen.top, seen.width, seen.height)
    )


def test_what_was_cut_away_adds_nothing_and_the_rest_is_smooth_between_cells() -> None:
    cells = np.array([[1, 2, 3], [4, 5, 9], [7, 8, 0]], np.float32)
    placement = place(Size(20, 12), Preprocessing((3, 12, 12)), stride=4)
    values = ActivationMap(0, cells, 1.0, placement).on_image()
    assert values.shape == (12, 20)
    assert values.dtype == np.float32
    assert not values[:, :4].any()
    assert not values[:, 16:].any()
    np.testing.assert_allclose(values[::4, 4:16:4], cells, atol=1e-5)
    np.testing.assert_allclose(values[8:, 12:16], 0, atol=1e-5)
    np.testing.assert_allclose(values[11, 4:9], values[8, 4:9], atol=1e-5)


def test_between_cells_is_cubic_convolution() -> None:
    cells = np.array([[0, 0, 1, 0, 0]], np.float32)
    values = ActivationMap(0, cells, 1.0, place(Size(17, 1), Preprocessing((3, 1, 17)), stride=4)).on_image()
    # Keys' kernel at 0, 1/4, 1/2, 3/4, 1, ...
    kernel = [1, 0.8671875, 0.5625, 0.2265625, 0, -0.0703125, -0.0625, -0.0234375, 0]
    np.testing.assert_allclose(values[0], [*kernel[:0:-1], *kernel], atol=1e-6)


def test_weights_add_up_to_one_where_the_network_looked() -> None:
    placement = place(Size(50, 30), Preprocessing((3, 12, 12), resize=15), stride=5)
    for axis, length in ((0, 50), (1, 30), (0, 7), (1, 333)):
        sums = placement.weights(axis, 3, length).sum(axis=1)
        assert set(np.round(sums, 5)) == {0.0, 1.0}
        assert sums[length // 2] == pytest.approx(1)


def test_another_size_covers_the_same_image() -> None:
    cells = np.arange(16, dtype=np.float32).reshape(4, 4)
    explained = ActivationMap(0, cells, 1.0, place(Size(64, 48), Preprocessing((3, 32, 32), resize=32), stride=8))
    half, whole = explained.on_image((32, 24)), explained.on_image()
    assert half.shape == (24, 32)
    middle = (whole[::2, ::2] + whole[1::2, ::2] + whole[::2, 1::2] + whole[1::2, 1::2]) / 4
    np.testing.assert_allclose(half[4:-4, 8:-8], middle[4:-4, 8:-8], atol=0.2)
    for size in ((0, 5), (5, -1)):
        with pytest.raises(UserError, match="Give a width and height from 1 up"):
            explained.on_image(size)


@pytest.mark.parametrize("mode", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("spot", [(40, 30), (70, 45), (85, 20)])
def test_a_bright_spot_is_found_where_it_is(mode: str, spot: tuple[int, int]) -> None:
    network = positive(network_of("resnet_v2", 8, 28))
    network.head.weight.data.fill_(1.0)
    preprocessing = Preprocessing((3, 28, 28), resize=28, resize_mode=mode, fill_value=0)  # type: ignore[arg-type]
    x, y = spot
    image = np.zeros((60, 120, 3), np.uint8)
    image[y - 4 : y + 4, x - 4 : x + 4] = 255
    placement = place(Size(120, 60), preprocessing, network.stride)
    values = explain(network, prepare(image, preprocessing), placement, 0).on_image()
    row, column = np.unravel_index(values.argmax(), values.shape)
    half_a_cell = [network.stride * scale / 2 + 0.5 for scale in placement.scale]
    assert column == pytest.approx(x, abs=half_a_cell[0])
    assert row == pytest.approx(y, abs=half_a_cell[1])


# ------------------------------------------------------------------------------------------------ Predictor


def test_paths_bytes_and_arrays_give_the_same(
    save_model: Callable[..., Path],
    write_png: Callable[..., Path],
    pixels_of: Callable[..., np.ndarray],
    tmp_path: Path,
) -> None:
    predictor = imclass.load(save_model(resize=20))
    pixels = pixels_of(1, 30, 40)
    path = write_png(tmp_path / "a.png", pixels)
    maps = [predictor.activation_map(image) for image in (path, str(path), path.read_bytes(), pixels)]
    for each in maps[1:]:
        np.testing.assert_allclose(each.cells, maps[0].cells, rtol=1e-5)
        assert each.placement == maps[0].placement
    assert maps[0].class_index == int(predictor.predict([path])[0].argmax())
    assert maps[0].on_image().shape == (30, 40)
    assert maps[0].cells.dtype == np.float32


@pytest.mark.parametrize("changes", [{}, {"multi_label": True}, {"image_shape": (1, 16, 16)}, {"network": "resnet_v1"}])
def test_cells_add_up_to_what_is_predicted(
    save_model: Callable[..., Path], pixels_of: Callable[..., np.ndarray], changes: dict[str, object]
) -> None:
    path = save_model(**changes)
    predictor = imclass.load(path)
    bias = imclass.artifact.load(path)[1].head.bias.detach().numpy()  # type: ignore[attr-defined]
    pixels = pixels_of(5, 16, 16)
    logits = np.array([predictor.activation_map(pixels, c).cells.mean() + bias[c] for c in range(3)], np.float64)
    exponents = np.exp(logits)
    expected = exponents / (1 + exponents) if changes.get("multi_label") else exponents / exponents.sum()
    np.testing.assert_allclose(predictor.predict([pixels])[0], expected, atol=1e-5)


def test_the_orientation_of_a_photograph_counts(save_model: Callable[..., Path], tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (20, 40, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    assert imclass.load(save_model()).activation_map(tmp_path / "turned.jpg").on_image().shape == (40, 20)


@pytest.mark.parametrize("class_index", [3, -1])
def test_no_such_class(save_model: Callable[..., Path], pixels_of: Callable[..., np.ndarray], class_index: int) -> None:
    with pytest.raises(UserError, match=rf"there is no class {class_index}\nGive a class number from 0 to 2"):
        imclass.load(save_model()).activation_map(pixels_of(0), class_index)


def test_what_is_no_image(save_model: Callable[..., Path], tmp_path: Path) -> None:
    predictor = imclass.load(save_model())
    (tmp_path / "cut.png").write_bytes(cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes()[:40])
    with pytest.raises(ImageError, match=r"cut\.png: the PNG is truncated"):
        predictor.activation_map(tmp_path / "cut.png")
    with pytest.raises(ImageError, match="No such file"):
        predictor.activation_map(tmp_path / "none.png")
    with pytest.raises(ImageError, match="list is no image"):
        predictor.activation_map([tmp_path / "cut.png"])  # type: ignore[arg-type]


def test_the_network_with_settled_statistics_is_not_saturated() -> None:
    """The other tests would say little about networks whose features are all 0."""
    network = network_of("resnet_v2", 8, 28)
    settle_statistics(network)
    pixels = np.random.default_rng(1).integers(0, 256, (28, 28, 3)).astype(np.uint8)
    cells = explain(network, pixels, place(Size(28, 28), Preprocessing((3, 28, 28)), network.stride), 1).cells
    assert cells.std() > 1e-3
