"""From what a person typed to a run."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imclass import artifact, models
from imclass.data import Source, find_split_folders, open_channels, open_pair, open_source, split
from imclass.errors import ArtifactError, DataError, UserError
from imclass.hyperparameters import FIELDS, Hyperparameters, Value, parse, to_strings, warnings_of
from imclass.training.choices import choose, look_at, worth_pretraining
from imclass.training.console import console
from imclass.training.job import Job, Run
from imclass.training.labels import check_labels, count_classes
from imclass.training.process_group import Processes, join
from imclass.training.run import run

log = logging.getLogger(__name__)

DEFAULT_VALIDATION_SPLIT = 0.2


@dataclass(frozen=True)
class Data:
    """The opened data of a run, and the model to go on from if a channel brought one."""

    train: Source
    validation: Source
    model: Path | None = None


def train(
    source: str | Path | None = None,
    *,
    output: str | Path,
    validation: str | Path | None = None,
    validation_split: float | None = None,
    channels: Mapping[str, str | Path] | None = None,
    content_types: Mapping[str, str] | None = None,
    model: str | Path | None = None,
    pretrained: str | Path | None = None,
    image_root: str | Path | None = None,
    validation_image_root: str | Path | None = None,
    attribute_names: tuple[str, str] | None = None,
    label_format: str = "multi-hot",
    hyperparameters: Mapping[str, object] | None = None,
    resume: bool = False,
    threads: int = 0,
    device: str = "auto",
    quiet: bool = False,
    log_file: str | Path | None = None,
) -> Run:
    """Train an image classifier.

    Args:
        source: a folder with one folder of images a class, a `.rec` or a folder of them, a `.lst`, or an augmented
            manifest. Training then starts from the modern recipe, and what is not given is chosen from the data.
        output: folder for the model file, metrics, events and checkpoints; made when missing.
        validation: images to validate on, of the same kinds; without it a part of `source` is set aside.
        validation_split: that part, between 0 and 1, stratified by class (default 0.2).
        channels: instead of `source`, the original's channels: train, validation, train_lst, validation_lst, model.
            Training then starts from the original's defaults.
        content_types: content type of channels, for parameters such as label-format.
        model: model file to go on training (incremental training).
        pretrained: weights file (safetensors or a torch state dict) to start from, with a new last layer.
        image_root: folder that the paths of a `.lst` start from (default: the folder of the list).
        validation_image_root: the same for the validation list.
        attribute_names: image and label attribute of a manifest.
        label_format: "multi-hot" or "class-id", for manifests.
        hyperparameters: by name, as strings or values. `recipe=sagemaker` starts from the original's defaults.
        resume: go on from the last checkpoint in `output`, if there is one.
        threads: decoding threads, 0 for one a core.
        device: "auto", "cpu" or "cuda".
        quiet: log warnings and errors only.
        log_file: append all log lines to this file.

    Returns:
        Metrics of every epoch and the path of the model file.

    Raises:
        UserError: anything that the caller can put right; internal faults raise other exceptions.
    """
    given = dict(hyperparameters or {})
    if (source is None) == (not channels):
        raise UserError("give either a source or channels", fix="A source is a folder, .rec, .lst or manifest.")
    output = Path(output)
    with (
        join(device) as processes,
        console(quiet=quiet, log_file=Path(log_file) if log_file else None, speaks=processes.local_rank == 0) as shown,
    ):
        prepare_output(output, resume, processes)
        if channels:
            data = data_of_channels(
                channels, content_types or {}, given, validation_split, attribute_names, label_format
            )
        else:
            assert source is not None
            data = data_of_source(
                source,
                validation,
                validation_split,
                given,
                image_root=image_root,
                validation_image_root=validation_image_root,
                attribute_names=attribute_names,
                label_format=label_format,
            )
        initial_model = Path(model) if model else data.model
        people = not channels and str(given.get("recipe", "modern")) == "modern"
        settings, weights = settle(given, data.train, people, initial_model, pretrained, processes)
        job = make_job(data, settings, output, weights, initial_model, resume, threads)
        describe(job, processes)
        return run(job, processes, shown)


def prepare_output(output: Path, resume: bool, processes: Processes) -> None:
    """Make the output folder; refuse one that holds an earlier run unless it is to be resumed."""
    held = [name for name in ("model.tar.gz", "checkpoints/last.pt") if (output / name).exists()]
    processes.barrier()  # everybody has looked before anybody writes
    if held and not resume:
        raise UserError(
            f"the folder holds a run already ({', '.join(held)})",
            where=str(output),
            fix="Choose another --output, or go on with that run: --resume.",
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the output folder cannot be made: {error.strerror}", where=str(output)) from None


def data_of_channels(
    channels: Mapping[str, str | Path],
    content_types: Mapping[str, str],
    given: Mapping[str, object],
    validation_split: float | None,
    attribute_names: tuple[str, str] | None,
    label_format: str,
) -> Data:
    """Open the original's channels."""
    opened = open_channels(
        {name: Path(path) for name, path in channels.items()},
        content_types=content_types,
        attribute_names=attribute_names,
        label_format=label_format,
        num_classes=_whole_number(given.get("num_classes")),
    )
    if opened.validation is not None:
        return Data(opened.train, opened.validation, opened.model)
    if validation_split is None:
        raise DataError(
            "there is no validation channel",
            where="channels",
            fix="Add --channel validation=PATH, or set a part of the training images aside: --validation-split 0.2.",
        )
    return Data(*split(opened.train, validation_split, _seed(given)), opened.model)


def data_of_source(
    source: str | Path,
    validation: str | Path | None,
    validation_split: float | None,
    given: Mapping[str, object],
    *,
    image_root: str | Path | None,
    validation_image_root: str | Path | None,
    attribute_names: tuple[str, str] | None,
    label_format: str,
) -> Data:
    """Open a source and its validation images, or set a part of it aside for validation."""
    if validation is not None and validation_split is not None:
        raise UserError("give validation images or a validation split, not both", where="--validation-split")
    number = _whole_number(given.get("num_classes"))
    folders = find_split_folders(Path(source)) if validation is None and validation_split is None else None
    if folders:
        source, validation = folders
        log.info("Found %s and %s", source, validation)
    if validation is not None:
        return Data(
            *open_pair(
                Path(source),
                Path(validation),
                image_root=image_root,
                validation_image_root=validation_image_root,
                attribute_names=attribute_names,
                label_format=label_format,
                num_classes=number,
            )
        )
    whole = open_source(
        Path(source),
        image_root=image_root,
        attribute_names=attribute_names,
        label_format=label_format,
        num_classes=number,
    )
    part = DEFAULT_VALIDATION_SPLIT if validation_split is None else validation_split
    train_part, validation_part = split(whole, part, _seed(given))
    log.info("%d images to train on, %d set aside for validation", len(train_part), len(validation_part))
    return Data(train_part, validation_part)


def settle(
    given: dict[str, object],
    source: Source,
    people: bool,
    initial_model: Path | None,
    pretrained: str | Path | None,
    processes: Processes,
) -> tuple[Hyperparameters, Path | None]:
    """All hyperparameters, and the file of pretrained weights to start from, if any."""
    if initial_model and pretrained:
        raise UserError("give a model to go on from or pretrained weights, not both", where="--pretrained")
    raw = dict(given)
    if not people:
        settings = parse(raw, fine_tuning=bool(initial_model or pretrained))
        return settings, find_weights(settings, pretrained)

    raw["recipe"] = "modern"
    if initial_model:
        raw = {**network_of(initial_model), **raw}
    named = parse(raw, fine_tuning=bool(initial_model or pretrained))  # all that is wrong with what was typed
    typed = {name: getattr(named, FIELDS[name].attribute) for name in raw if raw[name] is not None}
    facts = look_at(source, on_gpu=processes.device.type == "cuda")
    if initial_model:
        chosen = choose(facts, typed, fine_tuning=True)
        return announce(parse({**chosen, **raw}, fine_tuning=True), chosen), None
    asked = "use_pretrained_model" in given or pretrained is not None
    if not asked and worth_pretraining(facts, typed):
        with_weights = choose(facts, typed, fine_tuning=True) | {"use_pretrained_model": True}
        settings = parse({**with_weights, **raw}, fine_tuning=True)
        try:
            return announce(settings, with_weights), models.download_pretrained(settings.num_layers)
        except ArtifactError as error:
            log.warning("Training from scratch, pretrained weights cannot be had: %s", error.what)
    wanted = bool(pretrained) or named.use_pretrained_model
    chosen = choose(facts, typed, fine_tuning=wanted)
    settings = parse({**chosen, **raw}, fine_tuning=wanted)
    return announce(settings, chosen), find_weights(settings, pretrained)


def announce(settings: Hyperparameters, chosen: Mapping[str, Value]) -> Hyperparameters:
    if chosen:
        values = to_strings(settings)
        words = ", ".join(f"{name}={values.get(name, value)}" for name, value in chosen.items())
        log.info("Chosen from the data: %s", words)
    return settings


def network_of(model: Path) -> dict[str, object]:
    """The hyperparameters that an earlier model fixes."""
    description = artifact.read_description(model)
    fixed: dict[str, object] = {
        "network": description.network,
        "num_layers": description.num_layers,
        "image_shape": description.image_shape,
        "num_classes": description.num_classes,
        "multi_label": description.multi_label,
        "resize_mode": description.resize_mode,
    }
    return fixed if description.resize is None else fixed | {"resize": description.resize}


def find_weights(settings: Hyperparameters, pretrained: str | Path | None) -> Path | None:
    """The file of pretrained weights that was asked for.

    Raises:
        ArtifactError: it is not there or cannot be fetched.
    """
    if pretrained is not None:
        if not Path(pretrained).is_file():
            raise ArtifactError("there is no such weights file", where=str(pretrained))
        return Path(pretrained)
    return models.download_pretrained(settings.num_layers) if settings.use_pretrained_model else None


def make_job(
    data: Data,
    settings: Hyperparameters,
    output: Path,
    weights: Path | None,
    initial_model: Path | None,
    resume: bool,
    threads: int,
) -> Job:
    """Fill in what the data tells, check labels, settle the network family."""
    counted = len(data.train)
    if settings.num_classes is None:
        number = max(count_classes(part, settings.multi_label) for part in (data.train, data.validation))
        log.info("num_classes is not given: %d classes found in the labels", number)
        settings = settings.model_copy(update={"num_classes": number})
    if settings.num_training_samples is None:
        settings = settings.model_copy(update={"num_training_samples": counted})
    elif settings.num_training_samples != counted:
        log.warning(
            "num_training_samples is %d, but the training set has %d samples; an epoch is %d samples long",
            settings.num_training_samples, counted, settings.num_training_samples,
        )  # fmt: skip
    settings = parse(to_strings(settings), fine_tuning=bool(weights or initial_model))  # what the data told may clash
    assert settings.num_classes is not None
    for part in (data.train, data.validation):
        check_labels(part, settings.num_classes, settings.multi_label)
    names = data.train.class_names
    return Job(
        train=data.train,
        validation=data.validation,
        settings=settings,
        network=_family(settings, weights, initial_model),
        class_names=names if names is not None and len(names) == settings.num_classes else None,
        output=output,
        pretrained=weights,
        initial_model=initial_model,
        resume=resume,
        threads=threads,
    )


def _family(settings: Hyperparameters, weights: Path | None, initial_model: Path | None) -> str:
    if settings.network != "auto":
        return settings.network
    if weights:
        return models.family_of(weights)
    return artifact.read_description(initial_model).network if initial_model else "resnet_v2"


def describe(job: Job, processes: Processes) -> None:
    """Log the settings, in the original's words where it has them."""
    settings = job.settings
    log.info("use_pretrained_model: %d", bool(job.pretrained))
    log.info("multi_label: %d", settings.multi_label)
    log.info("---- Parameters ----")
    for name, value in to_strings(settings).items():
        log.info("%s: %s", name, value)
    log.info("network: %s", job.network)
    if settings.checkpoint_frequency is None:
        log.info("checkpoint_frequency not set, will store the best model")
    if settings.kv_store == "dist_async" and processes.machines == 1:
        log.info("kv_store is ignored on a single machine")
    log.info("--------------------")
    log.info(
        "%d processes on %d machines, %s; %d training images, %d validation images",
        processes.world_size, processes.machines, processes.device, len(job.train), len(job.validation),
    )  # fmt: skip
    if settings.freeze_backbone_epochs and not (job.pretrained or job.initial_model):
        log.warning("freeze_backbone_epochs freezes random weights: nothing was trained before")
    for warning in warnings_of(settings):
        log.warning("%s", warning)


def _seed(given: Mapping[str, object]) -> int:
    return _whole_number(given.get("seed")) or 0


def _whole_number(value: object) -> int | None:
    """A raw value as a whole number where it is one; `parse` reports what is none."""
    try:
        return int(float(str(value))) if value is not None else None
    except (ValueError, OverflowError):
        return None
