"""A training run, told from top to bottom."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from imclass.data import PipeChannel
from imclass.hyperparameters import to_strings
from imclass.images import BadImages, Loader
from imclass.training.answers import Answers
from imclass.training.best_answers import answer_again, keep_answers
from imclass.training.checkpoint import Checkpoints
from imclass.training.compilation import CompiledUpdate, compile_update
from imclass.training.console import Console
from imclass.training.description import describe
from imclass.training.distribution import distribute, synchronise
from imclass.training.early_stopping import EarlyStopping
from imclass.training.epoch_metrics import training_metrics, validation_metrics
from imclass.training.evaluation import Evaluation, evaluate_run
from imclass.training.history import History
from imclass.training.job import Job, Run
from imclass.training.loop import EpochState, check_finite, set_training_mode, train_epoch
from imclass.training.metrics import RunningSums, Totals
from imclass.training.outcome import check_bad_images, write_artifact, write_bad_images
from imclass.training.piping import PipeSampler, count_samples
from imclass.training.preparation import fingerprint, loaders, make_history, make_sampler, prepare, resume
from imclass.training.process_group import Processes
from imclass.training.progress import Best, Progress
from imclass.training.record import facts_of
from imclass.training.recording import RecordedUpdate, can_be_recorded
from imclass.training.sampling import Sampler
from imclass.training.step import Training, update
from imclass.training.stop_request import StopRequest
from imclass.training.trackers.tracking import Tracking

log = logging.getLogger(__name__)
original = logging.getLogger("imclass.original")


def run(job: Job, processes: Processes, console: Console, tracking: Tracking) -> Run:
    """Train, validate after every epoch, keep the best weights, write the model file.

    Raises:
        DataError: too many unreadable images.
        ArtifactError: the initial model, the weights or the checkpoint do not fit.
        NonFiniteLossError: training diverged.
        UserError: a checkpoint of another run lies in the output folder, or a tracker cannot start.
    """
    with ExitStack() as stack:
        work = begin(job, processes, console, tracking, stack)
        progress = work.progress
        interrupted = False
        while not (progress.finished or interrupted):
            trained = train_one_epoch(work)
            evaluation = validate(work) if trained.complete else None
            if evaluation is None:
                save_interrupted(work.checkpoints, work.training, progress, trained.state)
                interrupted = True
            else:
                conclude_epoch(work, trained, evaluation)
                interrupted = not progress.finished and processes.any(work.stop.requested)
        work.checkpoints.finish()
        temperature = None if interrupted else calibrate(work)
        model_path = write_model(work, interrupted=interrupted, temperature=temperature)
    best = progress.metrics[progress.best.epoch] if progress.best.epoch >= 0 else {}
    return Run(job.output, model_path, progress.metrics, best, job.settings, interrupted)


@dataclass
class Work:
    """A run at work: what it has at hand, and how far it has come.

    Attributes:
        first_epoch: of this process; not 0 in a run that was resumed.
        best_answers: of this process to its validation images after the best epoch; None before there is one, and
            in a run that was resumed after it.
    """

    job: Job
    processes: Processes
    stop: StopRequest
    training: Training
    sampler: Sampler | PipeSampler
    checkpoints: Checkpoints
    progress: Progress
    stopping: EarlyStopping
    bad_images: BadImages
    train_loader: Loader
    validation_loader: Loader
    history: History
    first_epoch: int
    best_answers: Answers | None = None

    def stop_requested(self) -> bool:
        """Whether this process was asked to stop."""
        return self.stop.requested


@dataclass(frozen=True)
class TrainedEpoch:
    """What the training of an epoch gave.

    Attributes:
        state: where it ended.
        totals: over all processes.
        metrics: of the training images.
        complete: False when a stop was requested.
    """

    state: EpochState
    totals: Totals
    metrics: dict[str, float]
    complete: bool


def begin(job: Job, processes: Processes, console: Console, tracking: Tracking, stack: ExitStack) -> Work:
    """Make everything ready for the first epoch, or for the one that a resumed run goes on with.

    Args:
        stack: releases what is taken here.
    """
    stop = stack.enter_context(StopRequest())
    training = prepare(job, processes)
    describe(job, processes)
    sampler = make_sampler(job, training)
    checkpoints = stack.enter_context(
        Checkpoints(job.output, to_strings(job.settings), fingerprint(job), job.class_names)
    )
    progress = resume(job, checkpoints, training, sampler)
    bad_images = BadImages(job.settings.bad_image_limit)
    stack.callback(write_bad_images, bad_images, job, processes)
    train_loader, validation_loader = map(stack.enter_context, loaders(job, bad_images, processes))
    history = make_history(job, sampler, console, tracking, processes)
    history.start(progress)
    steps = progress.epoch * sampler.steps_per_epoch + progress.step
    tracking.start(to_strings(job.settings), facts_of(job, processes), progress.metrics, steps)
    work = Work(
        job=job,
        processes=processes,
        stop=stop,
        training=training,
        sampler=sampler,
        checkpoints=checkpoints,
        progress=progress,
        stopping=EarlyStopping.going_on(job.settings, progress),
        bad_images=bad_images,
        train_loader=train_loader,
        validation_loader=validation_loader,
        history=history,
        first_epoch=progress.epoch,
    )
    if processes.machines == 1:  # several machines could not end after the same step
        let_pipes_stop(job, work.stop_requested)
    return work


def train_one_epoch(work: Work) -> TrainedEpoch:
    """Train the next epoch, or what is left of it, until its end or until a stop is requested.

    Raises:
        NonFiniteLossError: training diverged.
    """
    training, sampler, settings = work.training, work.sampler, work.job.settings
    epoch = work.progress.epoch
    changes = freeze(training, epoch)
    compiled = make_ready(training, epoch) if changes or epoch == work.first_epoch else None
    state = epoch_state(work.progress, training)
    complete = train_epoch(
        training, work.train_loader, sampler, state, stop_requested=work.stop_requested, observer=work.history
    )
    synchronise(training)
    totals = sum_over_processes(state, work.processes)
    check_finite(totals, settings, sampler.steps_per_epoch)
    metrics = training_metrics(epoch, state, totals, sampler, settings)
    if compiled:
        metrics["compile_seconds"] = compiled.seconds
    if complete:
        work.history.trained(epoch, metrics)
    return TrainedEpoch(state, totals, metrics, complete)


def validate(work: Work) -> Evaluation | None:
    """Evaluate on the validation images; None when a stop was requested on any process."""
    return evaluate_run(work.training, work.validation_loader, work.job, work.stop_requested)


def conclude_epoch(work: Work, trained: TrainedEpoch, evaluation: Evaluation) -> None:
    """Tell what an epoch gave, decide whether it was the last, and keep its weights and answers if they are the best.

    Raises:
        DataError: too many unreadable images.
    """
    epoch, progress, stopping = work.progress.epoch, work.progress, work.stopping
    check_bad_images(work.bad_images, work.job, work.processes)
    metrics = trained.metrics | validation_metrics(evaluation) | {"bad_images": len(work.bad_images.entries)}
    work.history.epoch(epoch, metrics)
    if epoch == 0:
        warn_of_enlarged((work.train_loader, work.validation_loader), work.job, work.processes)

    ends = stopping.ends_after(epoch + 1, metrics["validation_accuracy"])
    diverged = trained.totals.first_bad_step is not None
    advance(progress, metrics, stopping, finished=ends or diverged or epoch + 1 == work.job.settings.epochs)
    keep(work.checkpoints, work.training, progress)
    if progress.best.epoch == epoch:
        work.best_answers = evaluation.answers
    if ends:
        log.info("Early stopping: no improvement for %d epochs", stopping.epochs_without_improvement)
    if diverged:
        log.warning("The loss is not finite since step %d; the trial ends here", trained.totals.first_bad_step)


def calibrate(work: Work) -> float | None:
    """Write the best epoch's answers to the validation images, and fit the temperature on them.

    Returns:
        The temperature, on the first process; None on the others, and where there are no answers to fit it on.
    """
    best = work.progress.best
    if best.epoch < 0:
        return None
    answers = work.best_answers  # of this process, which may have had none of the images
    if answers is None:
        answers = answer_again(work.training, work.validation_loader, work.job, work.checkpoints, best, work.stop)
    return None if answers is None else keep_answers(work.job, answers, best.epoch + 1, work.processes)


def write_model(work: Work, *, interrupted: bool, temperature: float | None) -> Path:
    """Write the model file, on the first process, and say where it is."""
    path = work.job.output / "model.tar.gz"
    if work.processes.is_main:
        write_artifact(
            work.job,
            work.checkpoints,
            work.training,
            work.progress,
            path,
            interrupted=interrupted,
            temperature=temperature,
        )
    return path


def let_pipes_stop(job: Job, stop_requested: Callable[[], bool]) -> None:
    """A stop need not wait for a pipe that is silent."""
    for part in (job.train, job.validation):
        if isinstance(part, PipeChannel):
            part.stop_requested = stop_requested


def freeze(training: Training, epoch: int) -> bool:
    """For the first `freeze_backbone_epochs` only the last layer learns. Returns whether that changes now."""
    learns = epoch >= training.hyperparameters.freeze_backbone_epochs
    changes = any(parameter.requires_grad != learns for parameter in training.backbone)
    for parameter in training.backbone:
        parameter.requires_grad_(learns)
        parameter.grad = None if changes else parameter.grad
    return changes


def make_ready(training: Training, epoch: int) -> CompiledUpdate | None:
    """Compile, distribute and record the step, for parameters that learn or not as they do now.

    Returns:
        The compiled step, if it is compiled.
    """
    training.network = training.model  # what was distributed before is taken apart
    set_training_mode(training, epoch)
    compiled = compile_update(training)
    training.network = distribute(training.model, training.hyperparameters.kv_store, training.processes)
    training.update = compiled or update
    if can_be_recorded(training):
        training.update = RecordedUpdate(training.update, training.batch_size)
    return compiled


def epoch_state(progress: Progress, training: Training) -> EpochState:
    """A fresh epoch, or the one that SIGTERM interrupted."""
    settings, processes = training.hyperparameters, training.processes
    sums = RunningSums(processes.device, settings.top_k, settings.multi_label)
    if progress.step and processes.is_main:
        sums.sums.copy_(torch.tensor(progress.sums, dtype=torch.float64))
    return EpochState(progress.epoch, progress.step, sums, progress.seconds)


def sum_over_processes(state: EpochState, processes: Processes) -> Totals:
    """The epoch's sums, and its first step with a loss that is not finite, over all processes."""
    processes.sum(state.sums.sums)
    processes.minimum(state.sums.first_bad_step)
    return state.sums.read()


def advance(progress: Progress, metrics: dict[str, float], stopping: EarlyStopping, *, finished: bool) -> None:
    """Count an epoch as done. Only a strictly better accuracy replaces the best one, as in the original."""
    if metrics["validation_accuracy"] > progress.best.accuracy:
        name = f"best-{progress.epoch + 1:04d}.safetensors"
        progress.best = Best(progress.epoch, metrics["validation_accuracy"], name)
    progress.metrics.append(metrics)
    progress.epoch += 1
    progress.step, progress.seconds, progress.sums = 0, 0.0, []
    progress.stopping_best = stopping.best
    progress.epochs_without_improvement = stopping.epochs_without_improvement
    progress.finished = finished


def keep(checkpoints: Checkpoints, training: Training, progress: Progress) -> None:
    """Write what this epoch leaves: its weights if they are the best or due, and the state to resume from."""
    if not training.processes.is_main:
        return
    frequency = training.hyperparameters.checkpoint_frequency
    weights = []
    if progress.best.epoch == progress.epoch - 1:
        original.info("Storing the best model with validation accuracy: %f", progress.best.accuracy)
        weights.append(progress.best.file)
    if frequency and progress.epoch % frequency == 0:
        weights.append(f"epoch-{progress.epoch:04d}.safetensors")
    checkpoints.save(training, progress, weights)


def save_interrupted(checkpoints: Checkpoints, training: Training, progress: Progress, state: EpochState) -> None:
    """After SIGTERM in an epoch: a checkpoint from which it goes on at its next step, or with its validation."""
    log.warning("SIGTERM: saving after batch %d of epoch %d", state.step, state.epoch)
    progress.step, progress.seconds, progress.sums = state.step, state.seconds, state.sums.sums.tolist()
    if training.processes.is_main:
        checkpoints.save(training, progress)


def warn_of_enlarged(loaders: tuple[Loader, Loader], job: Job, processes: Processes) -> None:
    """After the first epoch, one warning for each data set with images that are smaller than image_shape."""
    for loader, declared in zip(loaders, (job.settings.num_training_samples, None), strict=True):
        samples = count_samples(loader.source, declared, processes)
        enlarged = sum(processes.gather(loader.enlarged))
        if enlarged and processes.is_main:
            log.warning(
                "%s: %d of %d images are smaller than image_shape and were enlarged",
                loader.source.name, enlarged, samples,
            )  # fmt: skip
