"""Time InvokeEndpoint of the control plane beside its server process, asked directly.

    python bench/invoke_endpoint.py MODEL PHOTOS [--clients 1,8,200] [--seconds 5] [--rounds 3] [--jobs 0] [--json FILE]

MODEL is a model.tar.gz, PHOTOS a folder with JPEG files. Starts a control plane with an endpoint, and sends the photos
in turns through it and to the one server process behind it, in closed loop with each number of clients. Prints for
both the latency at p50 and p99, of the round with the lowest p50, and what InvokeEndpoint adds. The client runs on the
same cores. With --jobs, so many training jobs of the same control plane train all the while, on small images. An answer
other than 200 ends the run with an error.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from control_plane import FIRST_EPOCH, HYPERPARAMETERS, request, write_records
from load import Connection, Result, closed_loop, run
from machine import describe, in_words
from serving import started

MOST_PHOTOS = 256
NAME = "bench"
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
ROLE = "arn:aws:iam::000000000000:role/imclass"
START_SECONDS = 300.0
IMAGES = 240
"""Of a training job."""


class BearingConnection(Connection):
    """A connection whose requests bear a token."""

    def __init__(self, host: str, port: int, path: str, token: str) -> None:
        super().__init__(host, port, path)
        self._bearer = f"\r\nAuthorization: Bearer {token}\r\n".encode()

    def head(self, length: int) -> bytes:
        """See `Connection`."""
        return super().head(length).replace(b"\r\n", self._bearer, 1)


@contextmanager
def endpoint(model: Path, jobs: int) -> Iterator[tuple[Callable[[], Connection], Callable[[], Connection]]]:
    """An endpoint with one instance, as what makes connections to it, and to the process behind it.

    Args:
        jobs: how many training jobs there are beside it until the end of the block.
    """
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        for channel in ("train", "validation"):
            write_records(data / f"s3/bucket/{channel}/{channel}.rec", IMAGES)
        shutil.copy(model, data / "s3/bucket/model.tar.gz")
        command = [sys.executable, "-m", "imclass", "control-plane", "--port", 0, "--data", data]
        command += ["--slots", max(jobs, 1)]
        with (
            started(command, partial(_found, r"listening on (http://\S+)")) as (_, url),
            training(str(url), data, jobs),
        ):
            create(str(url))
            port = urlsplit(str(url)).port
            assert port is not None
            (log,) = (data / f"logs/aws/sagemaker/Endpoints/{NAME}").rglob("*.log")
            (token,) = (data / f"endpoints/{NAME}").rglob("token")
            own_port = int(_found(r"listening on http://127\.0\.0\.1:(\d+)", log.read_text()) or 0)
            yield (
                partial(Connection, "127.0.0.1", port, f"/endpoints/{NAME}/invocations"),
                partial(BearingConnection, "127.0.0.1", own_port, "/invocations", token.read_text()),
            )


def _found(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match and match[1]


def client(url: str) -> Any:
    return boto3.client(
        "sagemaker", endpoint_url=url, region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any"
    )


@contextmanager
def training(url: str, data: Path, count: int) -> Iterator[None]:
    """Jobs that train, from the beginning of the block to its end.

    Args:
        data: folder of the control plane.
    """
    sagemaker, logs = client(url), data / "logs/aws/sagemaker/TrainingJobs"
    names = [f"job-{number}" for number in range(count)]
    for name in names:
        asked = request(name)
        asked["HyperParameters"] = {**HYPERPARAMETERS, "num_training_samples": str(IMAGES), "epochs": "1000000"}
        asked["StoppingCondition"] = {"MaxRuntimeInSeconds": 24 * 3600}
        sagemaker.create_training_job(**asked)
    deadline = time.monotonic() + START_SECONDS
    for name in names:
        while not any(FIRST_EPOCH in log.read_text() for log in (logs / name).glob("*.log")):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} does not train")
            time.sleep(0.2)
    try:
        yield
        for name in names:
            status = sagemaker.describe_training_job(TrainingJobName=name)["SecondaryStatus"]
            if status != "Training":
                raise RuntimeError(f"{name} is {status}, and should have trained all the while")
    finally:
        for name in names:
            sagemaker.stop_training_job(TrainingJobName=name)


def create(url: str) -> None:
    """Create the endpoint and wait until it is in service."""
    sagemaker = client(url)
    container = {"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz"}
    sagemaker.create_model(ModelName=NAME, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "A", "ModelName": NAME, "InstanceType": "ml.m4.xlarge", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=NAME, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
    deadline = time.monotonic() + START_SECONDS
    while (description := sagemaker.describe_endpoint(EndpointName=NAME))["EndpointStatus"] != "InService":
        if description["EndpointStatus"] == "Failed" or time.monotonic() > deadline:
            raise RuntimeError(description)
        time.sleep(0.1)


def measure(
    ways: dict[str, Callable[[], Connection]], bodies: Sequence[bytes], clients: int, arguments: argparse.Namespace
) -> dict[str, Result]:
    """Of each way the round with the lowest p50; ways take turns."""
    best: dict[str, Result] = {}
    for _ in range(arguments.rounds):
        for name, connect in ways.items():
            result = run(closed_loop(connect, bodies, clients, arguments.seconds))
            if set(result.statuses) != {200}:
                raise RuntimeError(f"{name}, {clients} clients: {dict(result.statuses)}")
            if name not in best or result.percentile(0.5) < best[name].percentile(0.5):
                best[name] = result
    return best


def main() -> None:
    """Time both and print the figures with their difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--clients", type=lambda text: [int(part) for part in text.split(",")], default=[1, 8, 200])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    photos = sorted(path for path in arguments.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    bodies = [path.read_bytes() for path in photos[:: -(-len(photos) // MOST_PHOTOS)]]
    machine = describe()
    print(f"{in_words(machine)}; {len(bodies)} photos of {sum(map(len, bodies)) / len(bodies) / 1e3:.0f} kB on average")
    if arguments.jobs:
        print(f"beside {arguments.jobs} training jobs")
    rows = []
    with endpoint(arguments.model, arguments.jobs) as (through, directly):
        ways = {"InvokeEndpoint": through, "server asked directly": directly}
        for connect in ways.values():
            run(closed_loop(connect, bodies, max(arguments.clients), 1.0))
        for clients in arguments.clients:
            best = measure(ways, bodies, clients, arguments)
            for name, result in best.items():
                row = result.row()
                rows.append({"clients": clients, "way": name, **row})
                print(
                    f"{clients:4} clients  {name:<22} {row['images_per_second']:>9} images/s  p50 {row['p50_ms']:>7} ms"
                    f"  p99 {row['p99_ms']:>7} ms"
                )
            ours, own = best["InvokeEndpoint"], best["server asked directly"]
            added = ours.percentile(0.5) - own.percentile(0.5)
            ratio = ours.images_per_second / own.images_per_second
            print(f"{clients:4} clients  InvokeEndpoint adds {added:.2f} ms at p50, at {ratio:.2f} of the rate")
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"machine": machine, "training_jobs": arguments.jobs, "rows": rows}, indent=1)
        )


if __name__ == "__main__":
    main()
