"""Pieces and shards: every image once, whoever does it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imclass.errors import UserError
from imclass.inference.transform.pieces import LARGEST_PIECE, PIECE_UNIT, Shard, piece_size, plan_pieces


@given(st.lists(st.integers(0, 3000), max_size=6), st.integers(1, 9))
def test_shards_together_hold_every_image_once(objects: list[int], shards: int) -> None:
    pieces = plan_pieces(sum(objects), objects)
    dealt = [piece for index in range(shards) for piece in Shard(index, shards).of(pieces)]
    assert sorted(image for piece in dealt for image in piece.images) == list(range(sum(objects)))
    assert [piece.number for piece in pieces] == list(range(len(pieces)))


def test_no_piece_holds_images_of_two_files() -> None:
    pieces = plan_pieces(200, [70, 0, 130])
    assert [(piece.start, piece.stop, piece.object_number) for piece in pieces] == [
        (0, 64, 0),
        (64, 70, 0),
        (70, 134, 2),
        (134, 198, 2),
        (198, 200, 2),
    ]


@pytest.mark.parametrize(
    ("images", "size"), [(1, 64), (16384, 64), (16385, 128), (1_000_000, 3968), (10**9, LARGEST_PIECE)]
)
def test_size_of_pieces_grows_with_the_job(images: int, size: int) -> None:
    assert piece_size(images) == size
    assert size % PIECE_UNIT == 0


def test_there_is_no_shard_beyond_the_last() -> None:
    with pytest.raises(UserError, match="no shard 2 of 2"):
        Shard(2, 2)
