"""The control plane as a process of its own, and boto3 as its client."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.model import Shape
from botocore.validate import ParamValidator

from imclass.cli.exit_status import TERMINATED
from tests.sagemaker.job_folder import HYPERPARAMETERS, write_records

DEADLINE = 240.0
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
ROLE = "arn:aws:iam::000000000000:role/imclass"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
LISTENING = re.compile(r"listening on (http://\S+)")
LONG = {**HYPERPARAMETERS, "epochs": "5000"}
GROUP = "/aws/sagemaker/TrainingJobs"


@dataclass
class Server:
    """A control plane that runs, or has run."""

    data: Path
    process: subprocess.Popen[bytes]
    url: str

    def client(self, service: str, key: str = KEY, secret: str = SECRET) -> Any:
        """Of boto3, which checks each answer against botocore's shapes."""
        client = boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}),
        )
        client.meta.events.register("after-call", conforms)
        return client

    def kill(self) -> None:
        """End it as a power failure would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE)


def conforms(http_response: Any, parsed: dict[str, Any], model: Any, **other: object) -> None:
    """An answer has the members that botocore's model of the operation says, and no others."""
    values = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
    if http_response.status_code == 200 and model.output_shape is not None:
        report = ParamValidator().validate(values, model.output_shape)
        assert not report.has_errors(), report.generate_report()
        assert unknown_members(values, model.output_shape) == []
    if http_response.status_code == 200:
        assert parsed["ResponseMetadata"]["RequestId"]


def unknown_members(value: Any, shape: Shape, where: str = "") -> list[str]:
    """Paths of members that a shape does not have. The value is of the right type."""
    if shape.type_name == "structure":
        found = [f"{where}{name}" for name in value if name not in shape.members]
        known = [(name, part, shape.members[name]) for name, part in value.items() if name in shape.members]
    elif shape.type_name == "list":
        found, known = [], [(str(number), part, shape.member) for number, part in enumerate(value)]
    elif shape.type_name == "map":
        found, known = [], [(name, part, shape.value) for name, part in value.items()]
    else:
        return []
    for name, part, inner in known:
        found += unknown_members(part, inner, f"{where}{name}.")
    return found


@contextmanager
def control_plane(data: Path, *options: str, **environment: str) -> Iterator[Server]:
    """A server with this data folder on a free port, and its end with the block."""
    command = [sys.executable, "-m", "imclass", "control-plane", "--port", "0", "--data", str(data), *options]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1", **environment}
    log = data / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stderr=output, env=variables)
    try:
        yield Server(data, process, address_in(log, process))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE)
    assert process.returncode in (TERMINATED, -signal.SIGKILL), log.read_text()
    assert "Traceback" not in log.read_text(), log.read_text()


def address_in(log: Path, process: subprocess.Popen[bytes]) -> str:
    """The address that a server says it listens on."""
    deadline = time.monotonic() + DEADLINE
    while (found := LISTENING.search(log.read_text())) is None:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    return found[1]


def write_bucket(data: Path) -> None:
    """A bucket with what a small job needs."""
    write_records(data / "s3/bucket/train/train.rec", 24)
    write_records(data / "s3/bucket/validation/validation.rec", 8, first=100)


def channel(name: str, uri: str | None = None, **members: Any) -> dict[str, Any]:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": uri or f"s3://bucket/{name}/",
        "S3DataDistributionType": "FullyReplicated",
    }
    return {
        "ChannelName": name,
        "ContentType": "application/x-recordio",
        "CompressionType": "None",
        "DataSource": {"S3DataSource": source},
        **members,
    }


def job(name: str, hyperparameters: Mapping[str, str] = HYPERPARAMETERS, **members: Any) -> dict[str, Any]:
    """A CreateTrainingJob request as the notebooks send it."""
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/output/"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.p3.2xlarge", "VolumeSizeInGB": 50},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "InputDataConfig": [channel("train"), channel("validation")],
        "HyperParameters": dict(hyperparameters),
        **members,
    }


def wait_until(sagemaker: Any, name: str, is_reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask for a job until it is as wanted."""
    deadline = time.monotonic() + DEADLINE
    while True:
        description: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
        if is_reached(description):
            return description
        assert description["TrainingJobStatus"] in ("InProgress", "Stopping"), description
        assert time.monotonic() < deadline, description
        time.sleep(0.05)


def wait_for_end(sagemaker: Any, name: str) -> dict[str, Any]:
    return wait_until(sagemaker, name, lambda job: job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"))


def messages(logs: Any, name: str) -> list[str]:
    """All that a job has printed so far, read as the SageMaker SDK reads it."""
    found = logs.describe_log_streams(
        logGroupName=GROUP, logStreamNamePrefix=f"{name}/", orderBy="LogStreamName", limit=1
    )
    assert "nextToken" not in found
    (stream,) = found["logStreams"]
    texts: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = logs.get_log_events(
            logGroupName=GROUP, logStreamName=stream["logStreamName"], startFromHead=True, **token
        )
        if not page["events"]:
            return texts
        texts += [event["message"] for event in page["events"]]
        token = {"nextToken": page["nextForwardToken"]}


def wait_for_line(logs: Any, sagemaker: Any, name: str, text: str) -> None:
    """Wait until a running job has printed a text."""
    wait_until(sagemaker, name, lambda job: job["SecondaryStatus"] == "Training")
    deadline = time.monotonic() + DEADLINE
    while True:
        with suppress(logs.exceptions.ResourceNotFoundException, ValueError):  # no stream yet
            if any(text in line for line in messages(logs, name)):
                return
        assert time.monotonic() < deadline, f"the job never says {text!r}"
        time.sleep(0.1)


def pids_with(is_wanted: Callable[[bytes], bool]) -> list[int]:
    """Processes of this machine that have a variable such as `NAME=value` in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is not ours
            continue
        if any(is_wanted(each) for each in variables):
            found.append(int(folder.name))
    return found


def pids_of(job_name: str, kind: str = "TRAINING") -> list[int]:
    """Processes of this machine that work for a training or transform job."""
    variable = f"{kind}_JOB_NAME={job_name}".encode()
    return pids_with(lambda each: each == variable)
