"""Weights & Biases: configuration, curves and files in a project of wandb.ai, of a server of one's own, or on disk.

All is set through its own variables: WANDB_MODE (`offline` writes to the disk, `wandb sync` sends it later),
WANDB_PROJECT, WANDB_ENTITY, WANDB_API_KEY, WANDB_BASE_URL and so on. Its files are in the folder `wandb` of the run
unless WANDB_DIR names another place.
"""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imclass.errors import UserError
from imclass.training.trackers.choosing import not_installed
from imclass.training.trackers.tracker import Ending, Metrics, Status, TrackedRun

log = logging.getLogger(__name__)

PROJECT = "imclass"
INIT_SECONDS, FINISH_SECONDS = 20.0, 300.0
EXIT_CODE: Mapping[Status, int] = {"finished": 0, "interrupted": 143, "failed": 1}


class WandbTracker:
    """Records a run with Weights & Biases, whose own process sends it while the run goes on.

    Raises:
        UserError: the package is not installed.
    """

    def __init__(self) -> None:
        try:
            import wandb
        except ImportError as error:
            raise not_installed("wandb", "wandb") from error
        self._wandb = wandb
        self._run: Any = None  # wandb.Run, between `start` and `end`
        self._curves: set[str] = set()  # those whose axis is defined

    def start(self, run: TrackedRun) -> str:
        """Begin a run, or go on with that of `run.reference`.

        Raises:
            UserError: nobody is logged in, or the server does not answer in time.
        """
        try:
            self._run = self._wandb.init(
                project=os.environ.get("WANDB_PROJECT") or PROJECT,
                name=os.environ.get("WANDB_NAME") or run.name,
                group=os.environ.get("WANDB_RUN_GROUP") or run.group,
                dir=os.environ.get("WANDB_DIR") or str(run.output),
                config={**run.hyperparameters, **{f"imclass/{name}": value for name, value in run.facts.items()}},
                id=run.reference,
                resume=None if run.reference is None else "allow",
                reinit="create_new",  # a run of the caller's own is left alone
                settings=self._wandb.Settings(**_settings()),
            )
        except self._wandb.Error as error:
            raise UserError(
                f"Weights & Biases cannot be used: {str(error).splitlines()[0]}",
                where="tracker wandb",
                fix="Log in (wandb login), or record on the disk: WANDB_MODE=offline, and wandb sync later.",
            ) from error
        log.info("wandb: %s", self._run.dir if self._run.offline else self._run.url)
        return str(self._run.id)

    def batches(self, points: Sequence[tuple[int, Metrics]]) -> None:
        for step, metrics in points:
            self._log(metrics, "step", step)

    def epoch(self, epoch: int, metrics: Metrics) -> None:
        self._log(metrics, "epoch", epoch)

    def _log(self, metrics: Metrics, axis: str, number: int) -> None:
        """Epochs and steps count differently, so each curve is told which of them is its axis."""
        assert self._run is not None
        for name in metrics.keys() - self._curves:
            self._run.define_metric(name, step_metric=axis)
            self._curves.add(name)
        self._run.log({**metrics, axis: number})

    def end(self, ending: Ending) -> None:
        assert self._run is not None
        self._run.summary.update(dict(ending.best))
        for path in ending.files:
            # A copy in its own folder: of other files W&B keeps links, and warns of them.
            copy = shutil.copyfile(path, Path(self._run.dir) / path.name)
            self._run.save(str(copy), base_path=self._run.dir, policy="now", glob=False)
        if ending.status == "interrupted":
            self._run.mark_preempting()
        self._run.finish(exit_code=EXIT_CODE[ending.status])


def _settings() -> dict[str, Any]:
    """Settings where the user has set none: it prints nothing, and waits for no server for long."""
    ours = {
        "console": "off",
        "silent": True,
        "init_timeout": INIT_SECONDS,
        "finish_timeout": FINISH_SECONDS,
        "finish_timeout_raises": True,
    }
    return {name: value for name, value in ours.items() if f"WANDB_{name.upper()}" not in os.environ}
