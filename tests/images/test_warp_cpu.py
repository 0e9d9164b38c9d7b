import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from imclass.images import Preprocessing, decode
from imclass.images.plan import Distortion, ImagePlan, Size, affine, lay_out, plan_image
from imclass.images.scratch import Scratch
from imclass.images.warp_cpu import execute, warp

MEAN = np.array([123.68, 116.779, 103.939], np.float32)[:, np.newaxis, np.newaxis]
STD = np.array([58.393, 57.12, 57.375], np.float32)[:, np.newaxis, np.newaxis]

DETERMINISTIC = [
    "resize_centre",
    "resize_centre_mirror",
    "no_resize_centre",
    "upscale_when_too_small",
    "resize_then_still_too_small",
    "grayscale",
    "area_inter",
    "nearest_inter",
    "pad_fill",
    "mean_std",
]
RANDOM = [
    "crop",
    "crop_color",
    "crop_color_transform",
    "transform_fill127",
    "transform_only_rotate",
    "scale",
    "hsl_strong",
]


def channels_first(image: np.ndarray) -> np.ndarray:
    return image.transpose(2, 0, 1)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_golden_without_randomness(augment_images, golden, name: str) -> None:
    expected = np.load(golden / f"augment/det_{name}.npy")
    settings = json.loads((golden / "augment/deterministic.json").read_text())[f"det_{name}.npy"]["settings"]
    preprocessing = Preprocessing(
        tuple(settings["data_shape"]), settings.get("resize"), fill_value=settings.get("fill_value", 255)
    )
    for data, wanted in zip(augment_images, expected, strict=True):
        image = decode(data, preprocessing.channels)
        height, width = image.shape[:2]
        layout = lay_out(width, height, preprocessing, pad_size=settings.get("pad", 0))
        plan = ImagePlan(layout, layout.free.height // 2, layout.free.width // 2, mirror=settings.get("mirror", False))
        if not settings.get("pad") and not plan.mirror:
            assert plan == plan_image(None, width, height, preprocessing)
        result = channels_first(execute(image, plan, interpolation=settings.get("inter_method", 1)))
        if "mean_r" in settings:
            result = (result - MEAN) * (np.float32(1) / STD)
            np.testing.assert_allclose(result, wanted, atol=1e-6)
        else:
            np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("name", RANDOM)
def test_golden_with_recorded_draws(augment_images, golden, name: str) -> None:
    expected = np.load(golden / f"augment/rand_{name}.npy")
    case = json.loads((golden / "augment/random.json").read_text())["files"][f"rand_{name}.npy"]
    settings = case["settings"]
    preprocessing = Preprocessing(
        tuple(settings["data_shape"]), settings.get("resize"), fill_value=settings.get("fill_value", 255)
    )
    results = []
    for data, drawn in zip(augment_images, case["drawn"], strict=True):
        image = decode(data)
        values = {key: drawn[key] for key in ("shear", "angle", "scale", "ratio") if key in drawn}
        layout = lay_out(image.shape[1], image.shape[0], preprocessing, Distortion(**values) if values else None)
        rest = {key: drawn[key] for key in ("crop_y", "crop_x", "h", "s", "l", "mirror") if key in drawn}
        results.append(channels_first(execute(image, ImagePlan(layout, **rest))))
    difference = np.abs(np.stack(results).astype(int) - expected)
    assert difference.max() <= 3
    assert (difference > 0).mean() < 0.0002


def test_window_of_a_warp_is_part_of_the_whole(smooth) -> None:
    image = smooth(1, 60, 80)
    forward, size = affine(Distortion(shear=0.05, angle=7, ratio=0.9), Size(80, 60))
    whole = warp(image, forward, size, (0, 0), 127)
    np.testing.assert_array_equal(warp(image, forward, Size(30, 20), (13, 21), 127), whole[21:41, 13:43])


def test_warp_is_near_to_opencv(smooth) -> None:
    image = smooth(2, 60, 80)
    forward, size = affine(Distortion(shear=-0.08, angle=-9, ratio=1.2), Size(80, 60))
    theirs = cv2.warpAffine(image, forward, size, borderMode=cv2.BORDER_CONSTANT, borderValue=(127, 127, 127))
    difference = np.abs(warp(image, forward, size, (0, 0), 127).astype(int) - theirs)
    assert difference.mean() < 0.6


def test_far_outside_the_source_there_is_only_fill() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    forward = np.array([[0.001, 0, 0], [0, 0.001, 0]], np.float32)
    warped = warp(image, forward, Size(200, 200), (0, 0), 90)
    assert (warped[1:, 1:] == 90).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_pad_mode_fills_around_the_image(smooth, channels: int) -> None:
    image = np.ascontiguousarray(smooth(3, 30, 90)[..., :channels])
    preprocessing = Preprocessing((channels, 48, 48), resize_mode="pad", fill_value=9)
    result = execute(image, plan_image(None, 90, 30, preprocessing))
    assert result.shape == (48, 48, channels)
    assert (result[:16] == 9).all()
    assert (result[32:] == 9).all()
    np.testing.assert_array_equal(result[16:32], cv2.resize(image, (48, 16)).reshape(16, 48, channels))


def test_stretch(smooth) -> None:
    image = smooth(4, 30, 90)
    plan = plan_image(None, 90, 30, Preprocessing((3, 48, 40), resize_mode="stretch"))
    np.testing.assert_array_equal(execute(image, plan), cv2.resize(image, (40, 48)))


def test_grey_images_change_in_lightness_only() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    plan = plan_image(None, 16, 16, Preprocessing((1, 16, 16)))
    brighter = execute(levels, replace(plan, h=30, s=40, l=20))
    np.testing.assert_array_equal(brighter, np.clip(levels.astype(int) + 20, 0, 255))


def test_hue_is_clamped_not_wrapped() -> None:
    red = np.full((4, 4, 3), (200, 10, 10), np.uint8)
    plan = plan_image(None, 4, 4, Preprocessing((3, 4, 4)))
    result = execute(red, replace(plan, h=-30))
    assert np.abs(result.astype(int) - red).max() <= 2


def test_the_source_is_not_changed(smooth) -> None:
    image = smooth(5, 48, 56)
    before = image.copy()
    plan = replace(plan_image(None, 56, 48, Preprocessing((3, 48, 56))), h=9, s=9, l=9, mirror=True)
    assert not np.array_equal(execute(image, plan), before)
    np.testing.assert_array_equal(image, before)


CHANGES = {
    "cut": {},
    "mirror": {"mirror": True},
    "colour": {"h": 9, "s": 8, "l": 7},
    "colour and mirror": {"h": 9, "s": 8, "l": 7, "mirror": True},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("distortion", "pad_size"), [(None, 0), (Distortion(angle=7, scale=1.1), 0), (Distortion(angle=7), 3)]
)
def test_the_result_is_written_where_it_is_wanted(
    smooth, channels: int, distortion: Distortion | None, pad_size: int, changes: dict[str, object]
) -> None:
    image = np.ascontiguousarray(smooth(6, 60, 70)[..., :channels])
    layout = lay_out(70, 60, Preprocessing((channels, 40, 44), resize=50), distortion, pad_size)
    plan = ImagePlan(layout, crop_y=2, crop_x=1, **changes)
    batch = np.full((3, 40, 44, channels), 200, np.uint8)
    place = batch[1]
    expected = execute(image, plan)
    for scratch in (None, Scratch()):
        batch[1] = 0
        assert execute(image, plan, out=place, scratch=scratch) is place
        np.testing.assert_array_equal(batch[1], expected)
        assert (batch[[0, 2]] == 200).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_enlarged_twice_after_the_resize_with_scratch(smooth, channels: int) -> None:
    image = np.ascontiguousarray(smooth(6, 60, 40)[..., :channels])
    plan = plan_image(None, 40, 60, Preprocessing((channels, 44, 52), resize=20))
    assert plan.layout.enlargements
    place = np.zeros((44, 52, channels), np.uint8)
    np.testing.assert_array_equal(execute(image, plan, out=place, scratch=Scratch()), execute(image, plan))


def test_scratch_is_only_for_what_ends_in_memory_of_the_caller(smooth) -> None:
    with pytest.raises(AssertionError, match="memory that is used again"):
        execute(smooth(6, 60, 70), plan_image(None, 70, 60, Preprocessing((3, 40, 44))), scratch=Scratch())


def test_an_image_that_needs_no_change_is_copied_to_where_it_is_wanted(smooth) -> None:
    image, place = smooth(7, 20, 30), np.zeros((20, 30, 3), np.uint8)
    execute(image, plan_image(None, 30, 20, Preprocessing((3, 20, 30))), out=place)
    np.testing.assert_array_equal(place, image)
    assert not np.may_share_memory(place, image)
