"""The demo: a small data set in all three forms, a model trained on it, measured and used.

    python examples/digits.py FOLDER [--data-only]

The images are the 1,797 handwritten digits that come with scikit-learn, 8x8 pixels with 16 grey levels, so nothing is
downloaded. Every step after making the data is a command that is printed before it runs.
"""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from imclass.data.lst_writer import write_lst
from imclass.data.recordio import pack_image
from imclass.data.recordio_writer import RecordWriter

HELD_OUT = 0.25
BRIGHTEST = 16  # scikit-learn's digits have levels 0 to 16
EXPECTED_ACCURACY = 0.97
PARTS = ("train", "held-out")


@dataclass(frozen=True)
class Digit:
    """One image: its number in the data set, the digit that it shows, and its pixels, (8, 8) uint8 grey."""

    number: int
    label: int
    pixels: NDArray[np.uint8]

    @property
    def path(self) -> str:
        """Where it lies in its class folder."""
        return f"{self.label}/{self.number:04d}.png"


def main() -> None:
    arguments = read_arguments()
    folder: Path = arguments.folder
    for part, digits in split_digits().items():
        write_part(folder, part, digits)
        print(f"{len(digits):5d} images in {folder / part}/, {folder / part}.lst and {folder / part}.rec")
    if not arguments.data_only:
        train_and_use(folder)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train and use a classifier of handwritten digits.")
    parser.add_argument("folder", type=Path, help="folder for the images and the run")
    parser.add_argument("--data-only", action="store_true", help="write the images and stop")
    return parser.parse_args()


def split_digits() -> dict[str, list[Digit]]:
    """The digits, three quarters to train on and one quarter, never seen in training, to measure with."""
    images, labels = load_digits(return_X_y=True)
    levels = np.rint(images.reshape(-1, 8, 8) * (255 / BRIGHTEST)).astype(np.uint8)
    digits = [Digit(number, int(label), levels[number]) for number, label in enumerate(labels)]
    parts = train_test_split(digits, test_size=HELD_OUT, random_state=0, stratify=labels)
    return dict(zip(PARTS, parts, strict=True))


def write_part(folder: Path, part: str, digits: list[Digit]) -> None:
    """Write images three times: as class folders, as a list of these files, and packed in RecordIO."""
    for digit in digits:
        path = folder / part / digit.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(digit))
    write_lst(folder / f"{part}.lst", ((digit.number, [digit.label], f"{part}/{digit.path}") for digit in digits))
    with RecordWriter(folder / f"{part}.rec") as writer:
        for digit in digits:
            writer.write(digit.number, pack_image(digit.label, png(digit), digit.number))


def png(digit: Digit) -> bytes:
    return cv2.imencode(".png", digit.pixels)[1].tobytes()


def train_and_use(folder: Path) -> None:
    run, model = folder / "run", folder / "run" / "model.tar.gz"
    if run.exists():
        shutil.rmtree(run)
    # Digits must not be mirrored, so there is no augmentation; twice their size leaves the network room to look.
    imclass(
        *("train", folder / "train.rec", "--output", run, "--epochs", 30, "--augmentation-type", "none"),
        *("--image-shape", "3,16,16", "--resize", 16),
    )
    for source in (folder / "held-out", folder / "held-out.lst", folder / "held-out.rec"):
        report = folder / f"report-{source.suffix.removeprefix('.') or 'folder'}.json"
        imclass("evaluate", model, source, "--json", report, "--quiet")
        accuracy = json.loads(report.read_text())["accuracy"]
        print(f"accuracy {accuracy:.2%} on images never seen in training")
        if accuracy < EXPECTED_ACCURACY:
            sys.exit(f"that is less than {EXPECTED_ACCURACY:.0%}: something is wrong")
    image = next(images_in(folder / "held-out"))
    imclass("predict", model, image, "--top-k", 3)
    print(
        f"\nMade in {folder}: images in three forms, {model} with the trained network,\n"
        f"{run}/metrics.jsonl with a line for each epoch, and {run}/tensorboard.\n"
        "Now try your own images, one folder for each class:\n\n"
        "    .venv/bin/imclass train photos --output my-run\n"
    )


def images_in(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.rglob("*.png")))


def imclass(*arguments: object) -> None:
    """Print a command of imclass and run it."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ imclass {shlex.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", "imclass", *words], check=True)


if __name__ == "__main__":
    main()
