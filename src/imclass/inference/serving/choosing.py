"""Chooses what computes a model: what the user says, or the fastest that agrees with validation."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.errors import UserError
from imclass.inference.serving.backends import BACKENDS, Backend, BackendKind, LoadedModel

logger = logging.getLogger(__name__)

AUTO = "auto"

TOLERANCES = {"float32": 1e-4, "bfloat16": 0.02}
"""Largest difference of a probability from torch's in float32 that `auto` accepts, by precision."""

MEASURED_SECONDS = 1.0  # of each candidate, after its first batch
GENERATED_IMAGES = 16  # to compare answers on


@dataclass(frozen=True)
class Candidate:
    """A backend that was measured before one was chosen.

    Attributes:
        backend: its name.
        precision: of its convolutions.
        images_per_second: in batches of the largest size.
        largest_difference: of a probability from that of the model as it was validated (torch in float32).
        verdict: in words, why it was taken or not.
    """

    backend: str
    precision: str
    images_per_second: float
    largest_difference: float
    verdict: str


def choose(
    model: LoadedModel, device: torch.device, *, backend: str, precision: str, max_batch: int
) -> tuple[Backend, list[Candidate]]:
    """Open the backend for a model.

    Args:
        device: from `choose_device`.
        backend: a key of `BACKENDS`, or auto to measure all that are installed.
        precision: float32, bfloat16, or auto to measure all in which the device computes well.
        max_batch: most images of a batch.

    Returns:
        The backend, and what was measured; nothing when only one was possible.

    Raises:
        UserError: the backend is not installed, or the device does not compute in the precision.
    """
    kinds = _kinds(backend)
    pairs = [(kind, each) for kind in kinds for each in _precisions(kind, model, device, precision)]
    if not pairs:
        raise _impossible(model, device, backend, precision)
    if len(pairs) == 1:
        kind, only = pairs[0]
        return kind.open(model, device, only, max_batch), []
    return _fastest(model, device, pairs, max_batch)


def _kinds(backend: str) -> list[BackendKind]:
    if backend == AUTO:
        return [kind for kind in BACKENDS.values() if kind.missing() is None]
    if backend not in BACKENDS:
        raise UserError(f"there is no backend {backend!r}", where="backend", fix=f"Use auto, {', '.join(BACKENDS)}.")
    problem = BACKENDS[backend].missing()
    if problem is not None:
        raise UserError(f"the backend cannot be used here: {problem}", where=f"backend {backend}")
    return [BACKENDS[backend]]


def _precisions(kind: BackendKind, model: LoadedModel, device: torch.device, precision: str) -> Sequence[str]:
    possible = kind.precisions(model, device)
    return possible if precision == AUTO else [each for each in possible if each == precision]


def _impossible(model: LoadedModel, device: torch.device, backend: str, precision: str) -> UserError:
    """That no backend, or not the one that is asked for, computes a model so, and what does."""
    installed = (kind for kind in BACKENDS.values() if kind.missing() is None)
    possible = {kind.name: each for kind in installed if (each := kind.precisions(model, device))}
    ways = "; ".join(f"--backend {name} with --precision {' or '.join(each)}" for name, each in possible.items())
    advice = f"Possible: {ways}." if ways else "Models converted for OpenVINO need --device cpu."
    if precision == "int8" and model.converted is None:
        advice = "Convert the model (imclass convert MODEL OUT.xml --to openvino-int8) and serve OUT.xml."
    subject = "no backend computes" if backend == AUTO else f"the backend {backend} does not compute"
    return UserError(f"{subject} this model in {precision} on {device}", where="precision", fix=advice)


def _fastest(
    model: LoadedModel, device: torch.device, pairs: Sequence[tuple[BackendKind, str]], max_batch: int
) -> tuple[Backend, list[Candidate]]:
    """Measure one after the other; keep open only the fastest so far."""
    pixels = generated_images(model.description.image_shape)
    reference = _reference(model, device, pixels)
    best: Backend | None = None
    best_speed = 0.0
    candidates: list[Candidate] = []
    for kind, precision in pairs:
        opened = kind.open(model, device, precision, max_batch)
        difference = float(np.abs(_in_batches(opened, pixels, max_batch) - reference).max())
        agrees = difference <= TOLERANCES[precision]
        speed = _images_per_second(opened, pixels, max_batch)
        verdict = "agrees" if agrees else f"differs by more than {TOLERANCES[precision]:g}"
        candidates.append(Candidate(kind.name, precision, round(speed, 1), difference, verdict))
        logger.info(
            "%s %s: %.1f images/s, largest difference %.1e, %s", kind.name, precision, speed, difference, verdict
        )
        if agrees and speed > best_speed:
            if best is not None:
                best.close()
            best, best_speed = opened, speed
        else:
            opened.close()
    if best is None:
        raise UserError(
            f"no backend agrees with validation: {'; '.join(f'{each.backend} {each.verdict}' for each in candidates)}",
            where="backend",
            fix="Use torch with float32.",
        )
    return best, candidates


def generated_images(image_shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """(GENERATED_IMAGES, H, W, C) uint8: smooth patterns with noise, the same every time."""
    channels, height, width = image_shape
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = [
        np.sin(generator.uniform(2, 20) * rows + generator.uniform(2, 20) * columns + generator.uniform(0, 6))
        for _ in range(GENERATED_IMAGES * channels)
    ]
    patterns = 127 + 100 * np.stack(waves).reshape(GENERATED_IMAGES, channels, height, width).transpose(0, 2, 3, 1)
    noise = generator.normal(0, 12, patterns.shape)
    return np.ascontiguousarray(np.clip(patterns + noise, 0, 255).astype(np.uint8))


def _reference(model: LoadedModel, device: torch.device, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the model answers as it was validated."""
    usual = BACKENDS[model.usual_backend].open(model, device, model.usual_precision, len(pixels))
    try:
        return usual.predict(pixels)
    finally:
        usual.close()


def _in_batches(backend: Backend, pixels: NDArray[np.uint8], max_batch: int) -> NDArray[np.float32]:
    starts = range(0, len(pixels), max_batch)
    return np.concatenate([backend.predict(pixels[start : start + max_batch]) for start in starts])


def _images_per_second(backend: Backend, pixels: NDArray[np.uint8], max_batch: int) -> float:
    """In batches of the largest size, after one that does not count."""
    batch = np.resize(pixels, (max_batch, *pixels.shape[1:]))
    backend.predict(batch)
    began, batches = time.perf_counter(), 0
    while batches == 0 or time.perf_counter() - began < MEASURED_SECONDS:
        backend.predict(batch)
        batches += 1
    return max_batch * batches / (time.perf_counter() - began)
