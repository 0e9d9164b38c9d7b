"""Opens models for the server."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from imclass import artifact
from imclass.errors import UserError
from imclass.inference.exports.openvino_reader import is_openvino, open_openvino
from imclass.inference.serving.backends import LoadedModel
from imclass.inference.serving.choosing import choose
from imclass.inference.serving.decoding import Decoder
from imclass.inference.serving.limits import Limits
from imclass.inference.serving.metrics import Metrics
from imclass.inference.serving.service import Batching, ModelService

logger = logging.getLogger(__name__)

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

DEFAULT_MAX_BATCH = {"cpu": 8, "cuda": 64}
"""A core is busy with one image. On a CPU larger batches cost page faults: at 224 pixels their activations outgrow what
the C library keeps (32 MiB), and each layer gets its memory anew from the system."""


@dataclass(frozen=True)
class Computing:
    """What computes the models.

    Attributes:
        device: from `choose_device`.
        backend: a key of `BACKENDS`, or auto; None for that which computes what was validated.
        precision: float32, bfloat16, int8 or auto; None for that in which the model was validated.
        max_batch: most images of a batch; None for what suits the device.
        max_delay: seconds for which a batch waits for images that are being decoded.
        queue_size: most images that are accepted and not yet answered, of each model.
        calibrated: answer with calibrated probabilities.
    """

    device: torch.device
    backend: str | None = None
    precision: str | None = None
    max_batch: int | None = None
    max_delay: float = 0.005
    queue_size: int = 1024
    calibrated: bool = False


class Opener:
    """Makes a `ModelService` of a file.

    Args:
        computing: what computes.
        decoder: shared by all models.
        limits: of requests.
        metrics: of the server.
    """

    def __init__(self, computing: Computing, decoder: Decoder, limits: Limits, metrics: Metrics) -> None:
        self._computing = computing
        self._decoder = decoder
        self._limits = limits
        self._metrics = metrics

    def open(
        self,
        name: str,
        path: Path,
        *,
        class_names: tuple[str, ...] | None = None,
        image_shape: tuple[int, int, int] | None = None,
    ) -> ModelService:
        """Open a model, which is not started yet.

        Args:
            name: under which it is served.
            path: anything that `artifact.load` takes, or the `.xml` file of a model that was converted for OpenVINO.
            class_names: names in the order of the class numbers, in place of the model's own, if it has any.
            image_shape: (channels, height, width) of a model of MXNet that does not say it.

        Raises:
            UserError: the name cannot be part of a path, the backend cannot be had, or calibrated probabilities cannot.
            ArtifactError: the model cannot be opened, or what was said of it does not fit.
        """
        check_name(name)
        model = load_model(path, class_names=class_names, image_shape=image_shape)
        computing = self._computing
        temperature = _temperature_of(model, path) if computing.calibrated else None
        max_batch = computing.max_batch or DEFAULT_MAX_BATCH[computing.device.type]
        backend, candidates = choose(
            model,
            computing.device,
            backend=computing.backend or model.usual_backend,
            precision=computing.precision or model.usual_precision,
            max_batch=max_batch,
        )
        logger.info("model %r is %s, with %s in %s on %s", name, path, backend.name, backend.precision, backend.device)
        return ModelService(
            name=name,
            path=str(path),
            model=model,
            backend=backend,
            batching=Batching(max_batch, computing.max_delay, max(computing.queue_size, max_batch)),
            decoder=self._decoder,
            limits=self._limits,
            metrics=self._metrics.of_model(name),
            candidates=candidates,
            temperature=temperature,
        )


def _temperature_of(model: LoadedModel, path: Path) -> float:
    temperature = model.description.temperature
    if temperature is None:
        raise UserError(
            "the model has no temperature, so its probabilities cannot be calibrated",
            where=str(path),
            fix="imclass train fits one when it ends by itself; leave --calibrated out for other models.",
        )
    return temperature


def load_model(
    path: Path, *, class_names: tuple[str, ...] | None = None, image_shape: tuple[int, int, int] | None = None
) -> LoadedModel:
    """Open a model file for the backends; arguments and errors are those of `Opener.open`."""
    converted = open_openvino(path) if is_openvino(path) else None
    network = None
    if converted is not None:
        description = converted.description
    else:
        description, network = artifact.load(path, image_shape=image_shape)
    description = artifact.supplemented(description, str(path), class_names=class_names, image_shape=image_shape)
    return LoadedModel(description, network, converted)


def check_name(name: str) -> None:
    """Check that a model's name can be part of a path.

    Raises:
        UserError: it cannot.
    """
    if not MODEL_NAME.fullmatch(name):
        raise UserError(
            f"{name!r} cannot be the name of a model",
            fix="Use up to 63 letters, digits, dots, underscores and hyphens, beginning with a letter or digit.",
        )
