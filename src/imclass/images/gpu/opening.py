"""Finds out whether JPEGs can be decoded and augmented on a device, and whether that is fast, by doing it.

Drivers, torchvision and Triton come in many combinations. One image that is made for the purpose goes through all of
it and is compared with the CPU's result, so that what does not work here is a line in the log, not a failed run.

GPUs without an engine for JPEGs decode on their multiprocessors, one image after the other. So a few images are decoded
on both sides and timed, before `auto` takes the GPU.
"""

import logging
import time
from typing import Literal

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray

from imclass.errors import UserError
from imclass.images.gpu.decoder import HardwareDecoder, NvjpegDecoder
from imclass.images.gpu.lane import Hardware
from imclass.images.gpu.share import MOST_HELPERS, DecodeShare
from imclass.images.plan_batch import plan_batch
from imclass.images.preprocess import preprocess
from imclass.images.settings import Preprocessing

logger = logging.getLogger(__name__)

DecoderChoice = Literal["auto", "cpu", "hardware"]
"""What decodes for a loader on a GPU.

    auto        training: the hardware decoder where it is faster than the CPU threads, and helped by them where that
                is faster still; validation: the CPU threads, so that its pixels are those of prediction and serving,
                bit for bit
    cpu         the CPU threads
    hardware    the hardware decoder alone, all JPEGs that suit it, so that the pixels do not depend on measured speeds
"""

_TRIAL_SECONDS = 60.0  # longest wait for a lane, of which all are free
_TOLERANCE = 4.0  # levels, on average; a wrong size, turn or colour gives more than 20
_TIMED_SIZE = (500, 375)  # pixels, the commonest size of ImageNet's images
_TIMED_IMAGES = 64  # for the decoder
_TIMED_ON_CPU = 4  # for one thread


def wants_hardware(choice: DecoderChoice, device: torch.device, *, augments: bool) -> bool:
    """Whether a loader that was given this choice asks for the hardware decoder.

    Raises:
        ValueError: the choice is none of `DecoderChoice`.
    """
    if choice not in ("auto", "cpu", "hardware"):
        raise ValueError(f"decoder must be auto, cpu or hardware, not {choice!r}")
    return choice == "hardware" or (choice == "auto" and device.type == "cuda" and augments)


def check_device(choice: DecoderChoice, device: torch.device) -> None:
    """Refuse the hardware decoder where there is no GPU.

    Raises:
        UserError: `hardware` is asked for on another device.
    """
    if choice == "hardware" and device.type != "cuda":
        raise UserError(
            f"decoder=hardware is for a GPU, and this runs on the {device.type.upper()}",
            where="decoder",
            fix="Choose decoder=auto, which takes what there is, or decoder=cpu.",
        )


def open_hardware(
    choice: DecoderChoice, device: torch.device, threads: int, decoder: HardwareDecoder | None = None
) -> Hardware | None:
    """The hardware decoder of a device, tried out; None, and a line in the log, where `auto` finds that it fails.

    Args:
        threads: CPU threads that `auto` may give a share of the work.
        decoder: what to decode with, however fast it is; None = nvJPEG.

    Raises:
        UserError: `hardware` was asked for, and it cannot be had.
    """
    helpers = min(threads, MOST_HELPERS) if choice == "auto" else 0
    try:
        opened = decoder or NvjpegDecoder(device)
        hardware = Hardware(opened, device, DecodeShare(helpers))
        reason, level = _wrongness(trial(hardware)), logging.WARNING
        if reason is None and choice == "auto" and decoder is None:
            reason, level = _slowness(*race(opened, threads)), logging.INFO
    except ImportError as problem:
        reason, level = f"{problem}. {_remedy(problem)}", logging.INFO
    except Exception as problem:  # noqa: BLE001  (anything can be wrong with a driver; it is logged or raised below)
        reason, level = f"{type(problem).__name__}: {problem}", logging.WARNING
    else:
        if reason is None:
            helped = f", with the help of {helpers} threads where that is faster" if helpers else ""
            logger.info("JPEGs are decoded on %s%s", opened.name, helped)
            return hardware
    if choice == "hardware":
        raise UserError(
            f"JPEGs cannot be decoded on {device}: {reason}",
            where="decoder",
            fix="Install torchvision and Triton builds that fit this torch and driver, or choose auto or cpu.",
        )
    logger.log(level, "JPEGs are decoded on %d CPU threads, not on the GPU: %s", threads, reason)
    return None


def _remedy(problem: ImportError) -> str:
    """How to get the package that is missing."""
    if (problem.name or "").partition(".")[0] == "triton":
        return "Triton comes with PyTorch's CUDA builds for Linux"
    return "pip install 'imclass[gpu]' changes that"


def _wrongness(difference: float) -> str | None:
    if difference <= _TOLERANCE:
        return None
    return f"its pixels differ from the CPU's by {difference:.1f} levels on average"


def _slowness(of_decoder: float, of_threads: float) -> str | None:
    if of_decoder >= of_threads:
        return None
    return f"it decodes {of_decoder:,.0f} images a second, the threads about {of_threads:,.0f}"


def trial(hardware: Hardware) -> float:
    """Mean absolute difference in levels between this hardware's and the CPU's result for one image."""
    preprocessing = Preprocessing((3, 96, 96), 120)
    data = simplejpeg.encode_jpeg(_picture(224, 160), quality=95, colorspace="RGB", colorsubsampling="420")
    with hardware.lane(_TRIAL_SECONDS) as lane, lane.on_stream():
        [decoded] = hardware.decoder.decode(lane.as_tensors([data]), 3)
        if decoded is None:
            raise RuntimeError("it refused a plain JPEG")
        out = torch.empty((1, 96, 96, 3), dtype=torch.uint8, device=hardware.device)
        plan = plan_batch(None, np.array([224]), np.array([160]), preprocessing)
        lane.tables.prepare(np.ones(1, np.int64), plan, np.zeros(1, np.int64))
        lane.tables.launch([decoded], out, fill_value=127)
        result = out[0].cpu().numpy()  # which waits for the kernel
    return float(np.abs(result.astype(np.int64) - preprocess(data, preprocessing)).mean())


def race(decoder: HardwareDecoder, threads: int) -> tuple[float, float]:
    """Images of ImageNet's size and detail that the decoder and all CPU threads decode in a second."""
    noise = np.random.default_rng(0).integers(0, 32, (*_TIMED_SIZE[::-1], 3), np.uint8)
    picture = _picture(*_TIMED_SIZE) // 8 * 7 + noise
    data = simplejpeg.encode_jpeg(picture, quality=90, colorspace="RGB", colorsubsampling="420")
    encoded = [torch.frombuffer(bytearray(data), dtype=torch.uint8)] * _TIMED_IMAGES
    decoder.decode(encoded, 3)  # the first time it takes memory
    began = time.perf_counter()
    [*_, last] = decoder.decode(encoded, 3)
    assert last is not None, "the one of the trial was decoded"
    last.cpu()  # which waits for it
    of_decoder = _TIMED_IMAGES / (time.perf_counter() - began)
    began = time.perf_counter()
    for _ in range(_TIMED_ON_CPU):
        simplejpeg.decode_jpeg(data)
    return of_decoder, threads * _TIMED_ON_CPU / (time.perf_counter() - began)


def _picture(width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8: three slopes, no two of them alike, so that no turn or exchange goes unseen."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return (255 * np.stack([x, y, (1 - x) * y], axis=-1)).astype(np.uint8)
