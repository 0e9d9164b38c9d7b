"""The metrics of training jobs, found in what they print."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclass.sagemaker.control_plane.store.log_files import LogFolder, read_events
from imclass.sagemaker.control_plane.store.state import Document
from imclass.sagemaker.control_plane.training.documents import METRICS

LOG_GROUP = "/aws/sagemaker/TrainingJobs"


@dataclass(frozen=True)
class Point:
    """A value of a metric.

    Attributes:
        name: such as validation:accuracy.
        value: in single precision, as AWS keeps it.
        seconds: since 1970.
    """

    name: str
    value: float
    seconds: float


def host_logs(logs: LogFolder, job: str, host: str = "algo-1") -> list[Path]:
    """The log files of a job's host, by default the leading one, in order: one for each attempt."""
    files = [logs.file(LOG_GROUP, stream) for stream in logs.streams(LOG_GROUP, f"{job}/{host}-")]
    return [file for file in files if file is not None]


def points(log_files: Iterable[Path]) -> Iterator[Point]:
    """All values in some logs, in order."""
    expressions = {name: re.compile(regex) for name, regex in METRICS.items()}
    for file in log_files:
        for event in read_events(file):
            for name, expression in expressions.items():
                if found := expression.search(event.message):
                    yield Point(name, float(np.float32(found[1])), event.timestamp / 1000)


def final_metrics(log_files: Iterable[Path]) -> list[Document]:
    """FinalMetricDataList: the last value of each metric."""
    last: dict[str, dict[str, Any]] = {}
    for point in points(log_files):
        last[point.name] = {"MetricName": point.name, "Value": point.value, "Timestamp": point.seconds}
    return [last[name] for name in sorted(last)]
