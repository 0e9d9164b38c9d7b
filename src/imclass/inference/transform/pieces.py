"""Divides a job into pieces of consecutive images.

Pieces depend on the images alone, not on who works on them, so that any number of processes, also a different number
after an interruption, does the same work.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from imclass.errors import UserError

PIECES_WANTED = 256  # enough for shards of equal size, few enough to keep track of
PIECE_UNIT = 64  # pieces are multiples of a usual batch, so that few batches are short
LARGEST_PIECE = 4096  # at most so much single-file work is lost when a process is killed


@dataclass(frozen=True, slots=True)
class Piece:
    """Images `start` to `stop` (excluded) of a job.

    Attributes:
        number: place of the piece, from 0.
        object_number: place of the input file that the images are records of; 0 where every image is a file.
    """

    number: int
    start: int
    stop: int
    object_number: int = 0

    @property
    def images(self) -> range:
        """Numbers of its images."""
        return range(self.start, self.stop)


@dataclass(frozen=True, slots=True)
class Shard:
    """A process's share of the pieces.

    Attributes:
        index: 0 <= index < count.
        count: number of shards.

    Raises:
        UserError: there is no such shard.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise UserError(
                f"there is no shard {self.index} of {self.count}", where="shard_index", fix="Count shards from 0."
            )

    def of(self, pieces: Sequence[Piece]) -> list[Piece]:
        """The pieces of this shard; those of all shards together are all pieces, each once."""
        return list(pieces[self.index :: self.count])


def plan_pieces(images: int, objects: Sequence[int] | None = None) -> list[Piece]:
    """Divide a job.

    Args:
        images: number of images.
        objects: number of images of each input file; a piece then never holds images of two files.
    """
    size = piece_size(images)
    pieces: list[Piece] = []
    first = 0
    for object_number, count in enumerate([images] if objects is None else objects):
        for start in range(first, first + count, size):
            pieces.append(Piece(len(pieces), start, min(start + size, first + count), object_number))
        first += count
    assert first == images
    return pieces


def piece_size(images: int) -> int:
    """Number of images of a piece of a job with so many."""
    units = -(-images // (PIECES_WANTED * PIECE_UNIT))
    return min(max(units, 1) * PIECE_UNIT, LARGEST_PIECE)
