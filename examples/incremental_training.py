"""Incremental training: a model goes on learning when new images have come.

    python examples/incremental_training.py DATA RUN [--set NAME=VALUE]...

DATA holds three folders with the same classes: `first`, the images that there were at first, `new`, those that came
later, and `validation`. The second run starts from the weights of the first, and so with the low learning rate that the
modern recipe has for fine-tuning. It sees old and new images together, because a network that sees new ones alone
forgets what the others taught it.
"""

import shutil
from pathlib import Path

import imclass
import script


def main() -> None:
    given = script.parser(__doc__).parse_args()
    changes = dict(given.changes)
    validation = given.data / "validation"
    first = imclass.train(
        given.data / "first", validation=validation, hyperparameters=changes, output=given.run / "first"
    )
    together = put_together(given.run / "images", given.data / "first", given.data / "new")
    second = imclass.train(
        together,
        validation=validation,
        model=first.model_path,
        hyperparameters=changes,
        output=given.run / "second",
    )
    for name, run in (("first", first), ("second", second)):
        print(f"{name:6}  accuracy {run.best['validation_accuracy']:.2%}  {run.model_path}")


def put_together(folder: Path, *parts: Path) -> Path:
    """One folder with the images of several, whose class folders have the same names. Images are copied."""
    for part in parts:
        for image in sorted(path for path in part.glob("*/*") if path.is_file()):
            copy = folder / image.parent.name / f"{part.name}-{image.name}"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(image, copy)
    return folder


if __name__ == "__main__":
    script.run(main)
