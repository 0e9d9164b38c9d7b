"""Pixels: decoding, preprocessing, augmentation, and the loader that feeds a device."""

from imclass.images.bad_images import BadImage, BadImages
from imclass.images.decode import decode
from imclass.images.generated import generated_pixels
from imclass.images.header import MAX_PIXELS, dimensions
from imclass.images.loader import Batch, Loader, Request
from imclass.images.preprocess import augment, preprocess
from imclass.images.settings import AUGMENTATIONS, Augmentation, Preprocessing, with_pad_size
from imclass.images.workers import available_cores, thread_count

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
