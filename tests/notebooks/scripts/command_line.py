"""The AWS CLI: who the caller is, jobs and their logs, and a folder that S3 keeps in step with."""

import json
from pathlib import Path

from common import BATHTUBS, CALTECH, EXAMPLES, aws, bucket

assert ":assumed-role/" in json.loads(aws("sts", "get-caller-identity", "--output", "json"))["Arn"]

for kind in ("training", "transform", "compilation"):
    listed = json.loads(aws("sagemaker", f"list-{kind}-jobs", "--output", "json"))
    jobs = listed[f"{kind.title()}JobSummaries"]
    assert all(f":{kind}-job/" in job[f"{kind.title()}JobArn"] for job in jobs), jobs

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
