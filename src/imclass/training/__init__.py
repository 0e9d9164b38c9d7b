"""Training and evaluation.

`start.train` goes from what a person typed to a `job.Job`; `run.run` tells the run from top to bottom;
`step.train_step` is the step; `evaluation.evaluate` judges a model.
"""

from imclass.training.job import Run
from imclass.training.start import train

__all__ = ["Run", "train"]
