"""Kills the control plane again and again while it works: what was lost of what it had acknowledged?

    python -m bench.kill_control_plane [--kills 50] [--minutes 20] [--actors object training ...] [--slots 2] [--seed 0]
                                       [--json FILE]

Clients write and delete objects, train, tune, transform, open endpoints, ask and close them, all at the same time on
small images made for the purpose. The server gets SIGKILL at random moments and is started again with the same data
folder. What it has acknowledged must hold:

- an object is what the last answered request made it; after a request without an answer either state is right
- what was created is there, ends as it should and stays as it has ended, with its files in S3
- an endpoint answers again after a restart, an update is carried out, what is deleted stays deleted
- when the server ends in the end, nothing in the data folder is half-written, and no process works there any more

Prints what was done and each promise that was not kept; the exit status is 1 if there is one.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.kill_control_plane.actors import ACTORS, CLASSES, IMAGE, PHOTOS, ROLE, base_model_key, training_members
from bench.kill_control_plane.ledger import BUCKET, Ledger
from bench.kill_control_plane.server import Server
from imclass.data import RecordWriter, pack_image

END_SECONDS = 900.0
SETTLE_SECONDS = 30.0


def main() -> int:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        data = Path(name)
        server, ledger = Server(data, "--slots", str(arguments.slots)), Ledger()
        server.start()
        try:
            set_up(server, data)
            starts = work_and_kill(arguments, server, ledger)
            check(server, ledger)
        finally:
            server.stop()
        check_end(server, ledger, data)
    result = {
        "kills": len(starts),
        "seconds_to_start": {"median": statistics.median(starts), "most": max(starts)},
        "acts": dict(ledger.acts),
        "requests_without_answer": ledger.unanswered,
        "objects_checked": len(ledger.objects),
        "ends_checked": len(ledger.ended),
        "not_kept": ledger.problems,
    }
    print(json.dumps(result, indent=2))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return int(bool(ledger.problems))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--actors", nargs="+", choices=list(ACTORS), default=list(ACTORS))
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def set_up(server: Server, data: Path) -> None:
    """The bucket, data to train on, photos, and a model."""
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    s3.create_bucket(Bucket=BUCKET)
    for channel, count, first in (("train", 72, 0), ("validation", 24, 1000)):
        records = data / f"{channel}.rec"
        with RecordWriter(records) as writer:
            for number in range(count):
                kind = number % CLASSES
                writer.write(number, pack_image(kind, picture(kind, first + number), image_id=number))
        s3.upload_file(str(records), BUCKET, f"{channel}/{channel}.rec")
    for number in range(PHOTOS):
        s3.put_object(Bucket=BUCKET, Key=f"photos/{number}.png", Body=picture(number % CLASSES, 2000 + number))
    sagemaker.create_training_job(TrainingJobName="base", **training_members())
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName="base", WaiterConfig={"Delay": 1})
    sagemaker.create_model(
        ModelName="base",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/{base_model_key()}"},
    )


def picture(kind: int, seed: int) -> bytes:
    """A PNG of 16x16 pixels in which one colour is stronger than the others."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 120, (16, 16, 3), np.uint8)
    pixels[..., kind] += 100
    return cv2.imencode(".png", pixels)[1].tobytes()


def work_and_kill(arguments: argparse.Namespace, server: Server, ledger: Ledger) -> list[float]:
    """Let the actors work while the server dies; returns the seconds that each start took."""
    is_over, photo = threading.Event(), picture(0, 3000)
    actors = [ACTORS[name](server, ledger, arguments.seed, photo, is_over) for name in arguments.actors]
    threads = [threading.Thread(target=actor.run, name=actor.name, daemon=True) for actor in actors]
    for thread in threads:
        thread.start()
    pause = arguments.minutes * 60 / arguments.kills
    moments = random.Random(arguments.seed)
    starts = []
    for number in range(arguments.kills):
        time.sleep(moments.uniform(0, 2 * pause))
        server.kill()
        starts.append(server.start())
        print(f"kill {number + 1}: back after {starts[-1]:.1f} s; {dict(ledger.acts)}", flush=True)
    is_over.set()
    deadline = time.monotonic() + END_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            ledger.broken(f"the {thread.name} actor is stuck")
    return starts


def check(server: Server, ledger: Ledger) -> None:
    """Compare all that was promised with what is there, after one more kill."""
    server.kill()
    server.start()
    sagemaker, s3 = server.client("sagemaker"), server.client("s3")
    status_of: dict[str, Callable[[str], str]] = {
        "training job": lambda name: str(sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"]),
        "transform job": lambda name: str(
            sagemaker.describe_transform_job(TransformJobName=name)["TransformJobStatus"]
        ),
        "tuning job": lambda name: str(
            sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)[
                "HyperParameterTuningJobStatus"
            ]
        ),
    }
    ledger.check_ends(status_of)
    ledger.check_objects(s3)
    listed = {each["TrainingJobName"] for each in pages(sagemaker, "list_training_jobs", "TrainingJobSummaries")}
    for kind, name in ledger.ended:
        if kind == "training job" and name not in listed:
            ledger.broken(f"{name} is not listed")


def pages(client: Any, operation: str, member: str) -> list[dict[str, Any]]:
    return [each for page in client.get_paginator(operation).paginate() for each in page[member]]


def check_end(server: Server, ledger: Ledger, data: Path) -> None:
    """What is left when the server has ended."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while server.processes() and time.monotonic() < deadline:
        time.sleep(1)
    for process in server.processes():
        ledger.broken(f"a process is left: {process}")
    for path in sorted(data.rglob("*.tmp")):
        ledger.broken(f"a half-written file is left: {path.relative_to(data)}")
    for problem in server.tracebacks():
        ledger.broken(problem)


if __name__ == "__main__":
    sys.exit(main())
