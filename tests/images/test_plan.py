import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from imclass.errors import ImageError
from imclass.images import AUGMENTATIONS, Augmentation, Preprocessing
from imclass.images.draws import draw
from imclass.images.plan import Border, Distortion, Size, affine, lay_out, plan_cuts, plan_image
from imclass.images.warp_cpu import execute

SHAPE = (3, 48, 56)


@pytest.mark.parametrize(
    ("size", "resize", "expected"),
    [((90, 70), 64, (82, 64)), ((83, 120), 64, (64, 92)), ((64, 64), 64, (64, 64)), ((10, 7), 70, (100, 70))],
)
def test_shorter_side_with_whole_numbers(size, resize, expected) -> None:
    assert lay_out(*size, Preprocessing(SHAPE, resize)).resized == Size(*expected)


def test_no_resize() -> None:
    layout = lay_out(90, 70, Preprocessing(SHAPE))
    assert layout.resized == layout.final == Size(90, 70)
    assert layout.free == Size(34, 22)
    assert layout.is_plain
    plan = plan_image(None, 90, 70, Preprocessing(SHAPE))
    assert (plan.crop_y, plan.crop_x) == (11, 17)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((90, 24), [(180, 48)]),
        ((20, 60), [(56, 168)]),
        ((10, 24), [(20, 48), (56, 134)]),
        ((56, 48), []),
    ],
)
def test_small_images_are_enlarged_height_first(size, expected) -> None:
    layout = lay_out(*size, Preprocessing(SHAPE))
    assert list(layout.enlargements) == [Size(*step) for step in expected]
    assert min(layout.free) >= 0
    assert layout.is_enlarged == bool(expected)


def test_stretch_ignores_the_aspect_ratio() -> None:
    assert lay_out(300, 100, Preprocessing(SHAPE, resize_mode="stretch")).resized == Size(56, 48)
    layout = lay_out(300, 100, Preprocessing(SHAPE, 60, "stretch"))
    assert layout.resized == layout.final == Size(70, 60)
    assert layout.free == Size(14, 12)
    assert not lay_out(300, 20, Preprocessing(SHAPE, 60, "stretch")).enlargements


@pytest.mark.parametrize(
    ("size", "resized", "border"),
    [
        ((300, 100), (56, 18), (15, 15, 0, 0)),
        ((100, 301), (15, 48), (0, 0, 20, 21)),
        ((56, 48), (56, 48), (0, 0, 0, 0)),
        ((1000, 1), (56, 1), (23, 24, 0, 0)),
    ],
)
def test_pad_fits_the_whole_image_into_the_canvas(size, resized, border) -> None:
    layout = lay_out(*size, Preprocessing(SHAPE, resize_mode="pad"))
    assert layout.resized == Size(*resized)
    assert layout.border == Border(*border)
    assert layout.final == Size(56, 48)


def test_enlarged_counts_only_what_was_smaller_than_the_output() -> None:
    assert lay_out(40, 40, Preprocessing(SHAPE, 64)).is_enlarged
    assert not lay_out(60, 60, Preprocessing(SHAPE, 64)).is_enlarged
    assert not lay_out(500, 40, Preprocessing(SHAPE, resize_mode="pad")).is_enlarged
    assert not lay_out(56, 44, Preprocessing(SHAPE), pad_size=2).is_enlarged


def test_long_thin_images_are_refused() -> None:
    with pytest.raises(ImageError, match="1x60000 pixels are too long"):
        lay_out(1, 60_000, Preprocessing((3, 224, 224)))
    preprocessing = Preprocessing((3, 32, 32), 32)
    assert lay_out(32, 40_000, preprocessing).final == Size(32, 40_000)
    with pytest.raises(ImageError, match="too long and thin"):
        lay_out(32, 40_000, preprocessing, Distortion(angle=3))


def test_affine_keeps_the_centre_and_the_canvas() -> None:
    forward, warped = affine(Distortion(shear=0.1, angle=-10, ratio=1.2), Size(301, 256))
    assert warped == Size(301, 256)
    assert forward.dtype == np.float32
    centre = np.array([150.5, 128.0, 1.0])
    np.testing.assert_allclose(forward @ centre, centre[:2], atol=1e-3)
    assert affine(Distortion(scale=0.6), Size(64, 64))[1] == Size(38, 38)


def test_sagemaker_settings() -> None:
    assert AUGMENTATIONS["none"] == Augmentation()
    assert AUGMENTATIONS["crop"] == Augmentation(random_crop=True, random_mirror=True)
    colour = replace(AUGMENTATIONS["crop"], random_h=36, random_s=50, random_l=50)
    assert AUGMENTATIONS["crop_color"] == colour
    everything = replace(colour, max_rotate_angle=10, max_shear_ratio=0.1, max_aspect_ratio=0.25)
    assert AUGMENTATIONS["crop_color_transform"] == everything


def test_drawn_values_fill_their_ranges() -> None:
    preprocessing, augmentation = Preprocessing(SHAPE, 64), AUGMENTATIONS["crop_color_transform"]
    plans = [plan_image(row, 90, 70, preprocessing, augmentation) for row in draw(0, 0, 0, 3000)]
    distortions = [plan.layout.distortion for plan in plans]
    assert {distortion.angle for distortion in distortions} == set(range(-10, 11))
    assert {plan.crop_y for plan in plans} == set(range(17))
    assert {plan.crop_x for plan in plans} == set(range(27))
    for offsets, largest in [
        ({plan.h for plan in plans}, 36),
        ({plan.s for plan in plans}, 50),
        ({plan.l for plan in plans}, 50),
    ]:
        assert set(range(4 - largest, largest - 3)) <= offsets <= set(range(1 - largest, largest))
    for values, low, high in [
        ([distortion.shear for distortion in distortions], -0.1, 0.1),
        ([distortion.ratio for distortion in distortions], 0.75, 1.25),
    ]:
        assert low <= min(values) < low + 0.001
        assert high - 0.001 < max(values) <= high
    assert 0.45 < np.mean([plan.mirror for plan in plans]) < 0.55


def test_colour_offsets_are_a_trapezoid_like_the_original() -> None:
    augmentation = Augmentation(random_l=50)
    offsets = np.array([plan_image(row, 64, 64, Preprocessing(SHAPE), augmentation).l for row in draw(1, 0, 0, 5000)])
    assert abs(offsets.mean()) < 1.5
    assert abs(offsets.std() / 50 - np.sqrt(17 / 75)) < 0.02  # (u1 + 4 u2) / 5 on [-1, 1] has variance 17/75


def test_no_augmentation_is_the_plan_without_draws() -> None:
    row = draw(0, 0, 0, 1)[0]
    preprocessing = Preprocessing(SHAPE, 64)
    assert plan_image(row, 90, 70, preprocessing, Augmentation()) == plan_image(None, 90, 70, preprocessing)


def test_batch_plan_equals_single_plans() -> None:
    preprocessing = Preprocessing((3, 32, 30))
    rows = draw(3, 1, 0, 200)
    for augmentation in (
        AUGMENTATIONS["crop"],
        replace(AUGMENTATIONS["crop"], pad_size=4),
        Augmentation(pad_size=1),
        None,
    ):
        layout = lay_out(40, 36, preprocessing, pad_size=augmentation.pad_size if augmentation else 0)
        cuts = plan_cuts(rows, len(rows), layout, augmentation)
        plans = [plan_image(row, 40, 36, preprocessing, augmentation) for row in rows]
        assert cuts.crop_y.tolist() == [plan.crop_y for plan in plans]
        assert cuts.crop_x.tolist() == [plan.crop_x for plan in plans]
        assert cuts.mirror.tolist() == [plan.mirror for plan in plans]


MATRIX_CASES = [
    (Preprocessing(SHAPE, 64), AUGMENTATIONS["crop_color_transform"]),
    (Preprocessing(SHAPE, 64), replace(AUGMENTATIONS["crop"], pad_size=6, min_random_scale=0.5, max_random_scale=0.7)),
    (Preprocessing(SHAPE, 70, "pad"), replace(AUGMENTATIONS["crop"], max_rotate_angle=20)),
    (Preprocessing(SHAPE, 60, "stretch"), AUGMENTATIONS["crop"]),
]


@pytest.mark.parametrize(("preprocessing", "augmentation"), MATRIX_CASES)
def test_one_matrix_gives_the_same_picture_as_the_steps(smooth, preprocessing, augmentation) -> None:
    image = smooth(1, 70, 90)
    augmentation = replace(augmentation, random_h=0, random_s=0, random_l=0)
    for row in draw(4, 0, 0, 12):
        plan = plan_image(row, 90, 70, preprocessing, augmentation)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        at_once = cv2.warpAffine(image, plan.matrix, plan.layout.output, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        inside = cv2.warpAffine(np.ones_like(image), plan.matrix, plan.layout.output, flags=flags) == 1
        inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) == 1
        difference = np.abs(at_once.astype(int) - execute(image, plan))[inside]
        assert inside.mean() > 0.1
        assert np.percentile(difference, 99) <= 6, plan
        assert difference.mean() < 1.5, plan


def test_golden_draws_are_inside_our_ranges(golden) -> None:
    case = json.loads((golden / "augment/random.json").read_text())["files"]["rand_crop_color_transform.npy"]
    for drawn in case["drawn"]:
        assert abs(drawn["h"]) < 36
        assert abs(drawn["angle"]) <= 10
        assert abs(drawn["shear"]) <= 0.1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Preprocessing((4, 32, 32)),
        lambda: Preprocessing((3, 0, 32)),
        lambda: Preprocessing((3, 32, 32), 0),
        lambda: Preprocessing((3, 32, 32), resize_mode="fit"),
        lambda: Preprocessing((3, 32, 32), fill_value=256),
        lambda: Augmentation(pad_size=-1),
        lambda: Augmentation(max_aspect_ratio=1.0),
        lambda: Augmentation(min_random_scale=0.0),
        lambda: Augmentation(min_random_scale=2.0, max_random_scale=1.0),
    ],
)
def test_settings_outside_their_range(wrong) -> None:
    with pytest.raises(ValueError):
        wrong()
