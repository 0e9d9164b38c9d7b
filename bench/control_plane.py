"""Time the control plane: Describe calls a second beside moto, and the start of a job beside the plain command.

    python bench/control_plane.py [--clients 8] [--seconds 5] [--rounds 3]

Describe: both servers run in processes of their own, have one finished training job, and get the same signed request of
boto3's signer again and again, over connections that stay open, from clients in another process. moto makes its answer
up and checks nothing; imclass checks request and answer against AWS's models.

First step: seconds from the CreateTrainingJob request, and from the start of `imclass train` in a shell, until the log
shows the first epoch, which is one step on 12 images of 16 pixels. In turns; medians. What is beyond the plain command
is the cost of the control plane and its container.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import cv2
import numpy as np
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from imclass.data import RecordWriter, pack_image

DEADLINE = 300.0
FIRST_EPOCH = "Epoch[0] Train-accuracy="
KEY, SECRET = "AKIDEXAMPLE", "secret-of-the-benchmark"
HYPERPARAMETERS = {
    "image_shape": "3,16,16",
    "num_layers": "8",
    "num_training_samples": "12",
    "num_classes": "3",
    "mini_batch_size": "12",
    "epochs": "1",
}


def write_records(path: Path, images: int = 12) -> None:
    """Noise, labelled in turn."""
    path.parent.mkdir(parents=True)
    generator = np.random.default_rng(1)
    with RecordWriter(path) as records:
        for number in range(images):
            pixels = generator.integers(0, 256, (16, 16, 3), np.uint8)
            records.write(number, pack_image(number % 3, cv2.imencode(".png", pixels)[1].tobytes(), image_id=number))


@contextmanager
def server(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(DEADLINE)


def wait_for(log: Path, text: str) -> str:
    """Wait until a file has a text; everything that it has then."""
    deadline = time.monotonic() + DEADLINE
    while not (log.exists() and text in log.read_text()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{log} never says {text!r}")
        time.sleep(0.005)
    return log.read_text()


@contextmanager
def imclass_server(folder: Path) -> Iterator[str]:
    secret = folder / "secret.txt"
    secret.write_text(SECRET)
    options = ["--port", "0", "--data", str(folder), "--access-key", KEY, "--secret-key-file", str(secret)]
    log = folder / "server.log"
    with server([sys.executable, "-m", "imclass", "control-plane", *options], log):
        yield wait_for(log, "listening on ").rpartition("listening on ")[2].split()[0]


@contextmanager
def moto_server(folder: Path) -> Iterator[str]:
    port = 18_000 + os.getpid() % 1000
    log = folder / "moto.log"
    with server([sys.executable, "-m", "moto.server", "-p", str(port)], log):
        wait_for(log, "Running on")
        yield f"http://127.0.0.1:{port}"


def sagemaker(url: str) -> Any:
    return boto3.client(
        "sagemaker", endpoint_url=url, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET
    )


def request(name: str) -> dict[str, Any]:
    channels = [
        {
            "ChannelName": channel,
            "ContentType": "application/x-recordio",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://bucket/{channel}/"}},
        }
        for channel in ("train", "validation")
    ]
    return {
        "TrainingJobName": name,
        "RoleArn": "arn:aws:iam::000000000000:role/imclass",
        "AlgorithmSpecification": {"TrainingImage": "image-classification:1", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/output"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.p3.2xlarge", "VolumeSizeInGB": 50},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "InputDataConfig": channels,
        "HyperParameters": HYPERPARAMETERS,
    }


def describes(url: str, clients: int, seconds: float) -> float:
    """Describe calls a second."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(ask, (url, clients, seconds))


def ask(url: str, clients: int, seconds: float) -> float:
    """The side of the clients."""
    signed = AWSRequest("POST", url, data=json.dumps({"TrainingJobName": "job-1"}).encode())
    signed.headers["Content-Type"] = "application/x-amz-json-1.1"
    signed.headers["X-Amz-Target"] = "SageMaker.DescribeTrainingJob"
    SigV4Auth(Credentials(KEY, SECRET), "sagemaker", "us-east-1").add_auth(signed)
    prepared = signed.prepare()
    counts = [0] * clients
    until = time.monotonic() + seconds

    def work(number: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        while time.monotonic() < until:
            connection.request("POST", "/", prepared.body, dict(prepared.headers))
            response = connection.getresponse()
            body = response.read()
            if response.status != 200 or b"job-1" not in body:
                raise RuntimeError(f"{response.status}: {body[:200]!r}")
            counts[number] += 1
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - began)


def seconds_of_job(url: str, folder: Path, name: str) -> float:
    """From the request to the first epoch in the log."""
    client = sagemaker(url)
    client.list_training_jobs()  # the client itself is ready
    began = time.monotonic()
    client.create_training_job(**request(name))
    streams = folder / "logs/aws/sagemaker/TrainingJobs" / name
    while not any(FIRST_EPOCH in stream.read_text() for stream in streams.glob("*.log")):
        if time.monotonic() - began > DEADLINE:
            raise TimeoutError(f"{name} does not train")
        time.sleep(0.005)
    taken = time.monotonic() - began
    client.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300}
    )
    return taken


def seconds_of_command(folder: Path, name: str) -> float:
    """From the start of the plain command to the first epoch in its log."""
    (folder / "hyperparameters.json").write_text(json.dumps(HYPERPARAMETERS))
    channels = [
        part
        for channel in ("train", "validation")
        for part in ("--channel", f"{channel}={folder / 's3/bucket' / channel}")
    ]
    command = [sys.executable, "-m", "imclass", "train", *channels, "--output", str(folder / name)]
    began = time.monotonic()
    with subprocess.Popen(
        [*command, "--hyperparameters", str(folder / "hyperparameters.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if FIRST_EPOCH in line:
                taken = time.monotonic() - began
                for _ in process.stdout:
                    pass
                return taken
    raise RuntimeError("".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="imclass-bench-"))
    try:
        for channel in ("train", "validation"):
            write_records(folder / f"s3/bucket/{channel}/{channel}.rec")
        with imclass_server(folder) as ours, moto_server(folder) as motos:
            sagemaker(motos).create_training_job(**request("job-1"))
            job, command = [seconds_of_job(ours, folder, "job-1")], [seconds_of_command(folder, "run-1")]
            for number in range(2, arguments.rounds + 2):  # the first ones have warmed the disk's cache
                job.append(seconds_of_job(ours, folder, f"job-{number}"))
                command.append(seconds_of_command(folder, f"run-{number}"))
            rates: dict[str, list[float]] = {"imclass": [], "moto": []}
            for _ in range(arguments.rounds):
                for name, url in (("imclass", ours), ("moto", motos)):
                    rates[name].append(describes(url, arguments.clients, arguments.seconds))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    mine, other = (statistics.median(rates[name]) for name in ("imclass", "moto"))
    first, plain = statistics.median(job[1:]), statistics.median(command[1:])
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"Describe calls a second: imclass {mine:.0f}, moto {other:.0f}, ratio {mine / other:.2f}")
    print(f"seconds to the first step: job {first:.2f}, plain command {plain:.2f}, difference {first - plain:+.2f}")


if __name__ == "__main__":
    main()
