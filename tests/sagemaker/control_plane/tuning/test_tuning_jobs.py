"""Tuning jobs through boto3: a real server, and training jobs that really run."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.control_plane.server import (
    IMAGE,
    ROLE,
    channel,
)
from tests.sagemaker.control_plane.tuning.requests import (
    CHOICES,
    STATIC,
    definition,
    failing,
    name_of_jobs,
    several,
    tuning_job,
    wait_for_end,
)

pytestmark = pytest.mark.timeout(1800)  # many processes that import PyTorch, on perhaps two cores


@pytest.fixture(scope="module")
def finished(sagemaker: Any) -> dict[str, Any]:
    """The description of a tuning job that has come to its end."""
    answer = sagemaker.create_hyper_parameter_tuning_job(
        **tuning_job("Tune-Digits"), Tags=[{"Key": "team", "Value": "vision"}]
    )
    arn = "arn:aws:sagemaker:us-east-1:000000000000:hyper-parameter-tuning-job/tune-digits"
    assert answer["HyperParameterTuningJobArn"] == arn
    return wait_for_end(sagemaker, "Tune-Digits")


def test_the_job_ends_with_its_counters(finished: dict[str, Any]) -> None:
    assert finished["HyperParameterTuningJobStatus"] == "Completed", finished
    assert finished["TrainingJobStatusCounters"] == {
        "Completed": 3, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0
    }  # fmt: skip
    assert finished["ObjectiveStatusCounters"] == {"Succeeded": 3, "Pending": 0, "Failed": 0}
    assert finished["HyperParameterTuningJobConfig"]["Strategy"] == "Bayesian"
    assert finished["TrainingJobDefinition"]["StaticHyperParameters"] == STATIC
    assert finished["CreationTime"] < finished["HyperParameterTuningEndTime"]
    assert finished["ConsumedResources"]["RuntimeInSeconds"] >= 1


def test_the_best_training_job_is_the_best(sagemaker: Any, finished: dict[str, Any]) -> None:
    jobs = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="Tune-Digits", SortBy="FinalObjectiveMetricValue", SortOrder="Descending"
    )["TrainingJobSummaries"]
    values = [job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for job in jobs]
    assert values == sorted(values, reverse=True)
    best = finished["BestTrainingJob"]
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == values[0]
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["MetricName"] == "validation:accuracy"
    assert best["ObjectiveStatus"] == "Succeeded"
    assert "OverallBestTrainingJob" not in finished
    job = sagemaker.describe_training_job(TrainingJobName=best["TrainingJobName"])
    metrics = {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
    assert metrics["validation:accuracy"] == values[0]


def test_training_jobs_are_those_of_the_tuning_job(sagemaker: Any, finished: dict[str, Any]) -> None:
    names = name_of_jobs(sagemaker, "Tune-Digits")
    assert [name[:-9] for name in names] == [f"Tune-Digits-{number:03d}" for number in (1, 2, 3)]
    assert all(len(name.rpartition("-")[2]) == 8 for name in names)
    for name in names:
        job = sagemaker.describe_training_job(TrainingJobName=name)
        assert job["TuningJobArn"] == finished["HyperParameterTuningJobArn"]
        tuned = {key: value for key, value in job["HyperParameters"].items() if key not in STATIC}
        assert tuned.pop("_tuning_objective_metric") == "validation:accuracy"
        assert sorted(tuned) == ["learning_rate", "mini_batch_size"]
        assert 0.001 <= float(tuned["learning_rate"]) <= 0.1
        assert 8 <= int(tuned["mini_batch_size"]) <= 16
        assert sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == [{"Key": "team", "Value": "vision"}]


def test_lists_have_pages(sagemaker: Any, finished: dict[str, Any]) -> None:
    names: list[str] = []
    token: dict[str, str] | None = {}
    while token is not None:
        page = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
            HyperParameterTuningJobName="Tune-Digits", MaxResults=2, SortOrder="Descending", **token
        )
        names += [job["TrainingJobName"] for job in page["TrainingJobSummaries"]]
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    assert names == sorted(name_of_jobs(sagemaker, "Tune-Digits"), reverse=True)
    (found,) = sagemaker.list_hyper_parameter_tuning_jobs(NameContains="Digits")["HyperParameterTuningJobSummaries"]
    assert (found["HyperParameterTuningJobName"], found["Strategy"]) == ("Tune-Digits", "Bayesian")
    assert found["ResourceLimits"] == {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2}
    assert found["TrainingJobStatusCounters"]["Completed"] == 3


def test_a_name_is_taken(sagemaker: Any, finished: dict[str, Any]) -> None:
    with pytest.raises(sagemaker.exceptions.ResourceInUse, match="tuning job names must be unique"):
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("Tune-Digits"))


def test_warm_start_learns_from_its_parent(sagemaker: Any, finished: dict[str, Any]) -> None:
    warm = {
        "WarmStartType": "IdenticalDataAndAlgorithm",
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "Tune-Digits"}],
    }
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("warm", most=1), WarmStartConfig=warm)
    described = wait_for_end(sagemaker, "warm")
    assert described["WarmStartConfig"] == warm
    overall, candidates = described["OverallBestTrainingJob"], (described, finished)
    values = [each["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for each in candidates]
    assert overall["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == max(values)
    assert overall["TuningJobName"] in ("warm", "Tune-Digits")
    too_many = tuning_job("colder", most=1, static={**STATIC, "momentum": "0.5"})
    with pytest.raises(ClientError, match="both numbers must be the same"):
        sagemaker.create_hyper_parameter_tuning_job(**too_many, WarmStartConfig=warm)
    missing = {**warm, "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "nobody"}]}
    with pytest.raises(ClientError, match="The parent tuning job nobody does not exist"):
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("colder"), WarmStartConfig=missing)


def test_several_definitions_share_the_training_jobs(sagemaker: Any) -> None:
    sagemaker.create_hyper_parameter_tuning_job(**several("both", {"small": CHOICES, "large": CHOICES}, most=2))
    described = wait_for_end(sagemaker, "both")
    assert described["HyperParameterTuningJobStatus"] == "Completed", described
    jobs = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName="both")
    assert [job["TrainingJobDefinitionName"] for job in jobs["TrainingJobSummaries"]] == ["small", "large"]


def test_a_grid_is_searched_as_a_whole(sagemaker: Any) -> None:
    request = tuning_job("grid", ranges=CHOICES, strategy="Grid", static={**STATIC, "epochs": "1"})
    del request["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    sagemaker.create_hyper_parameter_tuning_job(**request)
    assert wait_for_end(sagemaker, "grid")["TrainingJobStatusCounters"]["Completed"] == 2
    jobs = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName="grid")
    tried = [job["TunedHyperParameters"] for job in jobs["TrainingJobSummaries"]]
    assert tried == [{"optimizer": "sgd"}, {"optimizer": "adam"}]


def test_a_target_that_is_reached_ends_the_job(sagemaker: Any) -> None:
    request = tuning_job("easy", most=20)
    request["HyperParameterTuningJobConfig"]["TuningJobCompletionCriteria"] = {"TargetObjectiveMetricValue": 0.01}
    sagemaker.create_hyper_parameter_tuning_job(**request)
    described = wait_for_end(sagemaker, "easy")
    assert described["HyperParameterTuningJobStatus"] == "Completed", described
    counters = described["TrainingJobStatusCounters"]
    assert 1 <= counters["Completed"] + counters["Stopped"] <= 4


def test_trials_that_keep_failing_end_the_job(sagemaker: Any) -> None:
    sagemaker.create_hyper_parameter_tuning_job(**failing("hopeless"))
    described = wait_for_end(sagemaker, "hopeless")
    assert described["HyperParameterTuningJobStatus"] == "Failed"
    assert described["FailureReason"] == (
        "No training job succeeded after 5 attempts. Please take a look at the training job failures to get more "
        "details."
    )
    assert described["TrainingJobStatusCounters"]["NonRetryableError"] >= 5
    assert described["ObjectiveStatusCounters"]["Succeeded"] == 0
    assert "BestTrainingJob" not in described


def test_an_unknown_job(sagemaker: Any) -> None:
    ask = {"HyperParameterTuningJobName": "nobody"}
    for call in (
        sagemaker.describe_hyper_parameter_tuning_job,
        sagemaker.stop_hyper_parameter_tuning_job,
        sagemaker.list_training_jobs_for_hyper_parameter_tuning_job,
        sagemaker.delete_hyper_parameter_tuning_job,
    ):
        with pytest.raises(ClientError, match=r"can't find a tuning job called nobody\. Type another name\."):
            call(**ask)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Strategy": "Grid"}, "the strategy Grid takes categorical ranges only; learning_rate, mini_batch_size"),
        ({"Strategy": "Hyperband", "TrainingJobEarlyStoppingType": "Auto"}, "early stopping must be Off"),
        ({"ResourceLimits": {"MaxParallelTrainingJobs": 1}}, "MaxNumberOfTrainingJobs must be given"),
        ({"StrategyConfig": {"HyperbandStrategyConfig": {"MaxResource": 3}}}, "StrategyConfig is for the strategy"),
        (
            {"HyperParameterTuningJobObjective": {"MetricName": "validation:loss", "Type": "Minimize"}},
            "'validation:loss' is not one of this algorithm's",
        ),
        (
            {"ParameterRanges": {"ContinuousParameterRanges": [{"Name": "rate", "MinValue": "x", "MaxValue": "1"}]}},
            "'x' is not a number",
        ),
        (
            {"ParameterRanges": {"IntegerParameterRanges": [{"Name": "epochs", "MinValue": "1", "MaxValue": "2"}]}},
            "epochs must not be both static and tuned",
        ),
        (
            {"TuningJobCompletionCriteria": {"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}}},
            "ConvergenceDetected is not supported",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_at_once(sagemaker: Any, change: dict[str, Any], message: str) -> None:
    request = tuning_job("refused")
    request["HyperParameterTuningJobConfig"] |= change
    with pytest.raises(ClientError, match="ValidationException") as caught:
        sagemaker.create_hyper_parameter_tuning_job(**request)
    assert message in caught.value.response["Error"]["Message"]


def test_definitions_that_cannot_be_trained_are_refused_at_once(sagemaker: Any) -> None:
    elsewhere = {"AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "Pipe"}, "RoleArn": ROLE}
    for change, message in (
        ({"InputDataConfig": [channel("train", "s3://bucket/nowhere/")]}, "No S3 objects found"),
        ({"StaticHyperParameters": {"num_clases": "3"}}, "num_clases unknown to this algorithm"),
        ({"AlgorithmSpecification": {**elsewhere["AlgorithmSpecification"], "TrainingImage": "xgboost"}}, "'xgboost'"),
    ):
        request = tuning_job("refused")
        request["TrainingJobDefinition"] = {**definition(), **change}
        with pytest.raises(ClientError, match="ValidationException") as caught:
            sagemaker.create_hyper_parameter_tuning_job(**request)
        assert message in caught.value.response["Error"]["Message"]
    wide = {"InstanceCount": 3, "InstanceType": "ml.p3.2xlarge", "VolumeSizeInGB": 50}
    request["TrainingJobDefinition"] = definition(HyperParameterTuningResourceConfig=wide)
    with pytest.raises(sagemaker.exceptions.ResourceLimitExceeded, match="work at once is 2, with a request for 3"):
        sagemaker.create_hyper_parameter_tuning_job(**request)
    both = {**tuning_job("refused"), "TrainingJobDefinitions": [definition()]}
    with pytest.raises(ClientError, match="Exactly one of TrainingJobDefinition"):
        sagemaker.create_hyper_parameter_tuning_job(**both)
