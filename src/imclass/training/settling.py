"""All hyperparameters of a run: given, from a recipe, chosen from the data, or the original's defaults."""

import logging
from collections.abc import Mapping
from pathlib import Path

from imclass import artifact, models
from imclass.data import PipeChannel, Source
from imclass.device import multiplies_bfloat16
from imclass.errors import ArtifactError, UserError
from imclass.hyperparameters import FIELDS, Hyperparameters, Value, parse, to_strings
from imclass.training.choices import choose, look_at, worth_pretraining
from imclass.training.process_group import Processes

log = logging.getLogger(__name__)


def settle(
    given: Mapping[str, object],
    source: Source | PipeChannel,
    *,
    chooses: bool,
    initial_model: artifact.Description | None,
    pretrained: Path | None,
    processes: Processes,
) -> tuple[Hyperparameters, Path | None]:
    """All hyperparameters, and the file of pretrained weights to start from, if any.

    Args:
        given: raw values by name.
        source: the training images; nothing is chosen from a pipe, which cannot be looked at.
        chooses: choose from the data what is not given, and take pretrained weights where they can be had.
        initial_model: what the model is that the run goes on from.
        pretrained: weights file that was asked for.

    Raises:
        HyperparameterError: all that is wrong with the values.
        ArtifactError: weights that were asked for cannot be had.
    """
    if initial_model and pretrained:
        raise UserError("give a model to go on from or pretrained weights, not both", where="--pretrained")
    raw = dict(given) if isinstance(source, PipeChannel) else {"num_training_samples": len(source), **given}
    if not chooses or isinstance(source, PipeChannel):
        settings = parse(raw, fine_tuning=bool(initial_model or pretrained))
        return settings, find_weights(settings, pretrained)

    if initial_model:
        raw = {**network_of(initial_model), **raw}
    named = parse(raw, fine_tuning=bool(initial_model or pretrained))
    typed = {name: getattr(named, FIELDS[name].attribute) for name in raw if raw[name] is not None}
    facts = look_at(source, on_gpu=processes.device.type == "cuda")
    if initial_model:
        chosen = choose(facts, typed, fine_tuning=True)
        return announce(parse({**chosen, **raw}, fine_tuning=True), chosen), None
    asked = "use_pretrained_model" in given or pretrained is not None
    if not asked and worth_pretraining(facts, typed):
        with_weights = choose(facts, typed, fine_tuning=True) | {"use_pretrained_model": True}
        settings = parse({**with_weights, **raw}, fine_tuning=True)
        weights = try_to_download(settings.num_layers, processes)
        if weights:
            return announce(settings, with_weights), weights
    wanted = bool(pretrained) or named.use_pretrained_model
    chosen = choose(facts, typed, fine_tuning=wanted)
    settings = parse({**chosen, **raw}, fine_tuning=wanted)
    return announce(settings, chosen), find_weights(settings, pretrained)


def try_to_download(num_layers: int, processes: Processes) -> Path | None:
    """Public weights if every process can have them, else None and a line in the log that says why."""
    weights, reason = None, ""
    try:
        weights = models.download_pretrained(num_layers)
    except ArtifactError as error:
        reason = error.what
    if processes.any(weights is None):
        why = reason or "another process cannot have them"
        log.warning("Training from scratch, pretrained weights cannot be had: %s", why)
        return None
    return weights


def announce(settings: Hyperparameters, chosen: Mapping[str, Value]) -> Hyperparameters:
    if chosen:
        values = to_strings(settings)
        words = ", ".join(f"{name}={values.get(name, value)}" for name, value in chosen.items())
        log.info("Chosen from the data: %s", words)
    return settings


def settle_precision(settings: Hyperparameters, processes: Processes) -> Hyperparameters:
    """Put a number format in the place of `precision_dtype=auto`, the same on all processes of the run."""
    if settings.precision_dtype != "auto":
        return settings
    emulates = processes.any(not multiplies_bfloat16(processes.device))
    chosen = "float32" if emulates else "bfloat16"
    log.info(
        "precision_dtype=auto: %s, because %s (%s) %s bfloat16",
        chosen,
        "the device" if processes.world_size == 1 else "a device of the run" if emulates else "every device of the run",
        processes.device.type,
        "only emulates" if emulates else "multiplies",
    )
    return settings.model_copy(update={"precision_dtype": chosen})


def network_of(description: artifact.Description) -> dict[str, object]:
    """The hyperparameters that an earlier model fixes."""
    fixed: dict[str, object] = {
        "network": description.network,
        "num_layers": description.num_layers,
        "image_shape": description.image_shape,
        "num_classes": description.num_classes,
        "multi_label": description.multi_label,
        "resize_mode": description.resize_mode,
    }
    return fixed if description.resize is None else fixed | {"resize": description.resize}


def find_weights(settings: Hyperparameters, pretrained: Path | None) -> Path | None:
    """The file of pretrained weights that was asked for.

    Raises:
        ArtifactError: it is not there or cannot be fetched.
    """
    if pretrained is not None:
        if not pretrained.is_file():
            raise ArtifactError("there is no such weights file", where=str(pretrained))
        return pretrained
    return models.download_pretrained(settings.num_layers) if settings.use_pretrained_model else None
