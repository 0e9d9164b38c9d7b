"""What all notebooks begin with, and how they get data."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import boto3
import sagemaker
from sagemaker import get_execution_role, image_uris

ALGORITHM = "image-classification"
SETTINGS = json.loads(os.environ["NOTEBOOK_SETTINGS"])
"""What of the notebooks is smaller here: layers, sides of the images, classes, numbers of images."""

role = get_execution_role()
session = sagemaker.Session()
bucket = session.default_bucket()
region = boto3.Session().region_name
training_image = image_uris.retrieve(ALGORITHM, region)
s3 = boto3.client("s3")

EXAMPLES = f"sagemaker-example-files-prod-{region}"
CALTECH = "datasets/image/caltech-256"
BATHTUBS = f"{CALTECH}/256_ObjectCategories/008.bathtub"


def timestamp() -> str:
    return time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime())


def download(key: str) -> str:
    """Fetch an object of the examples; returns the name of the file."""
    name = key.rpartition("/")[2]
    s3.download_file(EXAMPLES, key, name)
    return name


def aws(*arguments: str) -> str:
    """Run the AWS CLI, as cells with a `!` do."""
    command = [str(Path(sys.executable).with_name("aws")), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def record_files() -> tuple[str, str]:
    """Fetch the two .rec files of Caltech-256: train and validation."""
    return download(f"{CALTECH}/caltech-256-60-train.rec"), download(f"{CALTECH}/caltech-256-60-val.rec")


def image_folders() -> Path:
    """Fetch and unpack the images of Caltech-256; returns the folder with one folder for each class."""
    subprocess.run(["tar", "-xf", download(f"{CALTECH}/256_ObjectCategories.tar")], check=True)
    return Path("256_ObjectCategories")


def write_lists(folder: Path, labels_of=lambda place, path: [place]) -> tuple[Path, Path]:
    """Write the .lst files of a folder of classes: every fourth image is for validation.

    Args:
        labels_of: from the place of the class and the path of the image to its labels.
    """
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    images = [(place, image) for place, each in enumerate(classes) for image in sorted(each.iterdir())]
    rows = [
        "\t".join([str(number), *(f"{label:.6f}" for label in labels_of(place, image)), str(image.relative_to(folder))])
        for number, (place, image) in enumerate(images)
    ]
    train, validation = Path("train.lst"), Path("validation.lst")
    train.write_text("".join(f"{row}\n" for number, row in enumerate(rows) if number % 4))
    validation.write_text("".join(f"{row}\n" for number, row in enumerate(rows) if not number % 4))
    return train, validation


def upload_lists_and_images(prefix: str, folder: Path, train: Path, validation: Path) -> dict[str, str]:
    """Bring images and lists to the four channels; returns their addresses."""
    addresses = {}
    for name, source in (("train", folder), ("validation", folder)):
        addresses[name] = f"s3://{bucket}/{prefix}/{name}/"
        aws("s3", "cp", str(source), addresses[name], "--recursive", "--quiet")
    for name, source in (("train_lst", train), ("validation_lst", validation)):
        addresses[name] = f"s3://{bucket}/{prefix}/{name}/"
        aws("s3", "cp", str(source), addresses[name], "--quiet")
    return addresses


def list_length(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_image() -> bytes:
    """An image to ask about."""
    return Path(download(f"{BATHTUBS}/008_0007.jpg")).read_bytes()


def check_probabilities(probabilities: list[float]) -> None:
    """As many as classes, and their sum is 1."""
    assert len(probabilities) == SETTINGS["num_classes"], probabilities
    assert abs(sum(probabilities) - 1) < 1e-4, probabilities
