"""The course of a metric, read from the log of a job while it grows."""

import re
from pathlib import Path

from imclass.sagemaker.control_plane.store.log_files import read_events
from imclass.sagemaker.control_plane.training.documents import METRICS

EPOCH = re.compile(r"Epoch\[(\d+)\]")


class MetricCurve:
    """The values of a metric so far, one an epoch.

    Args:
        metric: a key of `METRICS`.
    """

    def __init__(self, metric: str) -> None:
        self._expression = re.compile(METRICS[metric])
        self._file: Path | None = None
        self._end = 0
        self._values: dict[int, float] = {}

    def read(self, log_file: Path) -> tuple[float, ...]:
        """Look at what the log says since the last time.

        Args:
            log_file: of the job; a job that goes on after an interruption has another one, with later epochs.
        """
        if log_file != self._file:
            self._file, self._end = log_file, 0
        if log_file.exists():
            for event in read_events(log_file, self._end):
                self._end = event.end
                found, epoch = self._expression.search(event.message), EPOCH.search(event.message)
                if found and epoch:
                    self._values[int(epoch[1])] = float(found[1])
        return tuple(self._values[epoch] for epoch in sorted(self._values))
