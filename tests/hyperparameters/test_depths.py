import pytest

from imclass.errors import UserError
from imclass.hyperparameters.depths import LARGE_DEPTHS, SMALL_DEPTHS, check_depth, is_possible_depth
from imclass.models.layout import layout_of


@pytest.mark.parametrize("depth", [*LARGE_DEPTHS, *SMALL_DEPTHS, 8, 14, 158, 164, 173, 269, 1001])
def test_possible_depths(depth: int) -> None:
    assert check_depth(depth) == depth


@pytest.mark.parametrize(
    ("depth", "nearest"),
    [
        (-5, "8"),
        (0, "8"),
        (2, "8"),
        (19, "18 and 20"),
        (51, "50 and 56"),
        (163, "158 and 164"),
        (1002, "1001"),
        (1010, "1001"),
    ],
)
def test_impossible_depths_name_their_neighbours(depth: int, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"nearest possible: {nearest}$"):
        check_depth(depth)


@pytest.mark.parametrize("height", [28, 32, 224])
def test_agrees_with_the_networks(height: int) -> None:
    def is_built(depth: int) -> bool:
        try:
            layout_of(depth, height)
        except UserError:
            return False
        return True

    depths = range(1, 1100)
    assert [depth for depth in depths if is_built(depth)] == [depth for depth in depths if is_possible_depth(depth)]
