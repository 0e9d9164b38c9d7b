"""What is special on the page of a training job: its curves, and how far it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imclass.sagemaker.control_plane.console.charts import Axis, Chart, Drawing, Series, draw
from imclass.sagemaker.control_plane.console.curves import CurveReader, Curves, Progress
from imclass.sagemaker.control_plane.console.sections import TRAINING, seconds
from imclass.sagemaker.control_plane.console.streams import file_of, latest, streams_of
from imclass.sagemaker.control_plane.console.words import duration, now
from imclass.sagemaker.control_plane.operations.plane import Values
from imclass.sagemaker.control_plane.store.log_files import LogFolder

HALVES = ("Train", "Validation")
MOST_ROWS = 200


@dataclass(frozen=True)
class MetricTable:
    """The values of a metric, which the chart shows too.

    Attributes:
        rows: epoch, and the value of each half, None where it has none; the latest first.
        is_cut: whether earlier epochs are left out.
    """

    metric: str
    rows: Sequence[tuple[int, Sequence[float | None]]]
    is_cut: bool


def training_content(logs: LogFolder, reader: CurveReader, description: Values) -> dict[str, Any]:
    """What the template of a training job names beside what all things have."""
    name, created = description["TrainingJobName"], seconds(description["CreationTime"])
    streams = streams_of(logs, TRAINING, name, created)
    leader = latest(streams)
    host = "" if leader is None else leader.rpartition("-")[0]
    # All attempts of the first host; the others print the same values.
    files = [file_of(logs, TRAINING, name, stream) for stream in streams if stream.rpartition("-")[0] == host]
    curves = reader.read(f"{name}@{created}", [file for file in files if file is not None])
    metrics = curves.metrics()
    return {
        "figures": figures(description, curves),
        "drawings": [drawing for metric in metrics if (drawing := drawing_of(metric, curves)) is not None],
        "tables": [table_of(metric, curves) for metric in metrics],
        "halves": HALVES,
    }


def figures(description: Values, curves: Curves) -> list[tuple[str, str]]:
    """The numbers at the head of the page."""
    begun, ended = description.get("TrainingStartTime"), description.get("TrainingEndTime")
    found = []
    if begun is not None:
        until = now() if ended is None else seconds(ended)
        found.append(("trained for" if ended else "training for", duration(until - seconds(begun))))
    epochs = len({epoch for values in curves.values.values() for epoch in values})
    asked = description.get("HyperParameters", {}).get("epochs")
    if epochs:
        found.append(("epochs", f"{epochs} of {asked}" if asked else str(epochs)))
    for half in HALVES:
        values = curves.of("accuracy", half)
        if values:
            found.append((f"{half.lower()} accuracy", f"{list(values.values())[-1]:.4f}"))
            if half == "Validation":
                best = max(values, key=values.__getitem__)
                found.append((f"best, in epoch {best}", f"{values[best]:.4f}"))
    if curves.progress is not None and ended is None:
        found.append(progress_figure(curves.progress))
    return found


def progress_figure(progress: Progress) -> tuple[str, str]:
    return f"images/s, epoch {progress.epoch}, batch {progress.batch}", f"{progress.speed:,.0f}"


def drawing_of(metric: str, curves: Curves) -> Drawing | None:
    """The chart of a metric; None if it has no finite value."""
    series = [Series(half, list(values.items())) for half in HALVES if (values := curves.of(metric, half))]
    if not series:
        return None
    name = "".join(letter if letter.isalnum() else "-" for letter in metric)
    return draw(Chart(name, metric.replace("_", " "), Axis("epoch", is_whole=True), Axis(metric), series))


def table_of(metric: str, curves: Curves) -> MetricTable:
    """All values of a metric, those that are no finite numbers too."""
    halves: list[Mapping[int, float]] = [curves.values.get((metric, half), {}) for half in HALVES]
    epochs = sorted({epoch for values in halves for epoch in values}, reverse=True)
    rows = [(epoch, [values.get(epoch) for values in halves]) for epoch in epochs[:MOST_ROWS]]
    return MetricTable(metric, rows, len(epochs) > MOST_ROWS)
