"""Evaluation: every sample exactly once, on any number of processes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imclass.data import PipeChannel
from imclass.errors import DataError
from imclass.hyperparameters import Hyperparameters
from imclass.images import Loader, Request
from imclass.training.answers import Answers
from imclass.training.job import Job
from imclass.training.losses import plain_loss
from imclass.training.metrics import average_precisions, correct_answers, in_top
from imclass.training.piping import evaluation_batches
from imclass.training.process_group import Processes
from imclass.training.sampling import evaluation_requests
from imclass.training.step import Training, precision_context


@dataclass(frozen=True)
class Evaluation:
    """What a model answers over a whole data set, on all processes together.

    Attributes:
        samples: number of samples that could be read.
        loss: mean cross-entropy (multi-label: binary cross-entropy, mean over classes).
        accuracy: share of right answers (multi-label: averaged over classes, threshold 0.5).
        top_k_accuracy: by k, share of samples whose label is among the k likeliest classes; empty when multi-label.
        true_positives, predicted, actual: (K,) int64 counts of each class.
        confusion: (K, K) int64, row = label, column = answer; None when multi-label.
        average_precisions: (K,) float64 of each class when multi-label, else None.
        answers: of this process alone, if they were to be kept.
    """

    samples: int
    loss: float
    accuracy: float
    top_k_accuracy: dict[int, float]
    true_positives: NDArray[np.int64]
    predicted: NDArray[np.int64]
    actual: NDArray[np.int64]
    confusion: NDArray[np.int64] | None
    average_precisions: NDArray[np.float64] | None
    answers: Answers | None = None

    @property
    def mean_average_precision(self) -> float | None:
        """Mean over the classes that have positive samples; None when not multi-label or when there are none."""
        if self.average_precisions is None or np.isnan(self.average_precisions).all():
            return None
        return float(np.nanmean(self.average_precisions))


@dataclass
class _Sums:
    """Device-side sums of one process."""

    multi_label: bool
    num_classes: int
    top_ks: tuple[int, ...]
    device: torch.device
    keeps_answers: bool
    totals: torch.Tensor = field(init=False)  # samples, loss, correct, then one for each k
    counts: torch.Tensor = field(init=False)  # confusion, or true positives, predicted and actual
    scores: list[torch.Tensor] = field(default_factory=list)
    labels: list[torch.Tensor] = field(default_factory=list)
    indices: list[NDArray[np.int64]] = field(default_factory=list)

    def __post_init__(self) -> None:
        rows = 3 if self.multi_label else self.num_classes
        self.totals = torch.zeros(3 + len(self.top_ks), dtype=torch.float64, device=self.device)
        self.counts = torch.zeros(rows, self.num_classes, dtype=torch.int64, device=self.device)

    def add(self, logits: torch.Tensor, labels: torch.Tensor, losses: torch.Tensor, indices: NDArray[np.int64]) -> None:
        row = [
            losses.new_full((), len(losses)),
            losses.sum(),
            correct_answers(logits, labels, self.multi_label).sum(),
            *(in_top(logits, labels, k).sum() for k in self.top_ks),
        ]
        self.totals += torch.stack(row).double()
        if self.multi_label:
            answers, truths = logits > 0, labels > 0.5
            self.counts += torch.stack([(answers & truths).sum(0), answers.sum(0), truths.sum(0)])
        else:
            cells = labels[:, 0].long() * self.num_classes + logits.argmax(dim=1)
            # torch.bincount would wait for the device to say how long its result is.
            self.counts.view(-1).scatter_add_(0, cells, torch.ones_like(cells))
        if self.multi_label or self.keeps_answers:
            self.scores.append(logits.float())
            self.labels.append(labels)
            self.indices.append(indices)

    def answers(self) -> Answers:
        """Those of this process."""
        columns = self.num_classes if self.multi_label else 1
        return Answers(
            np.concatenate([np.zeros(0, np.int64), *self.indices]),
            _on_host(self.scores, self.num_classes),
            _on_host(self.labels, columns),
        )


def _on_host(batches: list[torch.Tensor], columns: int) -> NDArray[np.float32]:
    return torch.cat(batches).cpu().numpy() if batches else np.zeros((0, columns), np.float32)


@torch.no_grad()
def evaluate(
    model: nn.Module,
    loader: Loader,
    processes: Processes,
    *,
    num_classes: int,
    multi_label: bool,
    top_k: tuple[int, ...] = (),
    precision_dtype: str = "float32",
    batch_size: int = 64,
    stop_requested: Callable[[], bool] = lambda: False,
    keep_answers: bool = False,
) -> Evaluation | None:
    """Evaluate a model on every readable sample of a loader's source; every process gets the result of all.

    Args:
        model: takes (n, C, H, W) float, raw 0..255, and gives logits.
        loader: without augmentation.
        top_k: the k for which to report top-k accuracy; not for multi-label.
        batch_size: samples a batch on this process; does not change the result.
        stop_requested: asked between batches.
        keep_answers: give them too, which takes 4 bytes of the device's memory for each image and class.

    Returns:
        None when a stop was requested on any process.
    """
    sums = _Sums(multi_label, num_classes, () if multi_label else top_k, processes.device, keep_answers)
    loss = plain_loss(multi_label)
    was_training = model.training
    model.eval()
    stopped = False
    source = loader.source
    requests: Iterable[Request]
    if isinstance(source, PipeChannel):
        requests = evaluation_batches(source, batch_size, processes, num_classes=num_classes, multi_label=multi_label)
    else:
        requests = evaluation_requests(len(source), batch_size, processes.rank, processes.world_size)
    for batch in loader.batches(requests):
        if len(batch.indices):
            with precision_context(processes.device, precision_dtype):
                logits = model(batch.images.float())
            sums.add(logits, batch.labels, loss(logits, batch.labels), batch.indices)
        if stopped := stop_requested():
            break
    stopped = stopped or stop_requested()  # a pipe ends early when it was waited for meanwhile
    model.train(was_training)
    if processes.any(stopped):
        return None
    return _result(sums, processes)


def _result(sums: _Sums, processes: Processes) -> Evaluation:
    samples, loss, correct, *tops = processes.sum(sums.totals).tolist()
    counts = processes.sum(sums.counts).cpu().numpy()
    count = max(samples, 1.0)
    answers = sums.answers() if sums.multi_label or sums.keeps_answers else None
    if sums.multi_label:
        assert answers is not None
        scores = np.concatenate(processes.gather(answers.logits))
        labels = np.concatenate(processes.gather(answers.labels))
        true_positives, predicted, actual = counts
        precisions = average_precisions(scores, labels)
    else:
        true_positives, predicted, actual = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)
        precisions = None
    return Evaluation(
        samples=int(samples),
        loss=loss / count,
        accuracy=correct / count,
        top_k_accuracy={k: top / count for k, top in zip(sums.top_ks, tops, strict=True)},
        true_positives=true_positives,
        predicted=predicted,
        actual=actual,
        confusion=None if sums.multi_label else counts,
        average_precisions=precisions,
        answers=answers if sums.keeps_answers else None,
    )


def evaluate_run(training: Training, loader: Loader, job: Job, stop_requested: Callable[[], bool]) -> Evaluation | None:
    """Evaluate on a run's validation images, and keep the answers; None when a stop was requested, on any process.

    Raises:
        DataError: not one image could be read.
    """
    evaluation = evaluate(
        training.evaluated_model,
        loader,
        training.processes,
        num_classes=job.num_classes,
        multi_label=job.settings.multi_label,
        top_k=evaluation_top_k(job.settings),
        precision_dtype=job.settings.precision_dtype,
        batch_size=max(64, job.settings.mini_batch_size // training.processes.local_world_size),
        stop_requested=stop_requested,
        keep_answers=True,
    )
    if evaluation is not None and evaluation.samples == 0:
        raise DataError("not one validation image could be read", where=job.validation.name)
    return evaluation


def evaluation_top_k(settings: Hyperparameters) -> tuple[int, ...]:
    """The k that a run reports on its validation set."""
    return (settings.top_k,) if settings.top_k and not settings.multi_label else ()
