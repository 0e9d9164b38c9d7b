"""The figures of an epoch, by the names that metrics.jsonl has for them."""

from imclass.hyperparameters import Hyperparameters
from imclass.training.evaluation import Evaluation
from imclass.training.loop import EpochState
from imclass.training.metrics import Totals
from imclass.training.piping import PipeSampler
from imclass.training.sampling import Sampler
from imclass.training.schedule import learning_rate


def training_metrics(
    epoch: int, state: EpochState, totals: Totals, sampler: Sampler | PipeSampler, settings: Hyperparameters
) -> dict[str, float]:
    """What the training of an epoch gave.

    Args:
        epoch: its number, from 0.
        state: where it ended.
        totals: over all processes.
    """
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
    """What its validation gave."""
    metrics = {"validation_loss": evaluation.loss, "validation_accuracy": evaluation.accuracy}
    for accuracy in evaluation.top_k_accuracy.values():
        metrics["validation_top_k_accuracy"] = accuracy
    if evaluation.mean_average_precision is not None:
        metrics["validation_mean_average_precision"] = evaluation.mean_average_precision
    return metrics
