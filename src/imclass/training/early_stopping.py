"""When to end a run because validation accuracy no longer rises (the original's early_stopping_* rules)."""

from dataclasses import dataclass

from imclass.hyperparameters import Hyperparameters
from imclass.training.progress import Progress


@dataclass
class EarlyStopping:
    """Counts epochs without improvement.

    An epoch improves when (accuracy - best) / best >= `tolerance` and accuracy > best. The run ends once `patience`
    epochs in a row did not improve, but never before `min_epochs` epochs have run.
    """

    enabled: bool
    min_epochs: int
    patience: int
    tolerance: float
    best: float = float("-inf")
    epochs_without_improvement: int = 0

    @classmethod
    def of(cls, hyperparameters: Hyperparameters) -> "EarlyStopping":
        return cls(
            hyperparameters.early_stopping,
            hyperparameters.early_stopping_min_epochs,
            hyperparameters.early_stopping_patience,
            hyperparameters.early_stopping_tolerance,
        )

    @classmethod
    def going_on(cls, hyperparameters: Hyperparameters, progress: Progress) -> "EarlyStopping":
        """Counting from where a run stands."""
        stopping = cls.of(hyperparameters)
        stopping.best, stopping.epochs_without_improvement = progress.stopping_best, progress.epochs_without_improvement
        return stopping

    def ends_after(self, epochs_run: int, accuracy: float) -> bool:
        """Take the accuracy of an epoch; True if the run should end now, `epochs_run` epochs having run."""
        if accuracy > self.best and accuracy - self.best >= self.tolerance * max(self.best, 0.0):
            self.best = accuracy
            self.epochs_without_improvement = 0
        else:
            self.epochs_without_improvement += 1
        return self.enabled and epochs_run >= self.min_epochs and self.epochs_without_improvement >= self.patience
