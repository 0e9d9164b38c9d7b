"""From what a person typed to a run."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from imclass import artifact
from imclass.data import PipeChannel, check_labels, check_width, local_path
from imclass.data.pipe import DEADLINE_SECONDS
from imclass.errors import UserError, listing
from imclass.hyperparameters import Hyperparameters, parse, to_strings
from imclass.images import thread_count
from imclass.images.gpu.opening import check_device
from imclass.pending_file import remove_left_over
from imclass.training.beginning import (
    Beginning,
    Wishes,
    family_of,
    look_at_beginning,
    model_of,
    read_wishes,
    resumed_settings,
)
from imclass.training.console import console
from imclass.training.job import Job, Run
from imclass.training.labels import check_names_suffice, count_classes
from imclass.training.opening import Data, DataRequest, open_data
from imclass.training.piping import check_pipe_settings, seat
from imclass.training.preparation import fingerprint
from imclass.training.process_group import Processes, is_first, is_first_of_machine, join
from imclass.training.record import DataPlaces, record_of, write_record
from imclass.training.run import run
from imclass.training.settling import settle, settle_precision
from imclass.training.trackers.choosing import DEFAULT, open_trackers
from imclass.training.trackers.tracker import Status, Tracker
from imclass.training.trackers.tracking import Tracking

log = logging.getLogger(__name__)


def train(
    source: str | Path | None = None,
    *,
    output: str | Path,
    validation: str | Path | None = None,
    validation_split: float | None = None,
    channels: Mapping[str, str | Path] | None = None,
    content_types: Mapping[str, str] | None = None,
    input_data_config: Mapping[str, Mapping[str, str]] | None = None,
    pipe_deadline: float = DEADLINE_SECONDS,
    model: str | Path | None = None,
    pretrained: str | Path | None = None,
    image_root: str | Path | None = None,
    validation_image_root: str | Path | None = None,
    attribute_names: tuple[str, str] | None = None,
    label_format: str = "multi-hot",
    class_names: Sequence[str] | None = None,
    stream: bool = False,
    hyperparameters: Mapping[str, object] | None = None,
    resume: bool = False,
    trackers: Sequence[str | Tracker] = DEFAULT,
    track_model: bool = False,
    track_group: str | None = None,
    threads: int = 0,
    device: str = "auto",
    quiet: bool = False,
    log_file: str | Path | None = None,
    at_end: Callable[[Run], Sequence[Path]] | None = None,
) -> Run:
    """Train an image classifier.

    Args:
        source: a folder with one folder of images a class, a `.rec` or a folder of them, a `.lst`, or an augmented
            manifest, or the address of one as text (`s3://`, `gs://`, `https://`). Training then starts from the
            modern recipe, and what is not given is chosen from the data.
        output: folder for the model file, metrics, events and checkpoints; made when missing.
        validation: images to validate on, of the same kinds; without it a part of `source` is set aside.
        validation_split: that part, between 0 and 1, stratified by class (default 0.2).
        channels: instead of `source`, the original's channels: train, validation, train_lst, validation_lst, model.
            Training then starts from the original's defaults.
        content_types: content type of channels, for parameters such as label-format.
        input_data_config: settings of channels as SageMaker's inputdataconfig.json has them: ContentType,
            TrainingInputMode, S3DistributionType, RecordWrapperType.
        pipe_deadline: longest wait in seconds for a pipe, its writer or its next bytes.
        model: model file to go on training (incremental training).
        pretrained: weights file (safetensors or a torch state dict) to start from, with a new last layer.
        image_root: folder that the paths of a `.lst` start from (default: the folder of the list).
        validation_image_root: the same for the validation list.
        attribute_names: image and label attribute of a manifest.
        label_format: "multi-hot" or "class-id", for manifests.
        class_names: names in the order of the class numbers, for data or a model without names; with names of their
            own, both must agree.
        stream: read `.rec` addresses while training, rather than fetching them first.
        hyperparameters: by name, as strings or values. `recipe=sagemaker` starts from the original's defaults.
        resume: go on from the last checkpoint in `output`, if there is one.
        trackers: where the run is recorded: "tensorboard", "mlflow", "wandb", names of plug-ins, or objects that are
            trackers.
        track_model: the trackers get the model file too.
        track_group: what trackers call the runs that this one belongs to.
        threads: decoding threads, 0 for one a core.
        device: "auto", "cpu" or "cuda".
        quiet: log warnings and errors only.
        log_file: append all log lines to this file.
        at_end: called by the first process when the run is complete; gives more files for the trackers, such as a
            report.

    Returns:
        Metrics of every epoch and the path of the model file.

    Raises:
        UserError: anything that the caller can put right; internal faults raise other exceptions.
    """
    request = DataRequest.of(
        source=source,
        validation=validation,
        validation_split=validation_split,
        channels=channels,
        content_types=content_types,
        input_data_config=input_data_config,
        pipe_deadline=pipe_deadline,
        image_root=image_root,
        validation_image_root=validation_image_root,
        attribute_names=attribute_names,
        label_format=label_format,
        stream=stream,
    )
    most_threads = thread_count(threads)
    output = output_folder(output)
    wishes = read_wishes(hyperparameters or {}, class_names, request, model, pretrained)
    places = DataPlaces.of(request, input_data_config or {}, model, pretrained)
    opened = open_trackers(trackers) if is_first() else {}
    tracking = Tracking(opened, output, group=track_group, keeps_model=track_model, resumes=resume)
    # Before the processes join: these wait for each other with a deadline, and a download may take longer.
    request = request.at_hand(quiet)
    model, pretrained = (None if place is None else local_path(place, quiet=quiet) for place in (model, pretrained))
    with (
        console(quiet=quiet, log_file=_path(log_file), speaks=is_first_of_machine()) as shown,
        tracking,  # ends after the processes have parted, so that none waits for the files of the first
        join(device) as processes,
        ExitStack() as stack,
    ):
        check_device(wishes.settings.decoder, processes.device)
        beginning = look_at_beginning(wishes, model_of(request) or model, pretrained)
        prepare_output(output, resume, processes)
        share = threads or max(1, most_threads // processes.local_world_size)
        job = make_job(wishes, request, beginning, output, processes, stack, resume=resume, threads=share)
        agree(job, processes)
        if processes.is_main:
            write_record(output, record_of(job, places, processes))
        result = run(job, processes, shown, tracking)
        conclude(tracking, result, at_end if processes.is_main else None)
        return result


def output_folder(name: str | Path) -> Path:
    """The folder that a run writes to.

    Raises:
        UserError: it has no name.
    """
    if str(name) == "":
        raise UserError("the name of the output folder is empty", where="output")
    return Path(name)


def conclude(tracking: Tracking, result: Run, at_end: Callable[[Run], Sequence[Path]] | None) -> None:
    """Tell the trackers how a run ended, and what `at_end` makes of a complete one."""
    status: Status = "interrupted" if result.interrupted else "finished"
    is_whole = bool(result.best) and not result.interrupted
    tracking.complete(status, result.best, partial(at_end, result) if at_end and is_whole else None)


def make_job(
    wishes: Wishes,
    request: DataRequest,
    beginning: Beginning,
    output: Path,
    processes: Processes,
    stack: ExitStack,
    *,
    resume: bool,
    threads: int,
) -> Job:
    """Open the images, and settle everything that was left open with what they tell.

    Args:
        request: with all data at hand.
        stack: releases the process's seat at a pipe.
        resume: go on with the run in `output`, if there is one.
        threads: decoding threads of this process.

    Raises:
        UserError: the data cannot be read, or does not go with what was typed.
    """
    resumed = resumed_settings(wishes, output, processes) if resume else None
    typed = resumed or wishes.settings
    data = open_request(request, wishes, beginning, typed)
    seat(data.parts, processes, stack)
    settings, weights = (typed, None) if resumed else choose_settings(wishes, data, beginning, processes)
    settings = settle_precision(fill_in(settings, data, weights, beginning.description), processes)
    return Job(
        train=data.train,
        validation=data.validation,
        settings=settings,
        network=settings.network,
        class_names=class_names_of(data, beginning.class_names, settings),
        output=output,
        pretrained=weights,
        initial_model=None if resumed else beginning.model,
        resume=resume,
        threads=threads,
    )


def open_request(request: DataRequest, wishes: Wishes, beginning: Beginning, settings: Hyperparameters) -> Data:
    """Open the images of a run.

    Args:
        settings: as far as they are known.

    Raises:
        UserError: the data cannot be read, or does not go with what was typed.
    """
    if request.pipes:
        check_pipe_settings(settings, trains_on_pipe="train" in request.pipes)
    data = open_data(request, class_names=beginning.class_names, num_classes=settings.num_classes, seed=settings.seed)
    if wishes.class_names is not None:
        check_names_suffice(wishes.class_names, *data.sources)
    return data


def choose_settings(
    wishes: Wishes, data: Data, beginning: Beginning, processes: Processes
) -> tuple[Hyperparameters, Path | None]:
    """All hyperparameters of a run that begins, and the file of pretrained weights to start from, if any."""
    return settle(
        wishes.given,
        data.train,
        chooses=wishes.chooses,
        initial_model=beginning.description,
        pretrained=beginning.pretrained,
        processes=processes,
    )


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
    for folder in (output, output / "checkpoints"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"the folder cannot be made: {error.strerror}", where=str(folder)) from error
        if processes.is_main:
            remove_left_over(folder)


def fill_in(
    settings: Hyperparameters, data: Data, weights: Path | None, initial_model: artifact.Description | None
) -> Hyperparameters:
    """Add what the data tells, check all labels, settle the network family.

    Raises:
        DataError: labels do not fit.
        HyperparameterError: what the data told does not fit the rest.
    """
    for part in data.sources:
        check_width(part, settings.num_classes, settings.multi_label)
    if settings.num_classes is None:
        number = max(count_classes(part, settings.multi_label) for part in data.sources)
        log.info("num_classes is not given: %d classes found in the labels", number)
        settings = settings.model_copy(update={"num_classes": number})
    assert settings.num_classes is not None
    assert settings.num_training_samples is not None
    for part in data.sources:
        check_labels(part, settings.num_classes, settings.multi_label)
    warn_of_empty_classes(data, settings.num_classes, settings.multi_label)
    if not isinstance(data.train, PipeChannel) and settings.num_training_samples != len(data.train):
        log.warning(
            "num_training_samples is %d, but the training set has %d samples; an epoch is %d samples long",
            settings.num_training_samples, len(data.train), settings.num_training_samples,
        )  # fmt: skip
    settings = settings.model_copy(update={"network": family_of(settings, weights, initial_model)})
    return parse(to_strings(settings), fine_tuning=bool(weights or initial_model))


def warn_of_empty_classes(data: Data, num_classes: int, multi_label: bool) -> None:
    """One warning when classes have no training image: a stray label, or a class of the validation set alone."""
    if isinstance(data.train, PipeChannel):
        return
    labels = data.train.labels
    present = labels.any(axis=0) if multi_label else np.isin(np.arange(num_classes), labels[:, 0])
    empty = np.flatnonzero(~present)
    if len(empty):
        names = data.train.class_names or ()
        shown = ", ".join(names[index] if index < len(names) else str(index) for index in empty[:10])
        more = f" and {len(empty) - 10} more" if len(empty) > 10 else ""
        log.warning("%d of %d classes have no training image: %s%s", len(empty), num_classes, shown, more)


def class_names_of(data: Data, known: tuple[str, ...] | None, settings: Hyperparameters) -> tuple[str, ...] | None:
    """The data's class names, or those of the model that the run goes on from."""
    names = data.train.class_names or known
    return names if names is not None and len(names) == settings.num_classes else None


def agree(job: Job, processes: Processes) -> None:
    """Make sure that all processes are about to do the same.

    Raises:
        UserError: on every process, when settings or data differ between machines.
    """
    jobs = processes.gather({**to_strings(job.settings), "data": fingerprint(job)})
    names = sorted({name for one in jobs for name in one if one[name] != jobs[0].get(name)})
    if names:
        different = [f"{name}: " + ", ".join(str(one.get(name, "not set")) for one in jobs) for name in names]
        raise UserError(
            f"the processes of this run do not agree, in the order of their ranks:\n{listing(different)}",
            fix="Start all of them with the same command and the same data.",
        )


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
