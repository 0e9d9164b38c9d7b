import numpy as np
import pytest

from imclass.errors import ImageError
from imclass.images import AUGMENTATIONS, Augmentation, Preprocessing, augment, decode, preprocess
from imclass.images.draws import draw
from imclass.images.plan import plan_image
from imclass.images.warp_cpu import execute


def test_exact_decode_is_decode_then_plan(jpeg, smooth) -> None:
    data = jpeg(smooth(1, 300, 400))
    preprocessing = Preprocessing((3, 48, 48), 64)
    expected = execute(decode(data), plan_image(None, 400, 300, preprocessing))
    np.testing.assert_array_equal(preprocess(data, preprocessing, scaled_decode=False), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_scaled_decode_differs_little(jpeg, smooth, channels: int) -> None:
    data = jpeg(smooth(2, 480, 640))
    preprocessing = Preprocessing((channels, 96, 96), 110)
    exact = preprocess(data, preprocessing, scaled_decode=False).astype(int)
    scaled = preprocess(data, preprocessing, scaled_decode=True).astype(int)
    assert not np.array_equal(exact, scaled)
    assert np.abs(exact - scaled).mean() < 0.6
    assert np.abs(exact - scaled).max() <= 8


def test_scaled_decode_is_exact_where_nothing_shrinks_by_half(jpeg, smooth) -> None:
    data = jpeg(smooth(3, 200, 300))
    for preprocessing in (Preprocessing((3, 96, 96), 101), Preprocessing((3, 96, 96))):
        np.testing.assert_array_equal(
            preprocess(data, preprocessing), preprocess(data, preprocessing, scaled_decode=False)
        )


def test_augment_without_settings_is_preprocess(jpeg, smooth) -> None:
    data = jpeg(smooth(4, 90, 120))
    preprocessing = Preprocessing((3, 48, 48), 64)
    row = draw(0, 0, 0, 1)[0]
    np.testing.assert_array_equal(augment(data, preprocessing, Augmentation(), row), preprocess(data, preprocessing))


@pytest.mark.parametrize("name", list(AUGMENTATIONS))
def test_augment_is_a_function_of_its_row(png, smooth, name: str) -> None:
    data = png(smooth(5, 90, 120))
    preprocessing = Preprocessing((3, 48, 48), 64)
    first, second = draw(0, 0, 0, 2)
    result = augment(data, preprocessing, AUGMENTATIONS[name], first)
    assert result.shape == (48, 48, 3)
    np.testing.assert_array_equal(augment(data, preprocessing, AUGMENTATIONS[name], first), result)
    changes = not np.array_equal(augment(data, preprocessing, AUGMENTATIONS[name], second), result)
    assert changes == (name != "none")


def test_the_result_does_not_hold_on_to_the_whole_image(png, smooth) -> None:
    result = preprocess(png(smooth(6, 300, 300)), Preprocessing((3, 8, 8)))
    assert result.flags.c_contiguous
    assert result.base is None or result.base.nbytes == result.nbytes


def test_unreadable() -> None:
    with pytest.raises(ImageError, match="a GIF"):
        preprocess(b"GIF89a", Preprocessing((3, 8, 8)))
