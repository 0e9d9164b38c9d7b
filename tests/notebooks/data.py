"""What the notebooks find in the buckets of the examples: images of a few classes, packed and as they are."""

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from imclass.data import RecordWriter, pack_image
from tests.pictures import CLASSES, picture

REGION = "us-east-1"
CALTECH = f"sagemaker-example-files-prod-{REGION}/datasets/image/caltech-256"
BATHTUBS = "256_ObjectCategories/008.bathtub"
MOST_CLASSES = 3
TRAIN_IMAGES, VALIDATION_IMAGES = 24, 8  # of a class, at most
SIDE = 48


@dataclass(frozen=True)
class Examples:
    """What was written.

    Attributes:
        num_classes, num_training_samples: of the .rec files.
    """

    num_classes: int
    num_training_samples: int


def write_examples(buckets: Path, photos: Path | None) -> Examples:
    """Write the bucket of the examples.

    Args:
        buckets: folder of the control plane's S3.
        photos: a folder with a folder of JPEG files for each class, or with several such folders as `train` and `val`,
            of which a few are taken; without it, images are drawn.
    """
    classes = drawn() if photos is None else taken(photos)
    root = buckets / CALTECH
    for number, images in enumerate(classes):
        folder = root / "256_ObjectCategories" / ("008.bathtub" if number == 0 else f"{number:03d}.class")
        folder.mkdir(parents=True)
        for place, image in enumerate(images, start=1):
            (folder / f"008_{place:04d}.jpg").write_bytes(image)
    with tarfile.open(root / "256_ObjectCategories.tar", "w") as archive:
        archive.add(root / "256_ObjectCategories", "256_ObjectCategories")
    for folder in list((root / "256_ObjectCategories").iterdir()):
        if folder.name != "008.bathtub":
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
    train = write_records(root / "caltech-256-60-train.rec", [images[VALIDATION_IMAGES:] for images in classes])
    write_records(root / "caltech-256-60-val.rec", [images[:VALIDATION_IMAGES] for images in classes])
    return Examples(len(classes), train)


def write_records(path: Path, classes: Sequence[Sequence[bytes]]) -> int:
    """Pack images, those of each class in turn; returns their number."""
    images = [
        (label, image) for place in range(TRAIN_IMAGES) for label, all_of in enumerate(classes)
        for image in all_of[place : place + 1]
    ]  # fmt: skip
    with RecordWriter(path) as records:
        for number, (label, image) in enumerate(images):
            records.write(number, pack_image(label, image, image_id=number))
    path.with_suffix(".idx").unlink()
    return len(images)


def drawn() -> list[list[bytes]]:
    """JPEG files that a network can tell apart."""
    count = TRAIN_IMAGES + VALIDATION_IMAGES
    return [
        [cv2.imencode(".jpg", picture(kind, number, SIDE)[:, :, ::-1])[1].tobytes() for number in range(count)]
        for kind in range(len(CLASSES))
    ]


def taken(photos: Path) -> list[list[bytes]]:
    """JPEG files of a folder with a folder for each class, those of folders of one name together."""
    by_class: dict[str, list[Path]] = {}
    for file in sorted(photos.rglob("*.jpg")):
        by_class.setdefault(file.parent.name, []).append(file)
    count = TRAIN_IMAGES + VALIDATION_IMAGES
    classes = [[file.read_bytes() for file in by_class[name][:count]] for name in sorted(by_class)[:MOST_CLASSES]]
    assert classes, f"no JPEG files in {photos}"
    assert all(len(images) > VALIDATION_IMAGES for images in classes), f"too few JPEG files in {photos}"
    return classes
