"""SageMaker's operations on tuning jobs."""

from collections.abc import Mapping
from typing import Any

from imclass.sagemaker.control_plane.api.errors import ApiError
from imclass.sagemaker.control_plane.operations.job_lookups import JobKind, add, begin_to_stop, forget, found, told
from imclass.sagemaker.control_plane.operations.listing import next_token, selection_of
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane, Values
from imclass.sagemaker.control_plane.store.state import Document, MissingError, Page, Selection
from imclass.sagemaker.control_plane.training.documents import KIND as TRAINING
from imclass.sagemaker.control_plane.tuning.documents import (
    ACTIVE,
    KIND,
    best_summary,
    counters,
    new_document,
    not_improving,
    objective_of,
    own_best,
    summary_of,
    value_of,
)
from imclass.sagemaker.control_plane.tuning.requests import check_tuning_request, parents


def not_found(name: str) -> ApiError:
    return ApiError("ResourceNotFound", f"Amazon SageMaker can't find a tuning job called {name}. Type another name.")


JOBS = JobKind(
    kind=KIND,
    in_words="tuning job",
    prefix="HyperParameterTuningJob",
    active=ACTIVE,
    not_found=not_found,
    unique="Hyperparameter tuning job names must be unique within an AWS account and region, and a hyperparameter "
    "tuning job with this name already exists",
)


def create_tuning_job(plane: Plane, request: Values) -> Values:
    """Remember a job and put it to work."""
    name = request["HyperParameterTuningJobName"]
    check_tuning_request(request, plane.state, plane.buckets, plane.account, plane.training_runs.most_hosts)
    answer = add(plane, JOBS, new_document(request, plane.account.arn(KIND, name)), request)
    plane.tuning_runs.start(name)
    return answer


def describe_tuning_job(plane: Plane, request: Values) -> Values:
    document = found(plane, JOBS, request)
    answer = told(JOBS, document, "DescribeHyperParameterTuningJobResponse") | counters(document)
    ended = document.get("HyperParameterTuningEndTime", document["LastModifiedTime"])
    answer["ConsumedResources"] = {"RuntimeInSeconds": max(0, round(ended - document["CreationTime"]))}
    answer["TuningJobCompletionDetails"] = {"NumberOfTrainingJobsObjectiveNotImproving": not_improving(document)}
    if (best := own_best(document)) is not None:
        answer["BestTrainingJob"] = best
    if (overall := _overall_best(plane, document)) is not None:
        answer["OverallBestTrainingJob"] = overall
    return answer


def list_tuning_jobs(plane: Plane, request: Values) -> Values:
    page = plane.state.select(KIND, selection_of({"SortBy": "Name", **request}, "Ascending"))
    return {"HyperParameterTuningJobSummaries": [_summary(document) for document in page.documents], **next_token(page)}


def list_training_jobs(plane: Plane, request: Values) -> Values:
    """The training jobs of a tuning job."""
    document = found(plane, JOBS, request)
    summaries = [_current(plane, document, trial) for trial in document["trials"]]
    there = [summary for summary in summaries if summary is not None]
    page = _selected(there, selection_of({"SortBy": "Name", **request}, "Ascending"))
    return {"TrainingJobSummaries": page.documents, **next_token(page)}


def stop_tuning_job(plane: Plane, request: Values) -> Values:
    """Let a job end soon, and the training jobs that it has running; it looks at the state itself."""
    begin_to_stop(plane, JOBS, request)
    return {}


def delete_tuning_job(plane: Plane, request: Values) -> Values:
    """Forget a job that has ended; its training jobs stay."""
    forget(plane, JOBS, request)
    return {}


def _summary(document: Document) -> Document:
    config = document["HyperParameterTuningJobConfig"]
    return {
        **told(JOBS, document, "HyperParameterTuningJobSummary"),
        **counters(document),
        "Strategy": config["Strategy"],
        "ResourceLimits": config["ResourceLimits"],
    }


def _current(plane: Plane, document: Document, trial: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What List tells of a trial now; None in the moment before its training job is there."""
    if "summary" in trial:
        summary: Mapping[str, Any] = trial["summary"]
        return summary
    try:
        return summary_of(document, trial, plane.state.get(TRAINING, trial["name"]))
    except MissingError:
        return None


def _overall_best(plane: Plane, document: Document) -> Mapping[str, Any] | None:
    """The best training job of this tuning job and those that it started from, with the name of its tuning job."""
    if document.get("WarmStartConfig", {}).get("WarmStartType") != "IdenticalDataAndAlgorithm":
        return None
    family = [document]
    for name in parents(document):
        try:
            family.append(plane.state.get(KIND, name))
        except MissingError:  # deleted meanwhile
            continue
    bests = [
        {**best, "TuningJobName": each["HyperParameterTuningJobName"]}
        for each in family
        if (best := own_best(each)) is not None
    ]
    return best_summary(bests, objective_of(document))


def _selected(summaries: list[Mapping[str, Any]], selection: Selection) -> Page:
    """One page of summaries; those without a value come last when they are sorted by it."""

    def key(summary: Mapping[str, Any]) -> tuple[Any, str]:
        name = summary["TrainingJobName"]
        if selection.sort_by == "FinalObjectiveMetricValue":
            worst = float("-inf") if selection.descending else float("inf")
            value = value_of(summary)
            return worst if value is None else value, name
        column = {"Name": "TrainingJobName", "Status": "TrainingJobStatus", "CreationTime": "CreationTime"}
        return summary[column[selection.sort_by]], name

    wanted = [each for each in summaries if selection.status in (None, each["TrainingJobStatus"])]
    wanted.sort(key=key, reverse=selection.descending)
    after = selection.after
    if after is not None:
        place = tuple(after)
        wanted = [each for each in wanted if (key(each) < place if selection.descending else key(each) > place)]
    shown = wanted[: selection.limit]
    return Page([dict(each) for each in shown], key(shown[-1]) if len(wanted) > len(shown) else None)


OPERATIONS: dict[str, Operation] = {
    "CreateHyperParameterTuningJob": create_tuning_job,
    "DescribeHyperParameterTuningJob": describe_tuning_job,
    "ListHyperParameterTuningJobs": list_tuning_jobs,
    "ListTrainingJobsForHyperParameterTuningJob": list_training_jobs,
    "StopHyperParameterTuningJob": stop_tuning_job,
    "DeleteHyperParameterTuningJob": delete_tuning_job,
}
