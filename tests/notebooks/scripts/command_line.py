"""The AWS CLI: who the caller is, a job and its log, and a folder that S3 keeps in step with."""

import json
import time
from pathlib import Path

from common import BATHTUBS, CALTECH, EXAMPLES, aws, bucket, record_files, timestamp
from low_level import channels, definition, hyperparameters

SECONDS = 300


def answer(*arguments):
    """What the CLI prints, as JSON."""
    return json.loads(aws(*arguments, "--output", "json"))


def describe():
    return answer("sagemaker", "describe-training-job", "--training-job-name", name)


assert ":assumed-role/" in answer("sts", "get-caller-identity")["Arn"]

prefix = f"s3://{bucket}/ic-command-line"
for channel, file in zip(("train", "validation"), record_files(), strict=True):
    aws("s3", "cp", file, f"{prefix}/{channel}/", "--quiet")
addresses = {channel: f"{prefix}/{channel}/" for channel in ("train", "validation")}
name = f"command-line-{timestamp()}"
asked = definition(name, "ml.p3.2xlarge", channels(addresses, "application/x-recordio"))
Path("job.json").write_text(json.dumps({"TrainingJobName": name, "HyperParameters": hyperparameters(), **asked}))
created = answer("sagemaker", "create-training-job", "--cli-input-json", "file://job.json")["TrainingJobArn"]
assert created.endswith(f":training-job/{name}"), created

deadline = time.monotonic() + SECONDS
while describe()["TrainingJobStatus"] == "InProgress":
    assert time.monotonic() < deadline, describe()
    time.sleep(1)
ended = describe()
assert ended["TrainingJobStatus"] == "Completed", ended.get("FailureReason")
aws("sagemaker", "wait", "training-job-completed-or-stopped", "--training-job-name", name)
listed = answer("sagemaker", "list-training-jobs", "--name-contains", "command-line", "--status-equals", "Completed")
assert created in [job["TrainingJobArn"] for job in listed["TrainingJobSummaries"]], listed
stream = ["--log-group-name", "/aws/sagemaker/TrainingJobs", "--log-stream-name-prefix", f"{name}/"]
(event,) = answer("logs", "filter-log-events", *stream, "--filter-pattern", '"Epoch[0] Validation-accuracy="')["events"]
assert event["logStreamName"].startswith(f"{name}/algo-1-"), event
model = ended["ModelArtifacts"]["S3ModelArtifacts"]
aws("s3", "cp", model, "model.tar.gz", "--quiet")
assert Path("model.tar.gz").stat().st_size > 1_000_000

aws("s3", "sync", f"s3://{EXAMPLES}/{BATHTUBS}", "bathtubs", "--quiet")
names = sorted(file.name for file in Path("bathtubs").iterdir())
assert names, f"nothing came from {CALTECH}"

target = f"s3://{bucket}/command-line/"
aws("s3", "sync", "bathtubs", target, "--quiet")
assert aws("s3", "sync", "bathtubs", target) == "", "what is there was brought again"
Path("bathtubs", names[0]).unlink()
aws("s3", "sync", "bathtubs", target, "--delete", "--quiet")
assert [line.split()[-1] for line in aws("s3", "ls", target).splitlines()] == names[1:]
aws("s3", "rm", target, "--recursive", "--quiet")
assert "PRE command-line/" not in aws("s3", "ls", f"s3://{bucket}/"), "what was removed is there"
