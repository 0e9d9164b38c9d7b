"""Pixels: decoding, preprocessing, augmentation, and the loader that feeds a device."""

from typing import TYPE_CHECKING

from imclass.images.bad_images import BadImage, BadImages
from imclass.images.decode import decode
from imclass.images.generated import generated_pixels
from imclass.images.header import MAX_PIXELS, dimensions
from imclass.images.preprocess import augment, preprocess
from imclass.images.settings import AUGMENTATIONS, Augmentation, Preprocessing, with_pad_size
from imclass.images.workers import available_cores, thread_count

if TYPE_CHECKING:
    from imclass.images.loader import Batch, Loader, Request

__all__ = [
    "AUGMENTATIONS",
    "MAX_PIXELS",
    "Augmentation",
    "BadImage",
    "BadImages",
    "Batch",
    "Loader",
    "Preprocessing",
    "Request",
    "augment",
    "available_cores",
    "decode",
    "dimensions",
    "generated_pixels",
    "preprocess",
    "thread_count",
    "with_pad_size",
]

_OF_THE_LOADER = ("Batch", "Loader", "Request")


def __getattr__(name: str) -> object:
    """Import the loader when it is asked for: it needs torch, whose import takes longer than packing 1,000 images."""
    if name in _OF_THE_LOADER:
        from imclass.images import loader

        return getattr(loader, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
