"""`imclass` as it is, but every process keeps its weights before and after an epoch puts them together.

The folder for them is named by the variable WEIGHTS.
"""

import os
from pathlib import Path

import torch

from imclass.cli import main
from imclass.training import run
from imclass.training.step import Training

together = run.synchronise


def keep_and_synchronise(training: Training) -> None:
    keep("before", training)
    together(training)
    keep("after", training)


def keep(when: str, training: Training) -> None:
    state = {"model": training.model.state_dict()}
    if training.average:
        state["average"] = training.average.model.state_dict()
    torch.save(state, Path(os.environ["WEIGHTS"]) / f"{when}-{training.processes.rank}.pt")


run.synchronise = keep_and_synchronise
main()
