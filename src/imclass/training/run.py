"""A training run, told from top to bottom."""

import logging
from collections.abc import Callable
from contextlib import ExitStack

import torch

from imclass.data import PipeChannel
from imclass.hyperparameters import Hyperparameters, to_strings
from imclass.images import BadImages, Loader
from imclass.training.answers import Answers
from imclass.training.best_answers import answer_again, keep_answers
from imclass.training.checkpoint import Checkpoints
from imclass.training.compilation import CompiledUpdate, compile_update
from imclass.training.console import Console
from imclass.training.description import describe
from imclass.training.distribution import distribute, synchronise
from imclass.training.early_stopping import EarlyStopping
from imclass.training.evaluation import Evaluation, evaluate_run
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
from imclass.training.schedule import learning_rate
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
        stop = stack.enter_context(StopRequest())
        training = prepare(job, processes)
        describe(job, processes)
        sampler = make_sampler(job, training)
        checkpoints = stack.enter_context(
            Checkpoints(job.output, to_strings(job.settings), fingerprint(job), job.class_names)
        )
        progress = resume(job, checkpoints, training, sampler)
        stopping = EarlyStopping.of(job.settings)
        stopping.best, stopping.epochs_without_improvement = progress.stopping_best, progress.epochs_without_improvement
        bad_images = BadImages(job.settings.bad_image_limit)
        stack.callback(write_bad_images, bad_images, job, processes)
        both_loaders = loaders(job, bad_images, processes)
        train_loader, validation_loader = (stack.enter_context(loader) for loader in both_loaders)
        history = make_history(job, sampler, console, tracking, processes)
        history.start(progress)
        steps = progress.epoch * sampler.steps_per_epoch + progress.step
        tracking.start(to_strings(job.settings), facts_of(job, processes), progress.metrics, steps)
        interrupted, first = False, progress.epoch
        best_answers: Answers | None = None
        if processes.machines == 1:  # several machines could not end after the same step
            let_pipes_stop(job, lambda: stop.requested)

        while not progress.finished:
            epoch = progress.epoch
            changes = freeze(training, epoch)
            compiled = make_ready(training, epoch) if changes or epoch == first else None
            state = epoch_state(progress, training)
            complete = train_epoch(
                training, train_loader, sampler, state, stop_requested=lambda: stop.requested, observer=history
            )
            synchronise(training)
            totals = sum_over_processes(state, processes)
            check_finite(totals, job.settings, sampler.steps_per_epoch)
            metrics = training_metrics(epoch, state, totals, sampler, job.settings)
            if compiled:
                metrics["compile_seconds"] = compiled.seconds
            evaluation = None
            if complete:
                history.trained(epoch, metrics)
                evaluation = evaluate_run(training, validation_loader, job, lambda: stop.requested)
            if evaluation is None:
                interrupted = True
                save_interrupted(checkpoints, training, progress, state)
                break
            check_bad_images(bad_images, job, processes)
            metrics |= validation_metrics(evaluation) | {"bad_images": len(bad_images.entries)}
            history.epoch(epoch, metrics)
            if epoch == 0:
                warn_of_enlarged(both_loaders, job, processes)

            ends = stopping.ends_after(epoch + 1, metrics["validation_accuracy"])
            diverged = totals.first_bad_step is not None
            advance(progress, metrics, stopping, finished=ends or diverged or epoch + 1 == job.settings.epochs)
            keep(checkpoints, training, progress)
            if progress.best.epoch == epoch:
                best_answers = evaluation.answers
            if ends:
                log.info("Early stopping: no improvement for %d epochs", stopping.epochs_without_improvement)
            if diverged:
                log.warning("The loss is not finite since step %d; the trial ends here", totals.first_bad_step)
            interrupted = not progress.finished and processes.any(stop.requested)
            if interrupted:
                break

        checkpoints.finish()
        temperature = None
        if not interrupted and progress.best.epoch >= 0:
            best = progress.best
            answers = best_answers  # of this process, which may have had none of the images
            if answers is None:
                answers = answer_again(training, validation_loader, job, checkpoints, best, stop)
            temperature = None if answers is None else keep_answers(job, answers, best.epoch + 1, processes)
        model_path = job.output / "model.tar.gz"
        if processes.is_main:
            write_artifact(
                job, checkpoints, training, progress, model_path, interrupted=interrupted, temperature=temperature
            )
    metrics_of_best = progress.metrics[progress.best.epoch] if progress.best.epoch >= 0 else {}
    return Run(job.output, model_path, progress.metrics, metrics_of_best, job.settings, interrupted)


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


def training_metrics(
    epoch: int, state: EpochState, totals: Totals, sampler: Sampler | PipeSampler, settings: Hyperparameters
) -> dict[str, float]:
    metrics = {
        "epoch": epoch,
        "learning_rate": learning_rate((epoch + 1) * sampler.steps_per_epoch - 1, sampler.steps_per_epoch, settings),
        "train_loss": totals.mean_loss,
        "train_accuracy": totals.accuracy,
        "train_seconds": state.seconds,
        "images_per_second": totals.samples / max(state.seconds, 1e-9),
    }
    if settings.top_k and not settings.multi_label:
        metrics["train_top_k_accuracy"] = totals.top_k_accuracy
    return metrics


def validation_metrics(evaluation: Evaluation) -> dict[str, float]:
    metrics = {"validation_loss": evaluation.loss, "validation_accuracy": evaluation.accuracy}
    for accuracy in evaluation.top_k_accuracy.values():
        metrics["validation_top_k_accuracy"] = accuracy
    if evaluation.mean_average_precision is not None:
        metrics["validation_mean_average_precision"] = evaluation.mean_average_precision
    return metrics


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
