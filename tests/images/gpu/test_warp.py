import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from imclass.images import AUGMENTATIONS, Augmentation, Preprocessing, augment, decode, preprocess
from imclass.images.draws import draw
from imclass.images.gpu.warp import WarpTables
from imclass.images.header import read_header
from imclass.images.plan import Distortion, ImagePlan, lay_out
from imclass.images.plan_batch import BatchPlan, Sizes, plan_batch
from tests.images.gpu.conftest import as_tensors

pytest.importorskip("triton")

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
MEAN, STD = (123.68, 116.779, 103.939), (58.393, 57.12, 57.375)
EVERYTHING = AUGMENTATIONS["crop_color_transform"]


def execute_batch(images, orientations, plan, out, rows, *, scaled_decode: bool = True, **options) -> None:
    tables = WarpTables(out.device)
    tables.prepare(orientations, plan, rows, scaled_decode=scaled_decode)
    tables.launch(images, out, **options)


def executed(images: Sequence[torch.Tensor], plan: BatchPlan, preprocessing: Preprocessing, **options) -> np.ndarray:
    """The batch (n, H, W, C)."""
    shape = (len(images), preprocessing.height, preprocessing.width, preprocessing.channels)
    out = torch.empty(shape, dtype=options.pop("dtype", torch.uint8), device=DEVICE)
    orientations = options.pop("orientations", np.ones(len(images), np.int64))
    on_device = [image.to(DEVICE) for image in images]
    rows = np.arange(len(images))
    execute_batch(on_device, orientations, plan, out, rows, fill_value=preprocessing.fill_value, **options)
    return out.float().cpu().numpy()


def as_stored(decoder, images: Sequence[bytes], channels: int = 3) -> list[torch.Tensor]:
    decoded = decoder.decode(as_tensors(images), channels)
    assert all(image is not None for image in decoded)
    return decoded


def sizes_of(images: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    headers = [read_header(image) for image in images]
    return np.array([header.width for header in headers]), np.array([header.height for header in headers])


def together(plans: Sequence[ImagePlan]) -> BatchPlan:
    """One plan for the batch, without `pad_size`."""
    layouts = [plan.layout for plan in plans]
    matrices, resized, canvases = [], [], []
    for plan, layout in zip(plans, layouts, strict=True):
        assert not layout.pad_size
        scale = np.array(layout.resized) / np.array(layout.source)
        matrix = plan.matrix * scale[:, np.newaxis]
        matrix[:, 2] += scale / 2 - 0.5 + [layout.border.left, layout.border.top]
        matrices.append(matrix)
        resized.append(layout.resized)
        canvases.append((layout.resized.width + 2 * layout.border.left, layout.resized.height + 2 * layout.border.top))
    turns = np.array([layout.forward is not None for layout in layouts])
    grows = np.array([bool(layout.enlargements) for layout in layouts])
    width, height = layouts[0].output
    return BatchPlan(
        source=Sizes(*np.array([layout.source for layout in layouts]).T),
        resized=Sizes(*np.array(resized).T),
        top=np.array([layout.border.top for layout in layouts]),
        left=np.array([layout.border.left for layout in layouts]),
        canvas=Sizes(*np.array(canvases).T),
        matrix=np.array(matrices),
        window=np.array([[0, width, 0, height]] * len(plans)),
        is_shift=~grows & ~turns,
        limits=np.array([limits_of(matrix, size) for matrix, size in zip(matrices, canvases, strict=True)]),
        on_grid=turns,
        offsets=np.array([[plan.h, plan.s, plan.l] for plan in plans]),
        is_enlarged=grows,
        needs_steps=np.zeros(len(plans), np.bool_),
    )


def limits_of(matrix: np.ndarray, size: tuple[int, int]) -> list[float]:
    """Where the centres of the canvas's edge pixels come to lie in the output; for turned images far outside."""
    if matrix[0, 1]:
        return [-1e6, 1e6, -1e6, 1e6]
    ends = [np.sort([-matrix[a, 2], size[a] - 1 - matrix[a, 2]] / matrix[a, a]).tolist() for a in (0, 1)]
    return [*ends[0], *ends[1]]


@pytest.mark.parametrize(
    "name",
    [
        "resize_centre",
        "resize_centre_mirror",
        "no_resize_centre",
        "upscale_when_too_small",
        "resize_then_still_too_small",
        "grayscale",
        "mean_std",
    ],
)
def test_golden_without_randomness(augment_images, golden, name: str) -> None:
    expected = np.load(golden / f"augment/det_{name}.npy")
    settings = json.loads((golden / "augment/deterministic.json").read_text())[f"det_{name}.npy"]["settings"]
    fill_value = settings.get("fill_value", 255)
    preprocessing = Preprocessing(tuple(settings["data_shape"]), settings.get("resize"), fill_value=fill_value)
    images = [decode(data, preprocessing.channels) for data in augment_images]
    layouts = [lay_out(image.shape[1], image.shape[0], preprocessing) for image in images]
    plans = [
        ImagePlan(layout, layout.free.height // 2, layout.free.width // 2, mirror=settings.get("mirror", False))
        for layout in layouts
    ]
    options = {"normalisation": (MEAN, STD), "dtype": torch.float32} if "mean_r" in settings else {}
    turned = [torch.from_numpy(image).permute(2, 0, 1) for image in images]  # channels last in memory
    result = executed(turned, together(plans), preprocessing, scaled_decode=False, **options).transpose(0, 3, 1, 2)
    difference = np.abs(result - expected) * (57.0 if options else 1.0)
    for of_image, layout in zip(difference, layouts, strict=True):
        is_smoothed_twice = len(layout.enlargements) == 2
        assert of_image.mean() < (2.0 if is_smoothed_twice else 0.3)
        assert of_image.max() < (48 if is_smoothed_twice else 3.5)


@pytest.mark.parametrize(
    "name", ["crop", "crop_color", "crop_color_transform", "transform_fill127", "transform_only_rotate", "hsl_strong"]
)
def test_golden_with_recorded_draws(augment_images, golden, name: str) -> None:
    expected = np.load(golden / f"augment/rand_{name}.npy")
    case = json.loads((golden / "augment/random.json").read_text())["files"][f"rand_{name}.npy"]
    settings = case["settings"]
    fill_value = settings.get("fill_value", 255)
    preprocessing = Preprocessing(tuple(settings["data_shape"]), settings.get("resize"), fill_value=fill_value)
    plans, images = [], []
    for data, drawn in zip(augment_images, case["drawn"], strict=True):
        images.append(torch.from_numpy(decode(data)).permute(2, 0, 1))
        values = {key: drawn[key] for key in ("shear", "angle", "scale", "ratio") if key in drawn}
        size = images[-1].shape[2], images[-1].shape[1]
        layout = lay_out(*size, preprocessing, Distortion(**values) if values else None)
        rest = {key: drawn[key] for key in ("crop_y", "crop_x", "h", "s", "l", "mirror") if key in drawn}
        plans.append(ImagePlan(layout, **rest))
    result = executed(images, together(plans), preprocessing, scaled_decode=False).transpose(0, 3, 1, 2)
    assert np.abs(result - expected).mean() < 0.5


@pytest.mark.parametrize("name", ["none", "crop", "crop_color", "crop_color_transform"])
@pytest.mark.parametrize(("resize", "mode"), [(None, "crop"), (26, "crop"), (16, "crop"), (24, "pad"), (30, "stretch")])
def test_training_images_are_those_of_the_cpu(photo, jpeg, libjpeg_decoder, name: str, resize, mode) -> None:
    preprocessing = Preprocessing((3, 20, 24), resize, mode)
    sizes = [(90, 70), (210, 150), (75, 140), (30, 18)]
    data = [jpeg(photo(seed, height, width)) for seed, (width, height) in enumerate(sizes)]
    rows = draw(3, 0, 0, len(data))
    plan = plan_batch(rows, *sizes_of(data), preprocessing, AUGMENTATIONS[name])
    result = executed(as_stored(libjpeg_decoder, data), plan, preprocessing)
    assert not plan.needs_steps[:3].any() or resize == 16
    for image, got, row, is_for_cpu in zip(data, result, rows, plan.needs_steps, strict=True):
        expected = augment(image, preprocessing, AUGMENTATIONS[name], row)
        assert is_for_cpu or np.abs(got - expected).mean() < 2.0


@pytest.mark.parametrize("pad_size", [3, 8])
def test_a_border_hides_what_turning_pushes_out(photo, jpeg, libjpeg_decoder, pad_size: int) -> None:
    preprocessing = Preprocessing((3, 20, 20), 24, fill_value=0)
    data = [jpeg(photo(1, 70, 80))] * 3
    augmentation = replace(EVERYTHING, max_rotate_angle=45, random_h=0, random_s=0, random_l=0, pad_size=pad_size)
    rows = draw(8, 0, 0, len(data))
    plan = plan_batch(rows, *sizes_of(data), preprocessing, augmentation)
    result = executed(as_stored(libjpeg_decoder, data), plan, preprocessing)
    for got, row in zip(result, rows, strict=True):
        expected = augment(data[0], preprocessing, augmentation, row)
        assert (expected == 0).any()
        assert np.abs(got - expected).mean() < 2.0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(photo, jpeg, libjpeg_decoder, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = [jpeg(photo(2, 65, 80), exif=exif.tobytes()), jpeg(photo(3, 110, 131), exif=exif.tobytes())]
    preprocessing = Preprocessing((3, 20, 24), 40)
    plan = plan_batch(None, *sizes_of(data), preprocessing)
    turns = np.full(2, orientation)
    result = executed(as_stored(libjpeg_decoder, data), plan, preprocessing, orientations=turns)
    for image, got in zip(data, result, strict=True):
        assert np.abs(got - preprocess(image, preprocessing)).mean() < 1.0


@pytest.mark.parametrize("resize", [None, 33, 40, 100])
def test_validation_images_without_scaled_decoding_are_almost_exact(photo, jpeg, libjpeg_decoder, resize) -> None:
    preprocessing = Preprocessing((3, 20, 25), resize)
    data = [jpeg(photo(seed, 90, 130)) for seed in range(2)]
    plan = plan_batch(None, *sizes_of(data), preprocessing)
    result = executed(as_stored(libjpeg_decoder, data), plan, preprocessing, scaled_decode=False)
    for image, got in zip(data, result, strict=True):
        difference = np.abs(got - preprocess(image, preprocessing, scaled_decode=False))
        assert difference.max() <= 1


def test_grey(photo, jpeg, libjpeg_decoder) -> None:
    preprocessing = Preprocessing((1, 20, 20), 26)
    data = [jpeg(photo(4, 70, 90)), jpeg(Image.fromarray(photo(5, 80, 70)).convert("L"))]
    rows = draw(2, 0, 0, 2)
    plan = plan_batch(rows, *sizes_of(data), preprocessing, EVERYTHING)
    result = executed(as_stored(libjpeg_decoder, data, 1), plan, preprocessing)
    for image, got, row in zip(data, result, rows, strict=True):
        assert np.abs(got - augment(image, preprocessing, EVERYTHING, row)).mean() < 2.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_normalised(photo, jpeg, libjpeg_decoder, dtype: torch.dtype) -> None:
    preprocessing = Preprocessing((3, 20, 20), 40)
    data = [jpeg(photo(6, 70, 90))]
    plan = plan_batch(None, *sizes_of(data), preprocessing)
    images = as_stored(libjpeg_decoder, data)
    levels = executed(images, plan, preprocessing)
    normalised = executed(images, plan, preprocessing, dtype=dtype, normalisation=(MEAN, STD))
    np.testing.assert_allclose(normalised, (levels - MEAN) / STD, atol=1e-5 if dtype == torch.float32 else 0.02)


def test_only_the_rows_asked_for_are_written(photo, jpeg, libjpeg_decoder) -> None:
    preprocessing = Preprocessing((3, 20, 20), 40)
    data = [jpeg(photo(seed, 70, 90)) for seed in range(2)]
    plan = plan_batch(None, *sizes_of(data), preprocessing)
    images = [image.to(DEVICE) for image in as_stored(libjpeg_decoder, data)]
    out = torch.full((4, 20, 20, 3), 7, dtype=torch.uint8, device=DEVICE)
    execute_batch(images, np.ones(2, np.int64), plan, out, np.array([3, 1]), fill_value=127)
    assert (out[[0, 2]] == 7).all()
    for row, image in ((3, data[0]), (1, data[1])):
        assert np.abs(out[row].cpu().numpy().astype(int) - preprocess(image, preprocessing)).mean() < 1.0


def test_nothing_to_do() -> None:
    out = torch.full((2, 8, 8, 3), 7, dtype=torch.uint8, device=DEVICE)
    nothing = np.zeros(0, np.int64)
    plan = plan_batch(None, nothing, nothing, Preprocessing((3, 8, 8)))
    execute_batch([], nothing, plan, out, nothing, fill_value=0)
    assert (out == 7).all()


def test_tables_serve_one_batch_after_another(photo, jpeg, libjpeg_decoder) -> None:
    preprocessing = Preprocessing((3, 20, 20), 40)
    tables = WarpTables(DEVICE)
    for seeds in ([0, 1, 2], [3], [4, 5, 6], []):
        data = [jpeg(photo(seed, 70 + seed, 90)) for seed in seeds]
        images = [image.to(DEVICE) for image in as_stored(libjpeg_decoder, data)]
        out = torch.empty((len(seeds), 20, 20, 3), dtype=torch.uint8, device=DEVICE)
        rows = np.arange(len(seeds))
        tables.prepare(np.ones(len(seeds), np.int64), plan_batch(None, *sizes_of(data), preprocessing), rows)
        tables.launch(images, out, fill_value=127)
        for result, image in zip(out.cpu().numpy().astype(int), data, strict=True):
            assert np.abs(result - preprocess(image, preprocessing)).mean() < 1.0


def test_rows_of_images_that_cannot_be_had_are_left_alone(photo, jpeg, libjpeg_decoder) -> None:
    preprocessing = Preprocessing((3, 20, 20), 40)
    data = [jpeg(photo(seed, 70, 90 + seed)) for seed in range(4)]
    images = [image.to(DEVICE) for image in as_stored(libjpeg_decoder, data)]
    out = torch.full((4, 20, 20, 3), 7, dtype=torch.uint8, device=DEVICE)
    plan = plan_batch(None, *sizes_of(data), preprocessing)
    execute_batch([None, images[1], None, images[3]], np.ones(4, np.int64), plan, out, np.arange(4), fill_value=127)
    assert (out[[0, 2]] == 7).all()
    for row in (1, 3):
        assert np.abs(out[row].cpu().numpy().astype(int) - preprocess(data[row], preprocessing)).mean() < 1.0


def test_augmentation_without_draws_is_none(photo, jpeg, libjpeg_decoder) -> None:
    preprocessing = Preprocessing((3, 20, 20), 40)
    data = [jpeg(photo(9, 70, 90))]
    images = as_stored(libjpeg_decoder, data)
    plain = executed(images, plan_batch(None, *sizes_of(data), preprocessing), preprocessing)
    same = executed(images, plan_batch(draw(0, 0, 0, 1), *sizes_of(data), preprocessing, Augmentation()), preprocessing)
    np.testing.assert_array_equal(plain, same)
