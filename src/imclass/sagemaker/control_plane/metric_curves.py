"""The course of a metric, read from the log of a job while it grows."""

import re
from pathlib import Path

from imclass.sagemaker.control_plane.log_files import read_events
from imclass.sagemaker.control_plane.training_documents import METRICS


class MetricCurve:
    """The values of a metric so far, one an epoch.

    Args:
        metric: a key of `METRICS`.
    """

    def __init__(self, metric: str) -> None:
        self._expression = re.compile(METRICS[metric])
        self._end = 0
        self._values: list[float] = []

    def read(self, log_file: Path) -> tuple[float, ...]:
        """Look at what the log says since the last time; always the same log."""
        if log_file.exists():
            for event in read_events(log_file, self._end):
                self._end = event.end
                if found := self._expression.search(event.message):
                    self._values.append(float(found[1]))
        return tuple(self._values)
