"""What is special on the page of a tuning job: its trials, and the objective over time and over each range."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from imclass.sagemaker.control_plane.console.calls import Calls
from imclass.sagemaker.control_plane.console.charts import Axis, Chart, Drawing, Point, Series, draw
from imclass.sagemaker.control_plane.console.sections import seconds
from imclass.sagemaker.control_plane.operations.plane import Values
from imclass.tuning.ranges import NumberRange

LIST_TRIALS = "ListTrainingJobsForHyperParameterTuningJob"
TRIALS = "TrainingJobSummaries"


@dataclass(frozen=True)
class Trial:
    """A training job of a tuning job.

    Attributes:
        number: from 1, in the order in which they began.
        objective: None before its end, and of one that failed.
        values: of the hyperparameters that are searched, as text.
    """

    number: int
    name: str
    status: str
    objective: float | None
    values: Values


@dataclass(frozen=True)
class Range:
    """A hyperparameter that is searched.

    Attributes:
        is_logarithmic: whether the search takes it so.
        choices: None for numbers.
    """

    name: str
    is_logarithmic: bool
    choices: Sequence[str] | None


def tuning_content(calls: Calls, description: Values) -> dict[str, Any]:
    """What the template of a tuning job names beside what all things have."""
    trials = trials_of(calls, description["HyperParameterTuningJobName"])
    ranges = list(ranges_of(description))
    metric, direction = objective_of(description)
    best = best_of(trials, direction)
    return {
        "trials": trials,
        "names": [each.name for each in ranges],
        "objective": metric,
        "best": best,
        "figures": figures(description, best, metric),
        "drawings": drawings_of(trials, ranges, metric, direction),
    }


def trials_of(calls: Calls, name: str) -> list[Trial]:
    """All training jobs of a tuning job that have been created."""
    if not calls.offers(LIST_TRIALS):
        return []
    found = calls.all_pages(LIST_TRIALS, TRIALS, HyperParameterTuningJobName=name)
    begun = sorted(found, key=lambda each: seconds(each["CreationTime"]))
    return [
        Trial(
            number,
            each["TrainingJobName"],
            each["TrainingJobStatus"],
            each.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value"),
            {name: value.strip('"') for name, value in each["TunedHyperParameters"].items()},
        )
        for number, each in enumerate(begun, 1)
    ]


def definitions_of(description: Values) -> list[Values]:
    """One definition of training jobs, or several."""
    if "TrainingJobDefinition" in description:
        return [description["TrainingJobDefinition"]]
    return list(description.get("TrainingJobDefinitions", []))


def ranges_of(description: Values) -> Iterator[Range]:
    """What is searched, each hyperparameter once; with one definition this is said elsewhere than with several."""
    common = description["HyperParameterTuningJobConfig"].get("ParameterRanges", {})
    seen: set[str] = set()
    for definition in definitions_of(description) or [{}]:
        ranges = definition.get("HyperParameterRanges", common)
        for kind in ("ContinuousParameterRanges", "IntegerParameterRanges", "CategoricalParameterRanges"):
            for each in ranges.get(kind, []):
                if each["Name"] not in seen:
                    seen.add(each["Name"])
                    yield range_of(each)


def range_of(member: Values) -> Range:
    """A range as SageMaker's ParameterRanges write it."""
    if "Values" in member:
        return Range(member["Name"], is_logarithmic=False, choices=member["Values"])
    searched = NumberRange(
        member["Name"], float(member["MinValue"]), float(member["MaxValue"]), member.get("ScalingType", "Auto")
    )
    return Range(member["Name"], is_logarithmic=searched.scale == "Logarithmic", choices=None)


def objective_of(description: Values) -> tuple[str, str]:
    """The metric, and Maximize or Minimize."""
    config = description["HyperParameterTuningJobConfig"]
    definitions = definitions_of(description)
    own = definitions[0].get("TuningObjective") if definitions else None
    written = own or config.get("HyperParameterTuningJobObjective", {})
    return written.get("MetricName", "objective"), written.get("Type", "Maximize")


def best_of(trials: Sequence[Trial], direction: str) -> Trial | None:
    """The first of the best."""
    judged = [trial for trial in trials if trial.objective is not None and math.isfinite(trial.objective)]
    choose = min if direction == "Minimize" else max
    return choose(judged, key=lambda trial: trial.objective or 0.0) if judged else None


def figures(description: Values, best: Trial | None, metric: str) -> list[tuple[str, str]]:
    """The numbers at the head of the page."""
    limits = description["HyperParameterTuningJobConfig"].get("ResourceLimits", {})
    counts = description["TrainingJobStatusCounters"]
    found = []
    if best is not None:
        found.append((f"best {metric}, of trial {best.number}", f"{best.objective:.4f}"))
    completed, most = counts.get("Completed", 0), limits.get("MaxNumberOfTrainingJobs")
    found.append(("completed", f"{completed} of {most}" if most else str(completed)))
    found.append(("in progress", str(counts.get("InProgress", 0))))
    failed = counts.get("NonRetryableError", 0) + counts.get("RetryableError", 0)
    if failed:
        found.append(("failed", str(failed)))
    return found


def drawings_of(trials: Sequence[Trial], ranges: Sequence[Range], metric: str, direction: str) -> list[Drawing]:
    """The objective over the trials, and over each hyperparameter; none before there are values."""
    judged = [trial for trial in trials if trial.objective is not None and math.isfinite(trial.objective)]
    if not judged:
        return []
    y = Axis(metric)
    points = [(float(trial.number), trial.objective or 0.0) for trial in judged]
    over_time = [Series("trial", points, "dots"), Series("best so far", best_so_far(points, direction), "steps")]
    drawings = [draw(Chart("trials", f"{metric} of the trials", Axis("trial", is_whole=True), y, over_time))]
    for number, each in enumerate(ranges):
        places = [point for trial in judged if (point := place_of(trial, each)) is not None]
        if places:
            x = Axis(each.name, is_logarithmic=each.is_logarithmic, names=[*(each.choices or [])])
            title = f"{metric} over {each.name}"
            drawings.append(draw(Chart(f"range-{number}", title, x, y, [Series("trial", places, "dots")])))
    return drawings


def place_of(trial: Trial, searched: Range) -> Point | None:
    """Where a trial is on the chart of a hyperparameter; None if its value is not one of the range."""
    text = trial.values.get(searched.name)
    if text is None or trial.objective is None:
        return None
    if searched.choices is not None:
        return (float(searched.choices.index(text)), trial.objective) if text in searched.choices else None
    try:
        value = float(text)
    except ValueError:  # a warm start from jobs that searched something else
        return None
    fits = math.isfinite(value) and (value > 0 or not searched.is_logarithmic)
    return (value, trial.objective) if fits else None


def best_so_far(points: Sequence[Point], direction: str) -> list[Point]:
    """The best value up to each point."""
    choose = min if direction == "Minimize" else max
    found: list[Point] = []
    for x, y in points:
        found.append((x, choose(y, found[-1][1]) if found else y))
    return found
