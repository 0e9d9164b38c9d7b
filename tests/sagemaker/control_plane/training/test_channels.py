"""Channels of every kind through jobs that train, and what is refused about them."""

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from botocore.exceptions import ClientError

from imclass import artifact
from tests.pictures import CLASSES, picture
from tests.sagemaker.control_plane.server import (
    Server,
    channel,
    control_plane,
    job,
    messages,
    wait_for_end,
    write_bucket,
)
from tests.sagemaker.job_folder import HYPERPARAMETERS

pytestmark = pytest.mark.timeout(900)  # several processes that import PyTorch, on perhaps two cores

BRIEF = {**HYPERPARAMETERS, "epochs": "2"}
IMAGES = 24  # of each class


def write_images(bucket: Path) -> None:
    """Pictures as objects, with two lists and an augmented manifest of them."""
    lines, rows = [], []
    for number in range(IMAGES):
        for kind in range(len(CLASSES)):
            name = f"{CLASSES[kind]}/{number}.png"
            (bucket / "images" / name).parent.mkdir(parents=True, exist_ok=True)
            written = cv2.imwrite(str(bucket / "images" / name), picture(kind, number)[:, :, ::-1])
            assert written
            lines.append({"source-ref": f"s3://bucket/images/{name}", "class": str(kind)})
            rows.append(f"{len(rows)}\t{kind}.000000\t{name}\n")
    (bucket / "lists").mkdir()
    (bucket / "lists/train.lst").write_text("".join(rows))
    (bucket / "lists/validation.lst").write_text("".join(rows[-9:]))
    (bucket / "lines.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    names = [row.split("\t")[2].strip() for row in rows[-9:]]
    (bucket / "few.manifest").write_text(json.dumps([{"prefix": "s3://bucket/images/"}, *names]))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("plane")
    write_bucket(data)
    write_images(data / "s3/bucket")
    with control_plane(data, "--slots", "2") as running:
        yield running


def source(name: str, kind: str, key: str, **members: Any) -> dict[str, Any]:
    """A channel with a source of this kind."""
    asked = channel(name, f"s3://bucket/{key}", ContentType="application/x-image", **members)
    asked["DataSource"]["S3DataSource"]["S3DataType"] = kind
    if kind == "AugmentedManifestFile":
        asked["DataSource"]["S3DataSource"]["AttributeNames"] = ["source-ref", "class"]
    return asked


def finished(server: Server, sagemaker: Any, name: str, *channels: dict[str, Any]) -> list[str]:
    """Run a job to a good end; its log."""
    sagemaker.create_training_job(**job(name, BRIEF, InputDataConfig=list(channels)))
    description = wait_for_end(sagemaker, name)
    assert description["TrainingJobStatus"] == "Completed", description.get("FailureReason")
    model = server.data / f"s3/bucket/output/{name}/output/model.tar.gz"
    assert artifact.load(model)[0].num_classes == len(CLASSES)
    return messages(server.client("logs"), name)


def test_records_and_a_manifest_through_pipes(server: Server, sagemaker: Any) -> None:
    bucket = server.data / "s3/bucket"
    (bucket / "packed").mkdir()
    (bucket / "packed/validation.rec.gz").write_bytes(
        gzip.compress((bucket / "validation/validation.rec").read_bytes())
    )
    lines = finished(
        server,
        sagemaker,
        "piped",
        source(
            "train",
            "AugmentedManifestFile",
            "lines.jsonl",
            InputMode="Pipe",
            RecordWrapperType="RecordIO",
            ShuffleConfig={"Seed": 5},
        ),
        channel("validation", "s3://bucket/packed/", InputMode="Pipe", CompressionType="Gzip"),
    )
    assert sum("Validation-accuracy=" in line for line in lines) == 2
    assert not any("only" in line and "images" in line for line in lines), "each epoch had all images"


def test_images_with_lists_and_a_manifest_of_few(server: Server, sagemaker: Any) -> None:
    finished(
        server,
        sagemaker,
        "listed",
        source("train", "S3Prefix", "images/"),
        source("train_lst", "S3Prefix", "lists/train.lst"),
        source("validation", "ManifestFile", "few.manifest"),
        source("validation_lst", "S3Prefix", "lists/validation"),
    )


def test_a_job_goes_on_from_the_model_of_another(server: Server, sagemaker: Any) -> None:
    finished(server, sagemaker, "parent", channel("train"), channel("validation"))
    lines = finished(
        server,
        sagemaker,
        "child",
        channel("train", InputMode="FastFile"),
        channel("validation"),
        channel("model", "s3://bucket/output/parent/output/model.tar.gz", ContentType="application/x-sagemaker-model"),
    )
    assert any("model.tar.gz" in line and "ml/input/data/model" in line for line in lines), lines


def test_data_that_cannot_be_sent_fails_the_job_with_a_reason(server: Server, sagemaker: Any) -> None:
    bucket = server.data / "s3/bucket"
    (bucket / "cut").mkdir()
    shutil.copy(bucket / "train/train.rec", bucket / "cut/train.rec.gz")
    piped = channel("train", "s3://bucket/cut/", InputMode="Pipe", CompressionType="Gzip")
    sagemaker.create_training_job(**job("cut", InputDataConfig=[piped, channel("validation")]))
    description = wait_for_end(sagemaker, "cut")
    assert description["TrainingJobStatus"] == "Failed"
    assert description["FailureReason"] == (
        "ClientError: the data of the channel train cannot be sent: Not a gzipped file (b'\\n#')"
    )


def test_an_object_that_a_manifest_names_in_vain_fails_the_job(server: Server, sagemaker: Any) -> None:
    (server.data / "s3/bucket/vain.manifest").write_text('[{"prefix": "s3://bucket/images/"}, "nothing.png"]')
    asked = source("train", "ManifestFile", "vain.manifest")
    sagemaker.create_training_job(**job("vain", InputDataConfig=[asked, channel("validation")]))
    description = wait_for_end(sagemaker, "vain")
    assert description["TrainingJobStatus"] == "Failed"
    assert description["FailureReason"] == (
        "ClientError: s3://bucket/vain.manifest, element 1: there is no object s3://bucket/images/nothing.png"
    )


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (channel("train", CompressionType="Gzip"), "has a CompressionType, which has no meaning in File mode"),
        (channel("train", RecordWrapperType="RecordIO"), "has a RecordWrapperType, which has no meaning in File mode"),
        (source("train", "ManifestFile", "few.manifest", InputMode="FastFile"), "ManifestFile cannot have"),
        (source("train", "AugmentedManifestFile", "lines.jsonl"), "AugmentedManifestFile cannot have"),
        (source("train", "AugmentedManifestFile", "lines.jsonl", InputMode="Pipe"), "needs RecordWrapperType RecordIO"),
        (source("train", "ManifestFile", "images/"), "No S3 objects found under S3 URL"),
        ({"ChannelName": "train", "DataSource": {}}, "has no S3DataSource"),
    ],
)
def test_what_a_channel_cannot_be_is_refused_at_once(sagemaker: Any, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match="ValidationException") as caught:
        sagemaker.create_training_job(**job("refused", InputDataConfig=[asked]))
    assert message in caught.value.response["Error"]["Message"]
