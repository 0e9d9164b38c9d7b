"""Clients that work with a control plane and know what it owes them."""

import io
import json
import random
import tarfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from botocore.exceptions import (
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)

from bench.kill_control_plane.ledger import BUCKET, Ledger
from bench.kill_control_plane.server import START_SECONDS, Server

ROLE = "arn:aws:iam::000000000000:role/imclass"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
LOST = (ConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError)
DEADLINE = 600.0
LOOK_AGAIN_SECONDS = 0.5
PHOTOS = 8
CLASSES = 3
HYPERPARAMETERS = {
    "image_shape": "3,16,16",
    "num_layers": "8",
    "num_training_samples": "72",
    "num_classes": str(CLASSES),
    "mini_batch_size": "12",
    "epochs": "2",
    "learning_rate": "0.05",
}

Call = Callable[..., dict[str, Any]]


class Actor(ABC):
    """Does one act after the other until it is told to stop.

    Args:
        photo: an image that the model knows.
    """

    name: str

    def __init__(self, server: Server, ledger: Ledger, seed: int, photo: bytes, is_over: threading.Event) -> None:
        self._server = server
        self._ledger = ledger
        self._random = random.Random(f"{self.name} {seed}")
        self._photo = photo
        self._is_over = is_over
        self._number = 0
        self.sagemaker = server.client("sagemaker")
        self.s3 = server.client("s3")
        self.runtime = server.client("sagemaker-runtime")

    def run(self) -> None:
        """For a thread."""
        while not self._is_over.is_set():
            self._number += 1
            try:
                self.act(f"{self.name}-{self._number}")
                self._ledger.did(self.name)
            except Exception as error:  # noqa: BLE001  (whatever goes wrong in an act is a broken promise)
                self._ledger.broken(f"{self.name}-{self._number}: {type(error).__name__}: {error}")

    @abstractmethod
    def act(self, name: str) -> None:
        """One thing from its beginning to its end, under a name of its own."""

    def attempt(self, call: Call, **members: Any) -> dict[str, Any] | None:
        """Send a request; None when a kill has left it without an answer."""
        self._server.is_there.wait(START_SECONDS)
        kills = self._server.kills
        try:
            answer = call(**members)
            if "Body" in answer:
                answer["Body"] = answer["Body"].read()
        except LOST as error:
            if self._server.kills == kills and self._server.is_there.is_set():
                raise RuntimeError("a server that was not killed gave no answer") from error
            self._ledger.lost_answer()
            return None
        return answer

    def ask(self, call: Call, **members: Any) -> dict[str, Any]:
        """Send a request that does no harm twice until it is answered."""
        while (answer := self.attempt(call, **members)) is None:
            pass
        return answer

    def create(self, create: Call, describe: Call, identity: dict[str, str], **members: Any) -> None:
        """Create something once, whether or not its answer gets through."""
        while self.attempt(create, **identity, **members) is None:
            if self.exists(describe, **identity):
                return

    def exists(self, describe: Call, **identity: str) -> bool:
        try:
            self.ask(describe, **identity)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 400:
                raise
            return False
        return True

    def wait(self, describe: Call, member: str, wanted: set[str], **identity: str) -> dict[str, Any]:
        """Ask until something has one of these statuses.

        Raises:
            RuntimeError: it does not within the deadline.
        """
        deadline = time.monotonic() + DEADLINE
        while (found := self.ask(describe, **identity))[member] not in wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{identity} is {found[member]} for ever")
            time.sleep(LOOK_AGAIN_SECONDS)
        return found

    def keep_object(self, key: str) -> bytes:
        """Read an object that was promised; it must stay as it is."""
        content: bytes = self.ask(self.s3.get_object, Bucket=BUCKET, Key=key)["Body"]
        self._ledger.object_is(key, content)
        return content


class Objects(Actor):
    """Writes, replaces and deletes objects."""

    name = "object"

    def act(self, name: str) -> None:
        key = f"objects/{self._random.randrange(40)}"
        content = None if self._random.random() < 0.2 else self._random.randbytes(self._random.randrange(2_000_000))
        self._ledger.object_may_be(key, content)
        if content is None:
            answer = self.attempt(self.s3.delete_object, Bucket=BUCKET, Key=key)
        else:
            answer = self.attempt(self.s3.put_object, Bucket=BUCKET, Key=key, Body=content)
        if answer is not None:
            self._ledger.object_is(key, content)
        time.sleep(self._random.random())


class TrainingJobs(Actor):
    """Trains, and sometimes stops a job half-way."""

    name = "training"

    def act(self, name: str) -> None:
        identity = {"TrainingJobName": name}
        describe = self.sagemaker.describe_training_job
        self.create(self.sagemaker.create_training_job, describe, identity, **training_members())
        is_stopped = self._random.random() < 0.25
        if is_stopped:
            time.sleep(self._random.uniform(0, 10))
            self._stop(name)
        found = self.wait(describe, "TrainingJobStatus", {"Completed", "Failed", "Stopped"}, **identity)
        status = found["TrainingJobStatus"]
        self._ledger.has_ended("training job", name, status)
        if status == "Failed" or (status == "Stopped" and not is_stopped):
            self._ledger.broken(f"training job {name} ended as {status}: {found.get('FailureReason')}")
        if status == "Completed":
            key = found["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{BUCKET}/")
            with tarfile.open(fileobj=io.BytesIO(self.keep_object(key))) as archive:
                if not archive.getnames():
                    self._ledger.broken(f"the model of {name} is empty")

    def _stop(self, name: str) -> None:
        """Ask for the end of a job, which is refused when it has ended, or was asked for before."""
        try:
            self.ask(self.sagemaker.stop_training_job, TrainingJobName=name)
        except ClientError as error:
            if "status" not in str(error):
                raise


class Endpoints(Actor):
    """Opens an endpoint, asks it, replaces it and closes it."""

    name = "endpoint"

    def act(self, name: str) -> None:
        identity = {"EndpointName": name}
        model, configs = f"{name}-model", [f"{name}-config-{number}" for number in (1, 2)]
        self.create(
            self.sagemaker.create_model,
            self.sagemaker.describe_model,
            {"ModelName": model},
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/{base_model_key()}"},
        )
        for config in configs:
            self.create(
                self.sagemaker.create_endpoint_config,
                self.sagemaker.describe_endpoint_config,
                {"EndpointConfigName": config},
                ProductionVariants=[
                    {
                        "VariantName": "all",
                        "ModelName": model,
                        "InitialInstanceCount": 1,
                        "InstanceType": "ml.m5.large",
                    }
                ],
            )
        describe = self.sagemaker.describe_endpoint
        self.create(self.sagemaker.create_endpoint, describe, identity, EndpointConfigName=configs[0])
        self._in_service(name)
        self._invoke(name, 10)
        if self._random.random() < 0.5:
            self._update(name, configs[1])
            self._invoke(name, 5)
        self._delete(name)

    def _in_service(self, name: str) -> None:
        found = self.wait(
            self.sagemaker.describe_endpoint, "EndpointStatus", {"InService", "Failed"}, EndpointName=name
        )
        if found["EndpointStatus"] == "Failed":
            raise RuntimeError(f"endpoint {name} has failed: {found.get('FailureReason')}")

    def _update(self, name: str, config: str) -> None:
        try:
            self.ask(self.sagemaker.update_endpoint, EndpointName=name, EndpointConfigName=config)
        except ClientError:
            # Refused while an update goes on: the one whose answer was lost. It is seen below whether it was that.
            self._in_service(name)
        self._in_service(name)
        found = self.ask(self.sagemaker.describe_endpoint, EndpointName=name)["EndpointConfigName"]
        if found != config:
            self._ledger.broken(f"endpoint {name} has the configuration {found} after an update to {config}")

    def _invoke(self, name: str, times: int) -> None:
        """Ask so many times; after a kill the endpoint may need some time until it answers again."""
        deadline = time.monotonic() + DEADLINE
        while times > 0 and time.monotonic() < deadline:
            try:
                body = self.ask(
                    self.runtime.invoke_endpoint,
                    EndpointName=name,
                    ContentType="application/x-image",
                    Body=self._photo,
                )["Body"]
            except ClientError as error:
                if self._server.seconds_up > START_SECONDS:
                    raise RuntimeError(f"endpoint {name} does not answer") from error
                time.sleep(LOOK_AGAIN_SECONDS)
                continue
            if len(json.loads(body)) != CLASSES:
                self._ledger.broken(f"endpoint {name} answered {body[:80]!r}")
            times -= 1
            time.sleep(LOOK_AGAIN_SECONDS)
        if times > 0:
            raise RuntimeError(f"endpoint {name} is not there for its clients")

    def _delete(self, name: str) -> None:
        describe = self.sagemaker.describe_endpoint
        while self.attempt(self.sagemaker.delete_endpoint, EndpointName=name) is None:
            if not self.exists(describe, EndpointName=name):
                break
        deadline = time.monotonic() + DEADLINE
        while self.exists(describe, EndpointName=name):
            if time.monotonic() > deadline:
                raise RuntimeError(f"endpoint {name} is never deleted")
            time.sleep(LOOK_AGAIN_SECONDS)


class TransformJobs(Actor):
    """Predicts the same photos again and again."""

    name = "transform"

    def act(self, name: str) -> None:
        identity = {"TransformJobName": name}
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/photos/"}}
        describe = self.sagemaker.describe_transform_job
        self.create(
            self.sagemaker.create_transform_job,
            describe,
            identity,
            ModelName="base",
            TransformInput={"DataSource": source, "ContentType": "application/x-image"},
            TransformOutput={"S3OutputPath": f"s3://{BUCKET}/transformed/{name}"},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        )
        found = self.wait(describe, "TransformJobStatus", {"Completed", "Failed", "Stopped"}, **identity)
        self._ledger.has_ended("transform job", name, found["TransformJobStatus"])
        if found["TransformJobStatus"] != "Completed":
            self._ledger.broken(f"transform job {name} has failed: {found.get('FailureReason')}")
            return
        for number in range(PHOTOS):
            body = self.keep_object(f"transformed/{name}/{number}.png.out")
            if len(json.loads(body)["prediction"]) != CLASSES:
                self._ledger.broken(f"photo {number} of {name} became {body[:80]!r}")


class TuningJobs(Actor):
    """Tunes with four small jobs, two at a time."""

    name = "tuning"

    def act(self, name: str) -> None:
        identity = {"HyperParameterTuningJobName": name}
        fixed = {key: value for key, value in HYPERPARAMETERS.items() if key != "learning_rate"}
        members = training_members()
        definition = {
            "StaticHyperParameters": fixed,
            "AlgorithmSpecification": members["AlgorithmSpecification"],
            **{
                key: members[key]
                for key in ("RoleArn", "InputDataConfig", "OutputDataConfig", "ResourceConfig", "StoppingCondition")
            },
        }
        config = {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "validation:accuracy"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {
                "ContinuousParameterRanges": [{"Name": "learning_rate", "MinValue": "0.001", "MaxValue": "0.1"}]
            },
        }
        describe = self.sagemaker.describe_hyper_parameter_tuning_job
        self.create(
            self.sagemaker.create_hyper_parameter_tuning_job,
            describe,
            identity,
            HyperParameterTuningJobConfig=config,
            TrainingJobDefinition=definition,
        )
        ended = {"Completed", "Failed", "Stopped"}
        found = self.wait(describe, "HyperParameterTuningJobStatus", ended, **identity)
        self._ledger.has_ended("tuning job", name, found["HyperParameterTuningJobStatus"])
        completed = found["TrainingJobStatusCounters"]["Completed"]
        if found["HyperParameterTuningJobStatus"] != "Completed" or completed != 4:
            self._ledger.broken(f"tuning job {name} ended with {completed} of 4 jobs: {found.get('FailureReason')}")


ACTORS: dict[str, type[Actor]] = {
    kind.name: kind for kind in (Objects, TrainingJobs, Endpoints, TransformJobs, TuningJobs)
}


def base_model_key() -> str:
    """Where the model is that endpoints and transform jobs use."""
    return "output/base/output/model.tar.gz"


def training_members() -> dict[str, Any]:
    """A CreateTrainingJob request without its name."""
    return {
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/output/"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 50},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "InputDataConfig": [_channel("train"), _channel("validation")],
        "HyperParameters": HYPERPARAMETERS,
    }


def _channel(name: str) -> dict[str, Any]:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": f"s3://{BUCKET}/{name}/",
        "S3DataDistributionType": "FullyReplicated",
    }
    return {
        "ChannelName": name,
        "ContentType": "application/x-recordio",
        "DataSource": {"S3DataSource": source},
    }
