"""Commands on data in a bucket, as processes that a user starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pictures import write_class_folders
from tests.remote_servers import Bucket

HYPERPARAMETERS = {
    "recipe": "sagemaker",
    "num_layers": 8,
    "image_shape": "3,16,16",
    "epochs": 2,
    "mini_batch_size": 8,
    "learning_rate": 0.05,
    "seed": 3,
}
SETTINGS = ["--device", "cpu", "--threads", "2"] + [f"--set={name}={value}" for name, value in HYPERPARAMETERS.items()]
DEADLINE = 180


def run(*arguments: str, status: int = 0, processes: int = 1) -> "subprocess.CompletedProcess[str]":
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "imclass", *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
    )
    assert done.returncode == status, done.stderr + done.stdout
    return done


def metrics(output: Path) -> list[dict[str, float]]:
    timed = ("seconds", "train_seconds", "images_per_second")
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in timed} for line in lines]


@pytest.fixture
def photos(bucket: Bucket, tmp_path: Path) -> Path:
    photos = write_class_folders(tmp_path / "photos", 16)
    bucket.put_folder("photos", photos)
    return photos


def test_train_evaluate_and_predict_from_a_bucket(bucket: Bucket, photos: Path, tmp_path: Path) -> None:
    there = run("train", bucket.address("photos"), "--output", str(tmp_path / "there"), *SETTINGS)
    assert f"imclass: fetched {bucket.address('photos')}: 48 files" in there.stderr
    run("train", str(photos), "--output", str(tmp_path / "here"), *SETTINGS)
    assert metrics(tmp_path / "there") == metrics(tmp_path / "here")

    bucket.put("model.tar.gz", (tmp_path / "there/model.tar.gz").read_bytes())
    model = bucket.address("model.tar.gz")
    evaluated = run("evaluate", model, bucket.address("photos"), "--device", "cpu", "--json", "-")
    report = json.loads(evaluated.stdout)
    assert (report["samples"], report["source"]) == (48, bucket.address("photos"))
    assert f"imclass: fetched {model}: 1 files" in evaluated.stderr
    assert "photos: " not in evaluated.stderr, "unchanged: nothing is fetched"
    predicted = run("predict", model, bucket.address("photos/dots/003.png"), "--device", "cpu", "--json")
    answer = json.loads(predicted.stdout)
    assert answer["path"] == bucket.address("photos/dots/003.png")
    assert answer["predictions"][0]["probability"] > 0


def test_streamed_training_gives_the_result_of_the_file(bucket: Bucket, photos: Path, tmp_path: Path) -> None:
    run("pack", bucket.address("photos"), "--output", str(tmp_path / "train.rec"), "--encoding", ".png", "--quiet")
    for suffix in (".rec", ".idx"):
        bucket.put(f"data/train{suffix}", (tmp_path / f"train{suffix}").read_bytes())
    address = bucket.address("data/train.rec")
    streamed = run("train", address, "--stream", "--output", str(tmp_path / "streamed"), *SETTINGS)
    assert "fetched" not in streamed.stderr
    run("train", str(tmp_path / "train.rec"), "--output", str(tmp_path / "local"), *SETTINGS)
    assert metrics(tmp_path / "streamed") == metrics(tmp_path / "local")

    model = str(tmp_path / "local/model.tar.gz")
    reports = [
        json.loads(run("evaluate", model, *source, "--device", "cpu", "--json", "-").stdout)
        for source in ((address, "--stream"), (str(tmp_path / "train.rec"),))
    ]
    assert reports[0]["confusion"] == reports[1]["confusion"]


def test_channels_and_processes(bucket: Bucket, photos: Path, tmp_path: Path) -> None:
    channels = [f"--channel={name}={bucket.address('photos')}" for name in ("train", "validation")]
    settings = [*SETTINGS, "--num-classes", "3", "--num-training-samples", "48"]
    done = run("train", *channels, "--output", str(tmp_path / "run"), *settings, processes=2)
    assert done.stderr.count("imclass: fetched") == 1, "one process of a machine fetches"
    assert len(metrics(tmp_path / "run")) == 2


def test_inspect_and_unpack(bucket: Bucket, photos: Path, tmp_path: Path) -> None:
    inspected = run("inspect", bucket.address("photos"))
    assert f"figure\t{bucket.address('photos')}\timages\t48" in inspected.stdout
    run("pack", str(photos), "--output", str(tmp_path / "x.rec"), "--pass-through", "--quiet")
    bucket.put("x.rec", (tmp_path / "x.rec").read_bytes())
    run("unpack", bucket.address("x.rec"), str(tmp_path / "unpacked"), "--quiet")
    assert (tmp_path / "unpacked/x.lst").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "{photo}", "--output", "{out}"], "there is no such object, and nothing is in a folder of this name"),
        (["train", "{photos}", "--output", "{out}", "--stream"], "only .rec files can be streamed"),
        (["train", "{here}", "--output", "{out}", "--stream"], "only data on another machine can be streamed"),
        (["predict", "s3://no-such-bucket/model.tar.gz", "x.jpg"], "there is no such bucket"),
        (["train", "ftp://host/photos", "--output", "{out}"], "ftp:// is no address that can be read"),
    ],
)
def test_mistakes(bucket: Bucket, photos: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    names = {
        "photo": bucket.address("photo"),
        "photos": bucket.address("photos"),
        "here": str(photos),
        "out": str(tmp_path / "run"),
    }
    done = run(*(argument.format(**names) for argument in arguments), status=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
