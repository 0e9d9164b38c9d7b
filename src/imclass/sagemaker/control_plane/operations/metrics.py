"""CloudWatch's operations on the metrics of training jobs.

A metric has the namespace /aws/sagemaker/TrainingJobs and one dimension: TrainingJobName, as the SageMaker SDK asks for
it, or Host, which is JOB/algo-N, as the console does. Its points are the lines of the log that show it.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from imclass.sagemaker.control_plane.api.errors import ApiError
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane, Values
from imclass.sagemaker.control_plane.training.metrics import LOG_GROUP, Point, host_logs, points

NAMESPACE = LOG_GROUP
STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Average": fmean,
    "Maximum": max,
    "Minimum": min,
    "SampleCount": len,
    "Sum": math.fsum,
}
Buckets = dict[float, list[float]]
"""The values of periods, by the time when each begins, in seconds since 1970."""


def get_metric_data(plane: Plane, request: Values) -> Values:
    """The values of several metrics, all on one page."""
    queries = request["MetricDataQueries"]
    for query in queries:
        _check_query(query)
    descending = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    return {
        "MetricDataResults": [
            _result(plane, query, request, descending=descending) for query in queries if query.get("ReturnData", True)
        ],
        "Messages": [],
    }


def _check_query(query: Mapping[str, Any]) -> None:
    if "MetricStat" not in query:
        raise _invalid(f"The query {query['Id']!r} has no MetricStat; expressions are not offered.")
    statistic = query["MetricStat"]["Stat"]
    if statistic not in STATISTICS:
        raise _invalid(f"The statistic {statistic!r} is not offered, only {', '.join(STATISTICS)}.")


def _result(plane: Plane, query: Mapping[str, Any], request: Values, *, descending: bool) -> dict[str, Any]:
    asked = query["MetricStat"]
    found = _buckets(plane, asked["Metric"], asked["Period"], request)
    times = sorted(found, reverse=descending)
    statistic = STATISTICS[asked["Stat"]]
    return {
        "Id": query["Id"],
        "Label": query.get("Label", asked["Metric"].get("MetricName", "")),
        "Timestamps": times,
        "Values": [float(statistic(found[time])) for time in times],
        "StatusCode": "Complete",
    }


def get_metric_statistics(plane: Plane, request: Values) -> Values:
    """Statistics of one metric."""
    if unknown := sorted(set(request.get("Statistics", [])) - set(STATISTICS)) or request.get("ExtendedStatistics"):
        raise _invalid(f"The statistics {', '.join(unknown)} are not offered, only {', '.join(STATISTICS)}.")
    found = _buckets(plane, request, request["Period"], request)
    names = request.get("Statistics", [])
    return {
        "Label": request["MetricName"],
        "Datapoints": [
            {"Timestamp": time, "Unit": "None"} | {name: float(STATISTICS[name](values)) for name in names}
            for time, values in sorted(found.items())
        ],
    }


def _buckets(plane: Plane, metric: Mapping[str, Any], period: int, request: Values) -> Buckets:
    """The values of a metric between StartTime and EndTime of a request."""
    begin, end = request["StartTime"].timestamp(), request["EndTime"].timestamp()
    found: Buckets = defaultdict(list)
    for point in _points(plane, metric):
        if begin <= point.seconds < end:
            found[point.seconds // period * period].append(point.value)
    return found


def _points(plane: Plane, metric: Mapping[str, Any]) -> list[Point]:
    """All points of a metric; none of one that nobody has."""
    dimensions = {each["Name"]: each["Value"] for each in metric.get("Dimensions", [])}
    if metric.get("Namespace") != NAMESPACE or len(dimensions) != 1:
        return []
    job, _, host = dimensions.get("Host", f"{dimensions.get('TrainingJobName', '')}/algo-1").partition("/")
    files = host_logs(plane.logs, job, host)
    return [point for point in points(files) if point.name == metric.get("MetricName")]


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterValue", message)


OPERATIONS: dict[str, Operation] = {
    "GetMetricData": get_metric_data,
    "GetMetricStatistics": get_metric_statistics,
}
