"""The `.lst` format: a data set divided by two lists, in the four channels of a SageMaker job.

    python examples/lst_format.py DATA RUN [--per-class 60] [--set NAME=VALUE]...

DATA is a folder with one folder of images a class, such as Caltech-256's `256_ObjectCategories`. Of each class as many
images as --per-class says are drawn to train on, the rest are for validation. Nothing is copied: both image channels
are DATA, and the lists RUN/train.lst and RUN/validation.lst say which images belong where.
"""

import random
from pathlib import Path

import imclass
import script
from imclass.data import write_lst

SEED = 0
IMAGE_ENDINGS = {".jpg", ".jpeg", ".png"}
HYPERPARAMETERS = {
    "num_layers": "18",
    "image_shape": "3,224,224",
    "resize": "256",
    "use_pretrained_model": "1",
    "mini_batch_size": "32",
    "epochs": "6",
    "learning_rate": "0.01",
    "augmentation_type": "crop",
}


def main() -> None:
    parser = script.parser(__doc__)
    parser.add_argument("--per-class", type=int, default=60, metavar="N", help="images of a class to train on (60)")
    given = parser.parse_args()
    lists = write_lists(given.data, given.run, given.per_class)
    class_names = class_folders(given.data)
    run = imclass.train(
        channels={
            "train": given.data,
            "validation": given.data,
            "train_lst": lists["train"],
            "validation_lst": lists["validation"],
        },
        content_types=dict.fromkeys(("train", "validation", "train_lst", "validation_lst"), "application/x-image"),
        class_names=class_names,
        hyperparameters={**HYPERPARAMETERS, "num_classes": len(class_names), **dict(given.changes)},
        output=given.run / "model",
    )
    print(f"accuracy {run.best['validation_accuracy']:.2%}")
    print(f"model    {run.model_path}")


def class_folders(data: Path) -> list[str]:
    """Names of the classes in the order of their numbers: that of the sorted names, as in im2rec."""
    return sorted(folder.name for folder in data.iterdir() if folder.is_dir())


def write_lists(data: Path, run: Path, per_class: int) -> dict[str, Path]:
    """Write RUN/train.lst and RUN/validation.lst; returns the file of each part."""
    drawn = random.Random(SEED)
    parts: dict[str, list[tuple[int, str]]] = {"train": [], "validation": []}
    for number, name in enumerate(class_folders(data)):
        files = sorted(path for path in (data / name).iterdir() if path.suffix.lower() in IMAGE_ENDINGS)
        images = [f"{name}/{file.name}" for file in files]
        drawn.shuffle(images)
        parts["train"] += [(number, image) for image in images[:per_class]]
        parts["validation"] += [(number, image) for image in images[per_class:]]
    run.mkdir(parents=True, exist_ok=True)
    files = {part: run / f"{part}.lst" for part in parts}
    for part, images_of_part in parts.items():
        write_lst(files[part], ((index, [label], image) for index, (label, image) in enumerate(images_of_part)))
    return files


if __name__ == "__main__":
    script.run(main)
