"""The steps of the notebooks that use the SageMaker SDK, from an estimator to an answer of an endpoint."""

import json
import time
from collections.abc import Mapping

import sagemaker
from common import SETTINGS, aws, bucket, check_probabilities, role, session, training_image
from sagemaker.inputs import TrainingInput
from sagemaker.tuner import ContinuousParameter, HyperparameterTuner, IntegerParameter


def make_estimator(prefix: str, instance_type: str) -> sagemaker.estimator.Estimator:
    """An estimator of the algorithm, whose models go below the prefix."""
    return sagemaker.estimator.Estimator(
        training_image,
        role,
        instance_count=1,
        instance_type=instance_type,
        volume_size=50,
        max_run=360000,
        input_mode="File",
        output_path=f"s3://{bucket}/{prefix}/output",
        sagemaker_session=session,
    )


def set_hyperparameters(estimator: sagemaker.estimator.Estimator, **changes: object) -> None:
    """Those that all notebooks set, and others."""
    names = ("num_layers", "image_shape", "num_classes", "num_training_samples", "epochs")
    values = {name: SETTINGS[name] for name in names}
    estimator.set_hyperparameters(**values | {"mini_batch_size": 12, "learning_rate": 0.01, "top_k": 2} | changes)


def training_inputs(addresses: Mapping[str, str], content_type: str) -> dict[str, TrainingInput]:
    """The channels of `fit`."""
    return {
        name: TrainingInput(address, distribution="FullyReplicated", content_type=content_type, s3_data_type="S3Prefix")
        for name, address in addresses.items()
    }


def upload_records(prefix: str, train_file: str, validation_file: str) -> dict[str, str]:
    """Bring two .rec files to S3 with the AWS CLI; returns the addresses of the channels."""
    addresses = {"train": f"s3://{bucket}/{prefix}/train", "validation": f"s3://{bucket}/{prefix}/validation"}
    aws("s3", "cp", train_file, f"{addresses['train']}/", "--quiet")
    aws("s3", "cp", validation_file, f"{addresses['validation']}/", "--quiet")
    return addresses


def tune(
    estimator: sagemaker.estimator.Estimator,
    name: str,
    data: Mapping[str, TrainingInput],
    objective: str = "validation:accuracy",
) -> HyperparameterTuner:
    """Tune with six jobs, two at a time, and wait for the end."""
    tuner = HyperparameterTuner(
        estimator,
        objective,
        {
            "learning_rate": ContinuousParameter(1e-6, 0.5),
            "momentum": ContinuousParameter(0.0, 0.999),
            "weight_decay": ContinuousParameter(0.0, 0.999),
            "beta_1": ContinuousParameter(1e-6, 0.999),
            "beta_2": ContinuousParameter(1e-6, 0.999),
            "eps": ContinuousParameter(1e-8, 1.0),
            "gamma": ContinuousParameter(1e-8, 0.999),
            "mini_batch_size": IntegerParameter(8, 64),
        },
        max_jobs=6,
        max_parallel_jobs=2,
    )
    now = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime())
    tuner.fit(dict(data), job_name=f"{name}-{now}", include_cls_metadata=False)
    tuner.wait()
    return tuner


def check_answer(answer: bytes) -> None:
    check_probabilities(json.loads(answer))
