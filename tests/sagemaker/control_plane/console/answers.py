"""Operations that answer as those of tuning jobs, endpoints and models do; botocore's shapes hold them to it."""

from collections.abc import Mapping
from typing import Any

from imclass.sagemaker.control_plane.operations.plane import Operation

BEGUN = 1_795_000_000.0
ARN = "arn:aws:sagemaker:us-east-1:000000000000:x/y"
ROLE = "arn:aws:iam::000000000000:role/imclass"

TRIALS = [
    ("t-001", "Completed", 0.5, {"learning_rate": "0.1", "optimizer": '"sgd"', "mini_batch_size": "16"}),
    ("t-002", "Failed", None, {"learning_rate": "0.9", "optimizer": '"sgd"', "mini_batch_size": "32"}),
    ("t-003", "Completed", 0.75, {"learning_rate": "0.001", "optimizer": '"adam"', "mini_batch_size": "64"}),
    ("t-004", "Completed", 0.625, {"learning_rate": "0.01", "optimizer": '"adam"', "mini_batch_size": "64"}),
    ("t-005", "InProgress", None, {"learning_rate": "0.02", "optimizer": '"nag"', "mini_batch_size": "64"}),
]
RANGES = {
    "ContinuousParameterRanges": [
        {"Name": "learning_rate", "MinValue": "0.0001", "MaxValue": "1", "ScalingType": "Logarithmic"}
    ],
    "IntegerParameterRanges": [{"Name": "mini_batch_size", "MinValue": "16", "MaxValue": "64", "ScalingType": "Auto"}],
    "CategoricalParameterRanges": [{"Name": "optimizer", "Values": ["sgd", "adam", "nag"]}],
}
COUNTERS = {"Completed": 3, "InProgress": 1, "RetryableError": 0, "NonRetryableError": 1, "Stopped": 0}
CONFIG = {
    "Strategy": "Bayesian",
    "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "validation:accuracy"},
    "ResourceLimits": {"MaxNumberOfTrainingJobs": 6, "MaxParallelTrainingJobs": 2},
    "ParameterRanges": RANGES,
}


def describe_tuning(plane: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "HyperParameterTuningJobName": request["HyperParameterTuningJobName"],
        "HyperParameterTuningJobArn": ARN,
        "HyperParameterTuningJobConfig": CONFIG,
        "HyperParameterTuningJobStatus": "InProgress",
        "CreationTime": BEGUN,
        "TrainingJobStatusCounters": COUNTERS,
        "ObjectiveStatusCounters": {"Succeeded": 3, "Pending": 1, "Failed": 1},
    }


def list_tuning(plane: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "HyperParameterTuningJobName": "tune",
        "HyperParameterTuningJobArn": ARN,
        "HyperParameterTuningJobStatus": "InProgress",
        "Strategy": "Bayesian",
        "CreationTime": BEGUN,
        "TrainingJobStatusCounters": COUNTERS,
        "ObjectiveStatusCounters": {"Succeeded": 3, "Pending": 1, "Failed": 1},
    }
    return {"HyperParameterTuningJobSummaries": [found]}


def list_trials(plane: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """One trial a page, the latest first, so that pages and order matter."""
    number = int(request.get("NextToken", len(TRIALS) - 1))
    name, status, value, tuned = TRIALS[number]
    summary: dict[str, Any] = {
        "TrainingJobName": name,
        "TrainingJobArn": ARN,
        "CreationTime": BEGUN + number,
        "TrainingJobStatus": status,
        "TunedHyperParameters": tuned,
    }
    if value is not None:
        final = {"MetricName": "validation:accuracy", "Value": value}
        summary["FinalHyperParameterTuningJobObjectiveMetric"] = final
    return {"TrainingJobSummaries": [summary]} | ({"NextToken": str(number - 1)} if number else {})


TUNING: Mapping[str, Operation] = {
    "DescribeHyperParameterTuningJob": describe_tuning,
    "ListHyperParameterTuningJobs": list_tuning,
    "ListTrainingJobsForHyperParameterTuningJob": list_trials,
}


def describe_endpoint(plane: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    variant = {
        "CurrentWeight": 1.0, "DesiredWeight": 1.0, "CurrentInstanceCount": 1, "DesiredInstanceCount": 2
    }  # fmt: skip
    return {
        "EndpointName": request["EndpointName"],
        "EndpointArn": ARN,
        "EndpointConfigName": "config",
        "ProductionVariants": [{"VariantName": name, **variant} for name in ("blue", "green")],
        "EndpointStatus": "InService",
        "CreationTime": BEGUN,
        "LastModifiedTime": BEGUN,
    }


def list_endpoints(plane: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "EndpointName": "birds",
        "EndpointArn": ARN,
        "CreationTime": BEGUN,
        "LastModifiedTime": BEGUN,
        "EndpointStatus": "InService",
    }
    return {"Endpoints": [found]}


def describe_endpoint_config(plane: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    variant = {"VariantName": "blue", "ModelName": "bird-model", "InitialInstanceCount": 2}
    return {
        "EndpointConfigName": request["EndpointConfigName"],
        "EndpointConfigArn": ARN,
        "ProductionVariants": [variant],
        "CreationTime": BEGUN,
    }


def delete_endpoint(plane: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    plane.training_runs.stop(f"endpoint {request['EndpointName']}")
    return {}


ENDPOINTS: Mapping[str, Operation] = {
    "DescribeEndpoint": describe_endpoint,
    "ListEndpoints": list_endpoints,
    "DescribeEndpointConfig": describe_endpoint_config,
    "DeleteEndpoint": delete_endpoint,
}


def describe_model(plane: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    container = {"Image": "x/image-classification:1", "ModelDataUrl": "s3://bucket/output/a/output/model.tar.gz"}
    return {
        "ModelName": request["ModelName"],
        "ModelArn": ARN,
        "PrimaryContainer": container,
        "ExecutionRoleArn": ROLE,
        "CreationTime": BEGUN,
    }


def list_models(plane: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    return {"Models": [{"ModelName": "bird-model", "ModelArn": ARN, "CreationTime": BEGUN}]}


MODELS: Mapping[str, Operation] = {"DescribeModel": describe_model, "ListModels": list_models}


def describe_compilation(plane: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "CompilationJobName": request["CompilationJobName"],
        "CompilationJobArn": ARN,
        "CompilationJobStatus": "COMPLETED",
        "StoppingCondition": {"MaxRuntimeInSeconds": 900},
        "CreationTime": BEGUN,
        "LastModifiedTime": BEGUN,
        "FailureReason": "",
        "ModelArtifacts": {"S3ModelArtifacts": "s3://bucket/compiled/model-ml_m4.tar.gz"},
        "RoleArn": ROLE,
        "InputConfig": {"S3Uri": "s3://bucket/model.tar.gz", "Framework": "MXNET"},
        "OutputConfig": {"S3OutputLocation": "s3://bucket/compiled", "TargetDevice": "ml_m4"},
    }


def list_compilations(plane: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "CompilationJobName": "compiled",
        "CompilationJobArn": ARN,
        "CreationTime": BEGUN,
        "CompilationJobStatus": "COMPLETED",
    }
    return {"CompilationJobSummaries": [found]}


COMPILATIONS: Mapping[str, Operation] = {
    "DescribeCompilationJob": describe_compilation,
    "ListCompilationJobs": list_compilations,
}
