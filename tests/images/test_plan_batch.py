from dataclasses import replace

import numpy as np
import pytest

from imclass.errors import ImageError
from imclass.images import AUGMENTATIONS, Augmentation, Preprocessing
from imclass.images.draws import draw
from imclass.images.plan import ImagePlan, plan_image
from imclass.images.plan_batch import BatchPlan, plan_batch

SHAPE = (3, 48, 56)
SIZES = [(90, 70), (70, 90), (500, 375), (60, 60), (56, 48), (57, 49), (20, 60), (10, 24), (55, 300), (300, 47), (7, 5)]
EVERYTHING = replace(AUGMENTATIONS["crop_color_transform"], min_random_scale=0.4, max_random_scale=1.3, pad_size=3)

PREPROCESSINGS = [
    Preprocessing(SHAPE),
    Preprocessing(SHAPE, 64),
    Preprocessing(SHAPE, 40),
    Preprocessing(SHAPE, resize_mode="pad"),
    Preprocessing(SHAPE, 60, "pad"),
    Preprocessing(SHAPE, resize_mode="stretch"),
    Preprocessing((1, 33, 20), 30, "stretch"),
]
AUGMENTATION_CASES = [None, Augmentation(), *(AUGMENTATIONS[name] for name in ("crop", "crop_color")), EVERYTHING]
AUGMENTATION_CASES += [AUGMENTATIONS["crop_color_transform"], replace(AUGMENTATIONS["crop"], pad_size=4)]


def whole_matrix(plan: BatchPlan, row: int) -> np.ndarray:
    """(2, 3) from output to source coordinates, as `ImagePlan.matrix`."""
    resized = np.array([plan.resized.width[row], plan.resized.height[row]])
    scale = np.array([plan.source.width[row], plan.source.height[row]]) / resized
    matrix = plan.matrix[row].copy()
    matrix[:, 2] -= plan.left[row], plan.top[row]
    matrix *= scale[:, np.newaxis]
    matrix[:, 2] += scale / 2 - 0.5
    return matrix


def check(plan: BatchPlan, row: int, single: ImagePlan) -> None:
    layout = single.layout
    assert (plan.source.width[row], plan.source.height[row]) == layout.source
    assert (plan.resized.width[row], plan.resized.height[row]) == layout.resized
    assert (plan.top[row], plan.left[row]) == (layout.border.top, layout.border.left)
    assert plan.canvas.width[row] == layout.resized.width + layout.border.left + layout.border.right
    assert plan.canvas.height[row] == layout.resized.height + layout.border.top + layout.border.bottom
    assert plan.offsets[row].tolist() == [single.h, single.s, single.l]
    assert plan.is_enlarged[row] == layout.is_enlarged
    assert plan.is_shift[row] == (layout.forward is None and not layout.enlargements)
    assert plan.on_grid[row] == (layout.forward is not None)
    assert plan.needs_steps[row] == (layout.forward is not None and bool(layout.enlargements))
    if layout.forward is None:  # the limits are the edges of what is enlarged
        first, last = plan.limits[row].reshape(2, 2).T
        corners = np.sort(
            np.diagonal(plan.matrix[row]) * [first, last] + plan.matrix[row][:, 2] + layout.pad_size, axis=0
        )
        np.testing.assert_allclose(corners, [[0, 0], np.array(layout.warped) + 2 * layout.pad_size - 1], atol=1e-6)
    np.testing.assert_allclose(whole_matrix(plan, row), single.matrix, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS)
@pytest.mark.parametrize("augmentation", AUGMENTATION_CASES)
def test_batch_plan_is_the_plan_of_each_image(preprocessing, augmentation) -> None:
    sizes = np.array(SIZES * 4)
    rows = draw(6, 2, 0, len(sizes))
    plan = plan_batch(rows, sizes[:, 0], sizes[:, 1], preprocessing, augmentation)
    for row, (width, height) in enumerate(sizes.tolist()):
        check(plan, row, plan_image(rows[row], width, height, preprocessing, augmentation))


def test_without_draws() -> None:
    sizes = np.array(SIZES)
    plan = plan_batch(None, sizes[:, 0], sizes[:, 1], Preprocessing(SHAPE, 64))
    for row, (width, height) in enumerate(SIZES):
        check(plan, row, plan_image(None, width, height, Preprocessing(SHAPE, 64)))


@pytest.mark.parametrize("augmentation", [Augmentation(), AUGMENTATIONS["crop_color_transform"]])
def test_long_thin_images_are_refused_as_one_by_one(augmentation) -> None:
    sizes = [(1, 60_000), (32, 40_000), (40, 50), (60_000, 1)]
    rows = draw(0, 0, 0, len(sizes))
    preprocessing = Preprocessing((3, 32, 32), 32)
    plan = plan_batch(rows, *np.array(sizes).T, preprocessing, augmentation)
    for row, (width, height) in enumerate(sizes):
        if max(width, height) > 1000 and plan.needs_steps[row]:
            with pytest.raises(ImageError, match="too long and thin"):
                plan_image(rows[row], width, height, preprocessing, augmentation)
        else:
            check(plan, row, plan_image(rows[row], width, height, preprocessing, augmentation))
    assert plan.needs_steps.tolist() == [augmentation.distorts, augmentation.distorts, False, augmentation.distorts]
    huge = plan_batch(None, np.array([1]), np.array([100_000]), Preprocessing((3, 64, 64), 64))
    assert huge.needs_steps.all()


def test_the_window_is_what_the_canvas_reaches() -> None:
    first_corner = np.zeros((1, 16), np.float32)  # cut at the first row and column, mirrored
    augmentation = Augmentation(random_crop=True, random_mirror=True, pad_size=5)
    plan = plan_batch(first_corner, np.array([56]), np.array([48]), Preprocessing(SHAPE), augmentation)
    assert plan.window.tolist() == [[-5, 51, 5, 53]]
    centre = plan_batch(first_corner, np.array([56]), np.array([48]), Preprocessing(SHAPE), Augmentation(pad_size=5))
    assert centre.window.tolist() == [[0, 56, 0, 48]]


def test_a_part_of_a_plan() -> None:
    sizes = np.array(SIZES)
    rows = draw(1, 0, 0, len(sizes))
    plan = plan_batch(rows, *sizes.T, Preprocessing(SHAPE, 64), EVERYTHING)
    part = plan.taken(np.array([3, 0]))
    for place, row in enumerate((3, 0)):
        check(part, place, plan_image(rows[row], *SIZES[row], Preprocessing(SHAPE, 64), EVERYTHING))
        np.testing.assert_array_equal(part.window[place], plan.window[row])
