"""Looks at every image of a data set once: can it be read, how large is it, and which others is it like?"""

import hashlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from imclass.data import Source, in_advance
from imclass.errors import ImageError
from imclass.images.decode import decode_with_header
from imclass.images.header import is_cut_off, read_header, stored_channels
from imclass.images.ordered import map_in_order
from imclass.images.perceptual_hash import HASH_WORDS, perceptual_hash

FORMATS = ("jpeg", "png")
_DIGEST_BYTES = 16  # of SHA-256: chance of a false duplicate among a billion images below 1e-20
_LEAST_SIDE = 32  # pixels that the hash is made of, at least


class UnreadableImage(NamedTuple):
    """An image that cannot be decoded.

    Attributes:
        sample: its number in the source.
        key: its name there.
        reason: what is wrong.
        cut_off: whether its end is missing.
    """

    sample: int
    key: str
    reason: str
    cut_off: bool


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen of the N images of a source.

    Attributes:
        source: the data set.
        unreadable: the images that cannot be decoded; their rows below are 0.
        readable: (N,) bool.
        widths, heights: (N,) int32, pixels as displayed.
        channels: (N,) uint8, as stored.
        formats: (N,) uint8, numbers in `FORMATS`.
        digests: (N, 2) uint64, hash of the encoded bytes.
        hashes: (N, 2) uint64, perceptual hash.
    """

    source: Source
    unreadable: tuple[UnreadableImage, ...]
    readable: NDArray[np.bool_]
    widths: NDArray[np.int32]
    heights: NDArray[np.int32]
    channels: NDArray[np.uint8]
    formats: NDArray[np.uint8]
    digests: NDArray[np.uint64]
    hashes: NDArray[np.uint64]


class _Look(NamedTuple):
    width: int
    height: int
    channels: int
    format: int
    digest: NDArray[np.uint64]
    hash: NDArray[np.uint64]


def survey(source: Source, *, threads: int = 0, progress: Callable[[int], None] = lambda done: None) -> Survey:
    """Decode every image of a source.

    Args:
        threads: number of threads; 0 = one for each core.
        progress: called with the number of images that became done.

    Raises:
        DataError: the source is broken.
    """
    cv2.setNumThreads(0)  # the threads are ours: one image each
    count = len(source)
    seen = Survey(
        source=source,
        unreadable=(),
        readable=np.zeros(count, np.bool_),
        widths=np.zeros(count, np.int32),
        heights=np.zeros(count, np.int32),
        channels=np.zeros(count, np.uint8),
        formats=np.zeros(count, np.uint8),
        digests=np.zeros((count, HASH_WORDS), np.uint64),
        hashes=np.zeros((count, HASH_WORDS), np.uint64),
    )
    unreadable = []
    with (
        in_advance(source, [np.arange(count)], lambda chosen: chosen) as groups,
        closing(map_in_order(lambda index: _look(source, index), next(groups).tolist(), threads)) as looks,
    ):
        for index, look in enumerate(looks):
            if isinstance(look, UnreadableImage):
                unreadable.append(look)
            else:
                seen.readable[index] = True
                seen.widths[index], seen.heights[index] = look.width, look.height
                seen.channels[index], seen.formats[index] = look.channels, look.format
                seen.digests[index], seen.hashes[index] = look.digest, look.hash
            progress(1)
    return replace(seen, unreadable=tuple(unreadable))


def _look(source: Source, index: int) -> _Look | UnreadableImage:
    data = b""
    try:
        data = source[index].image
        header = read_header(data)
        grey = decode_with_header(data, header, 1, at_least=(_LEAST_SIDE, _LEAST_SIDE))
    except ImageError as error:
        return UnreadableImage(index, source.key(index), error.what, is_cut_off(data))
    digest = np.frombuffer(hashlib.sha256(data).digest()[:_DIGEST_BYTES], np.uint64)
    channels = stored_channels(data, header)
    return _Look(header.width, header.height, channels, FORMATS.index(header.format), digest, perceptual_hash(grey))
