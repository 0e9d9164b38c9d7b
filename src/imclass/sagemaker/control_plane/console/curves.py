"""How the metrics of training jobs went, read from their logs while these grow.

Lines that are understood, as the original prints them; the metric is whatever follows `Train-` or `Validation-`:

    Epoch[0] Batch [20]#011Speed: 189.789 samples/sec#011accuracy=0.983631
    Epoch[0] Train-accuracy=0.150391
    Epoch[0] Validation-accuracy=0.253906
"""

import math
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imclass.sagemaker.control_plane.store.log_files import Event, read_events

VALUE = re.compile(r"Epoch\[(\d{1,9})\] (Train|Validation)-([A-Za-z0-9_.-]{1,64})=(\S{1,32})$")
BATCH = re.compile(r"Epoch\[(\d{1,9})\] Batch \[(\d{1,12})\](?:#011|\s)+Speed: ([0-9.]{1,20}) samples/sec")
MOST_METRICS = 24
MOST_JOBS = 64
"""Jobs whose curves are remembered; those that nobody has looked at for longest are read anew."""


@dataclass(frozen=True)
class Progress:
    """Where a job was when it last said so.

    Attributes:
        epoch, batch: counted from 0.
        speed: images a second.
    """

    epoch: int
    batch: int
    speed: float


@dataclass
class Curves:
    """The curves of one job.

    Attributes:
        values: by metric, such as accuracy, and half, Train or Validation: by epoch.
        progress: None before the first batches.
    """

    values: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict)
    progress: Progress | None = None
    _read: dict[Path, int] = field(default_factory=dict)

    def follow(self, logs: list[Path]) -> None:
        """Look at what logs say since the last time."""
        for log in logs:
            for event in read_events(log, self._read.get(log, 0)):
                self._read[log] = event.end
                self._take(event)

    def _take(self, event: Event) -> None:
        if "Epoch[" not in event.message:
            return
        if found := VALUE.search(event.message):
            epoch, half, metric, text = found.groups()
            key, value = (metric, half), read_number(text)
            if value is not None and (key in self.values or len(self.values) < MOST_METRICS):
                self.values.setdefault(key, {})[int(epoch)] = value
        elif found := BATCH.search(event.message):
            self.progress = Progress(int(found[1]), int(found[2]), float(found[3]))

    def metrics(self) -> list[str]:
        """Those that there are, accuracy first."""
        return sorted({metric for metric, _ in self.values}, key=lambda name: (name != "accuracy", name))

    def of(self, metric: str, half: str) -> Mapping[int, float]:
        """The values of a metric, finite ones only, by epoch in order."""
        found = self.values.get((metric, half), {})
        return {epoch: found[epoch] for epoch in sorted(found) if math.isfinite(found[epoch])}


class CurveReader:
    """The curves of the jobs that people look at; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, Curves] = OrderedDict()

    def read(self, job: str, logs: list[Path]) -> Curves:
        """A copy of the curves of a job as its logs have them now.

        Args:
            job: what tells it apart from a later one of the same name too.
        """
        with self._lock:
            curves = self._jobs.setdefault(job, Curves())
            self._jobs.move_to_end(job)
            if len(self._jobs) > MOST_JOBS:
                self._jobs.popitem(last=False)
            curves.follow(logs)
            return Curves({key: dict(values) for key, values in curves.values.items()}, curves.progress)


def read_number(text: str) -> float | None:
    """What a metric is; None if it is no number."""
    try:
        return float(text)
    except ValueError:
        return None
