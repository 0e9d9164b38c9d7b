"""JPEGs to levels on the GPU, through nvJPEG as torchvision binds it.

NVIDIA's datacenter GPUs have an engine for this, which leaves the multiprocessors to the training; on others nvJPEG
decodes on them. torchcodec's decoder is not used: at the time of writing it is in no release.
"""

import importlib
from collections.abc import Sequence
from typing import Protocol

import torch

from imclass.data.source import Encoded
from imclass.images.header import ImageHeader, is_cut_off
from imclass.images.preprocess import SMALL_IMAGE_PIXELS

_END_OF_JPEG = b"\xff\xd9"


class HardwareDecoder(Protocol):
    """Decodes JPEGs on a device. Several threads call it; whether it decodes for one after the other is its affair."""

    @property
    def name(self) -> str:
        """What decodes, for a log line."""
        ...

    def decode(self, images: Sequence[torch.Tensor], channels: int) -> list[torch.Tensor | None]:
        """Decode JPEGs that `suits_hardware`.

        Args:
            images: the encoded images, (bytes,) uint8 each on the CPU.
            channels: 3 for RGB, 1 for grey.

        Returns:
            For each image (C, H, W) uint8 on the device, as stored (EXIF orientation not applied), which the current
            stream may use; None for those that the decoder refuses.
        """
        ...


def suits_hardware(data: Encoded, header: ImageHeader) -> bool:
    """Whether an image is left to a hardware decoder; all others are decoded on the CPU.

    The engine knows baseline JPEGs only, has no word for a missing end, and does not tell RGB from YCbCr as libjpeg
    does. Of a small image the CPU is done before it has reached the device.
    """
    is_large = header.stored_width * header.stored_height > SMALL_IMAGE_PIXELS
    return header.is_usual_jpeg and is_large and (data[-2:] == _END_OF_JPEG or not is_cut_off(bytes(data)))


class NvjpegDecoder:
    """`HardwareDecoder` of a CUDA device.

    Raises:
        ImportError: torchvision is not installed, or not for this torch.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        torchvision = importlib.import_module("torchvision")
        self._io = importlib.import_module("torchvision.io")
        self.name = f"{torch.cuda.get_device_name(device)} (nvJPEG of torchvision {torchvision.__version__})"

    def decode(self, images: Sequence[torch.Tensor], channels: int) -> list[torch.Tensor | None]:
        """As `HardwareDecoder.decode`.

        torchvision allocates the results on the current stream but writes them from one of its own, without waiting.
        What this stream still uses must therefore be kept allocated until it is done (`Lane` does so). It decodes one
        list after the other, without Python's lock, in which the next one already waits.
        """
        mode = self._io.ImageReadMode.GRAY if channels == 1 else self._io.ImageReadMode.RGB
        return self._decode(images, mode)

    def _decode(self, encoded: Sequence[torch.Tensor], mode: object) -> list[torch.Tensor | None]:
        """One image that nvJPEG refuses makes it refuse the whole list, so the halves are tried apart."""
        if not encoded:
            return []
        try:
            return list(self._io.decode_jpeg(list(encoded), mode=mode, device=self._device))
        except RuntimeError as problem:
            if _is_fatal(problem):
                raise
        if len(encoded) == 1:
            return [None]
        middle = len(encoded) // 2
        return self._decode(encoded[:middle], mode) + self._decode(encoded[middle:], mode)


def _is_fatal(problem: RuntimeError) -> bool:
    """Whether the device is at fault, not the image. torchvision gives all its errors one type."""
    text = str(problem).lower()
    return isinstance(problem, torch.OutOfMemoryError) or "out of memory" in text or "cuda error" in text
