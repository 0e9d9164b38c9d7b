"""The kinds of things that the console shows, by the names that SageMaker's operations and their members have."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from imclass.sagemaker.control_plane.api.errors import ApiError
from imclass.sagemaker.control_plane.console.calls import Calls, choices
from imclass.sagemaker.control_plane.operations.plane import Values

ROWS = 25


@dataclass(frozen=True)
class Action:
    """What people can do to a thing that is in certain states.

    Attributes:
        word: on the button.
        operation: which does it.
        statuses: in which it can be done; empty for all.
        consequence: what people are told before they do it.
    """

    word: str
    operation: str
    statuses: Sequence[str]
    consequence: str


@dataclass(frozen=True)
class Section:
    """A kind of things.

    Attributes:
        path: in addresses.
        title, noun: of many, and of one.
        describe_operation, list_operation: which tell of them.
        items: member of List's answer that holds the things.
        name, status: members of both answers; a thing without states has no status.
        ended: member with the time of its end, if it has one.
        states: enumeration of its statuses.
        alive: the status of one that is at work.
        log_group: in which it writes streams named `NAME/...`, or the stream `NAME`; `{name}` in it is replaced, and
            streams have any name.
        action: None if there is nothing to do.
    """

    path: str
    title: str
    noun: str
    describe_operation: str
    list_operation: str
    items: str
    name: str
    status: str | None = None
    ended: str | None = None
    states: str | None = None
    alive: str | None = None
    log_group: str | None = None
    action: Action | None = None

    def is_offered(self, calls: Calls) -> bool:
        return calls.offers(self.describe_operation, self.list_operation)

    def described(self, calls: Calls, name: str) -> Values:
        """What Describe tells.

        Raises:
            ApiError: there is no such thing.
        """
        return calls(self.describe_operation, **{self.name: name})


IN_PROGRESS = ("InProgress", "Stopping")
STOP = "It ends soon, and what it has done so far is kept."

TRAINING = Section(
    "training-jobs",
    "Training jobs",
    "Training job",
    "DescribeTrainingJob",
    "ListTrainingJobs",
    "TrainingJobSummaries",
    "TrainingJobName",
    "TrainingJobStatus",
    "TrainingEndTime",
    "TrainingJobStatus",
    "InProgress",
    "/aws/sagemaker/TrainingJobs",
    Action("Stop", "StopTrainingJob", ("InProgress",), STOP),
)
TUNING = Section(
    "tuning-jobs",
    "Tuning jobs",
    "Tuning job",
    "DescribeHyperParameterTuningJob",
    "ListHyperParameterTuningJobs",
    "HyperParameterTuningJobSummaries",
    "HyperParameterTuningJobName",
    "HyperParameterTuningJobStatus",
    "HyperParameterTuningEndTime",
    "HyperParameterTuningJobStatus",
    "InProgress",
    None,
    Action("Stop", "StopHyperParameterTuningJob", ("InProgress",), "Its training jobs are stopped too."),
)
ENDPOINTS = Section(
    "endpoints",
    "Endpoints",
    "Endpoint",
    "DescribeEndpoint",
    "ListEndpoints",
    "Endpoints",
    "EndpointName",
    "EndpointStatus",
    None,
    "EndpointStatus",
    "InService",
    "/aws/sagemaker/Endpoints/{name}",
    Action("Delete", "DeleteEndpoint", (), "It answers no more requests. Its model and its configuration stay."),
)
MODELS = Section("models", "Models", "Model", "DescribeModel", "ListModels", "Models", "ModelName")
TRANSFORM = Section(
    "transform-jobs",
    "Transform jobs",
    "Transform job",
    "DescribeTransformJob",
    "ListTransformJobs",
    "TransformJobSummaries",
    "TransformJobName",
    "TransformJobStatus",
    "TransformEndTime",
    "TransformJobStatus",
    "InProgress",
    "/aws/sagemaker/TransformJobs",
    Action("Stop", "StopTransformJob", ("InProgress",), STOP),
)
COMPILATION = Section(
    "compilation-jobs",
    "Compilation jobs",
    "Compilation job",
    "DescribeCompilationJob",
    "ListCompilationJobs",
    "CompilationJobSummaries",
    "CompilationJobName",
    "CompilationJobStatus",
    "CompilationEndTime",
    "CompilationJobStatus",
    "INPROGRESS",
    "/aws/sagemaker/CompilationJobs",
    Action("Stop", "StopCompilationJob", ("STARTING", "INPROGRESS"), "It ends soon, without a compiled model."),
)
SECTIONS = (TRAINING, TUNING, ENDPOINTS, MODELS, TRANSFORM, COMPILATION)

WORDS_OF_STATUS = {"InProgress": "in progress", "INPROGRESS": "in progress", "InService": "in service"}
STILL_CHANGING = frozenset(
    {"InProgress", "Stopping", "Deleting", "Creating", "Updating", "SystemUpdating", "RollingBack", "STARTING",
     "INPROGRESS", "STOPPING"}
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A thing in a list.

    Attributes:
        result: the most interesting number, or what went wrong; empty for none.
        began, ended: seconds since 1970.
    """

    name: str
    status: str
    result: str
    began: float
    ended: float | None


@dataclass(frozen=True)
class Rows:
    """A page of a list, and the token that brings the next one."""

    rows: list[Row]
    next_token: str | None


def listed(calls: Calls, section: Section, wanted: Mapping[str, str], most: int = ROWS) -> Rows:
    """The latest things of a kind.

    Args:
        wanted: StatusEquals, NameContains and NextToken, as far as they are given.

    Raises:
        ApiError: what is wanted cannot be.
    """
    given = {name: value for name, value in wanted.items() if value}
    answer = calls(section.list_operation, MaxResults=most, SortBy="CreationTime", SortOrder="Descending", **given)
    return Rows([_row(calls, section, item) for item in answer[section.items]], answer.get("NextToken"))


def _row(calls: Calls, section: Section, item: Values) -> Row:
    tell = RESULTS.get(section.path)
    return Row(
        item[section.name],
        item[section.status] if section.status else "",
        tell(calls, item) if tell else item.get("FailureReason", ""),
        seconds(item["CreationTime"]),
        seconds(item[section.ended]) if section.ended and section.ended in item else None,
    )


def _training_result(calls: Calls, item: Values) -> str:
    """The final accuracy of a training job, on validation data if it has some; or where it is, or why it failed."""
    try:
        job = TRAINING.described(calls, item["TrainingJobName"])
    except ApiError:  # deleted since it was listed
        return ""
    if job["TrainingJobStatus"] in IN_PROGRESS:
        return str(job["SecondaryStatus"])
    values = {each["MetricName"]: each["Value"] for each in job.get("FinalMetricDataList", [])}
    name = next((name for name in ("validation:accuracy", "train:accuracy") if name in values), None)
    return job.get("FailureReason", "") if name is None else f"{name} {values[name]:.4f}"


def _trials_done(calls: Calls, item: Values) -> str:
    counts = item["TrainingJobStatusCounters"]
    ended = sum(counts.get(name, 0) for name in ("Completed", "NonRetryableError", "Stopped"))
    return f"{ended} of {ended + counts.get('InProgress', 0)} training jobs have ended"


RESULTS: Mapping[str, Callable[[Calls, Values], str]] = {
    TRAINING.path: _training_result,
    TUNING.path: _trials_done,
}


def alive_count(calls: Calls, section: Section) -> str:
    """How many things of a kind are at work, in words."""
    if section.alive is None:
        return ""
    answer = calls(section.list_operation, StatusEquals=section.alive, MaxResults=100)
    more = "+" if "NextToken" in answer else ""
    return f"{len(answer[section.items])}{more} {WORDS_OF_STATUS.get(section.alive, section.alive)}"


def statuses(section: Section) -> list[str]:
    """Those that a thing of a kind can have."""
    return choices(section.states) if section.states else []


def seconds(time: Any) -> float:
    """Seconds since 1970 of a time in an answer, which is a number or a datetime."""
    return time.timestamp() if isinstance(time, datetime) else float(time)
