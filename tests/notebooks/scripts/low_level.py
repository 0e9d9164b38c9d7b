"""The steps of the notebooks that use boto3 alone, from a training job to an answer of an endpoint."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import WaiterError
from common import SETTINGS, bucket, check_probabilities, region, role, s3, timestamp, training_image

sagemaker_client = boto3.client("sagemaker")
runtime = boto3.Session().client("runtime.sagemaker")
SOON = {"Delay": 1, "MaxAttempts": 900}
"""Waiters of the notebooks ask every 30 or 120 seconds."""

RANGES = {
    "CategoricalParameterRanges": [],
    "ContinuousParameterRanges": [
        {"Name": name, "MinValue": low, "MaxValue": high}
        for name, low, high in (
            ("beta_1", "1e-6", "0.999"),
            ("beta_2", "1e-6", "0.999"),
            ("eps", "1e-8", "1.0"),
            ("gamma", "1e-8", "0.999"),
            ("learning_rate", "1e-6", "0.5"),
            ("momentum", "0.0", "0.999"),
            ("weight_decay", "0.0", "0.999"),
        )
    ],
    "IntegerParameterRanges": [{"Name": "mini_batch_size", "MinValue": "8", "MaxValue": "64"}],
}


def channels(addresses: Mapping[str, str], content_type: str) -> list[dict[str, Any]]:
    """InputDataConfig."""
    return [
        {
            "ChannelName": name,
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": address,
                    "S3DataDistributionType": "FullyReplicated",
                }
            },
            "ContentType": content_type,
            "CompressionType": "None",
        }
        for name, address in addresses.items()
    ]


def definition(job_name: str, instance_type: str, data: list[dict[str, Any]]) -> dict[str, Any]:
    """What training jobs and tuning jobs have in common."""
    return {
        "AlgorithmSpecification": {"TrainingImage": training_image, "TrainingInputMode": "File"},
        "RoleArn": role,
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/{job_name}/output"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": instance_type, "VolumeSizeInGB": 50},
        "StoppingCondition": {"MaxRuntimeInSeconds": 360000},
        "InputDataConfig": data,
    }


def hyperparameters(**changes: object) -> dict[str, str]:
    """Those that all training jobs have; values are text."""
    names = ("num_layers", "image_shape", "num_training_samples", "num_classes", "epochs")
    values = {name: SETTINGS[name] for name in names} | {"mini_batch_size": 12, "learning_rate": 0.01} | changes
    return {name: str(value) for name, value in values.items()}


def train(job_name: str, instance_type: str, data: list[dict[str, Any]], **changes: object) -> None:
    """Run a training job to its end."""
    sagemaker_client.create_training_job(
        TrainingJobName=job_name,
        HyperParameters=hyperparameters(**changes),
        **definition(job_name, instance_type, data),
    )
    print("training", sagemaker_client.describe_training_job(TrainingJobName=job_name)["TrainingJobStatus"])
    waiter = sagemaker_client.get_waiter("training_job_completed_or_stopped")
    with suppress(WaiterError):  # the reason is in the description
        waiter.wait(TrainingJobName=job_name, WaiterConfig=SOON)
    ended = sagemaker_client.describe_training_job(TrainingJobName=job_name)
    assert ended["TrainingJobStatus"] == "Completed", ended.get("FailureReason")


def tune(instance_type: str, data: list[dict[str, Any]]) -> str:
    """Tune with six jobs, two at a time; returns the address of the best model."""
    name = f"DEMO-hpo-ic-{time.strftime('%d-%H-%M-%S', time.gmtime())}"
    static = hyperparameters()
    for tuned in ("mini_batch_size", "learning_rate"):
        del static[tuned]
    sagemaker_client.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "ParameterRanges": RANGES,
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 6, "MaxParallelTrainingJobs": 2},
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"MetricName": "validation:accuracy", "Type": "Maximize"},
        },
        TrainingJobDefinition={
            **definition(name, instance_type, data),
            "StaticHyperParameters": static,
            "StoppingCondition": {"MaxRuntimeInSeconds": 43200},
        },
    )
    ended = until(
        lambda: sagemaker_client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name),
        "HyperParameterTuningJobStatus",
    )
    assert ended["HyperParameterTuningJobStatus"] == "Completed", ended.get("FailureReason")
    best = ended["BestTrainingJob"]["TrainingJobName"]
    job = sagemaker_client.describe_training_job(TrainingJobName=best)
    return job["ModelArtifacts"]["S3ModelArtifacts"]


def create_model(prefix: str, model_data: str) -> str:
    """Returns the name."""
    name = f"{prefix}-{timestamp()}"
    arn = sagemaker_client.create_model(
        ModelName=name,
        ExecutionRoleArn=role,
        PrimaryContainer={"Image": training_image, "ModelDataUrl": model_data},
    )["ModelArn"]
    assert arn.endswith(f"model/{name.lower()}"), arn
    return name


def transform(model_name: str, batch_input: str, instance_type: str) -> None:
    """Run a batch transform and read its first results."""
    name = f"image-classification-model-{timestamp()}"
    sagemaker_client.create_transform_job(
        TransformJobName=name,
        ModelName=model_name,
        MaxConcurrentTransforms=16,
        MaxPayloadInMB=6,
        BatchStrategy="SingleRecord",
        TransformOutput={"S3OutputPath": f"s3://{bucket}/{name}/output"},
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": batch_input}},
            "ContentType": "application/x-image",
            "SplitType": "None",
            "CompressionType": "None",
        },
        TransformResources={"InstanceType": instance_type, "InstanceCount": 1},
    )
    ended = until(lambda: sagemaker_client.describe_transform_job(TransformJobName=name), "TransformJobStatus")
    assert ended["TransformJobStatus"] == "Completed", ended.get("FailureReason")
    inputs = _keys(batch_input.removeprefix(f"s3://{bucket}/"))
    outputs = _keys(f"{name}/output")
    names = [key.rpartition("/")[2] for key in inputs]
    assert [key.rpartition("/")[2] for key in outputs] == [f"{each}.out" for each in names], outputs
    for key in outputs[:10]:
        s3.download_file(bucket, key, "result.out")
        check_probabilities(json.loads(Path("result.out").read_bytes())["prediction"])


def deploy_and_ask(model_name: str, instance_type: str, image: bytes, config_name: str, endpoint_name: str) -> None:
    """Put up an endpoint, ask it about an image, and take it down."""
    sagemaker_client.create_endpoint_config(
        EndpointConfigName=config_name,
        ProductionVariants=[
            {
                "InstanceType": instance_type,
                "InitialInstanceCount": 1,
                "ModelName": model_name,
                "VariantName": "AllTraffic",
            }
        ],
    )
    sagemaker_client.create_endpoint(EndpointName=endpoint_name, EndpointConfigName=config_name)
    print("endpoint", sagemaker_client.describe_endpoint(EndpointName=endpoint_name)["EndpointStatus"])
    sagemaker_client.get_waiter("endpoint_in_service").wait(EndpointName=endpoint_name, WaiterConfig=SOON)
    answer = runtime.invoke_endpoint(EndpointName=endpoint_name, ContentType="application/x-image", Body=image)
    check_probabilities(json.loads(answer["Body"].read()))
    sagemaker_client.delete_endpoint(EndpointName=endpoint_name)


def until(describe: Callable[[], dict[str, Any]], status: str) -> dict[str, Any]:
    """Ask until a job is Completed or Failed. Like the notebooks, this knows no other end."""
    while (description := describe())[status] not in ("Completed", "Failed"):
        time.sleep(1)
    return description


def _keys(prefix: str) -> list[str]:
    return [each["Key"] for each in s3.list_objects(Bucket=bucket, Prefix=prefix)["Contents"]]


def put(prefix: str, files: Mapping[str, str]) -> dict[str, str]:
    """Upload a file to each channel; returns the addresses of the channels."""
    resource = boto3.Session(region_name=region).resource("s3")
    for channel, file in files.items():
        with Path(file).open("rb") as body:
            resource.Bucket(bucket).put_object(Key=f"{prefix}/{channel}/{file}", Body=body)
    return {channel: f"s3://{bucket}/{prefix}/{channel}/" for channel in files}
