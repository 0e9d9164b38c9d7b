"""Several labels an image: which of some kinds of objects are in a picture of COCO?

    python examples/multi_label.py DATA RUN [--annotations instances_val2017.json] [--classes person,dog,...]

DATA is a folder as COCO has it, with the pictures in `val2017` and `annotations/instances_val2017.json` beside it. Of
the pictures that show one of the classes, four fifths are listed in RUN/train.lst and the others in RUN/validation.lst,
with one column of 0 and 1 for each class.

Outputs are independent probabilities. Rare classes would be lost among the pictures without them, so their positive
labels weigh more (`use_weighted_loss`).
"""

import json
import random
from pathlib import Path

import imclass
import script
from imclass.data import write_lst

SEED = 0
VALIDATION_SHARE = 0.2
THRESHOLD = 0.5
CLASSES = "person,bicycle,car,motorcycle,airplane"
HYPERPARAMETERS = {
    "multi_label": "1",
    "use_weighted_loss": "1",
    "use_pretrained_model": "1",
    "num_layers": "18",
    "image_shape": "3,224,224",
    "resize": "256",
    "mini_batch_size": "32",
    "epochs": "5",
    "learning_rate": "0.001",
    "augmentation_type": "crop_color_transform",
}


def main() -> None:
    parser = script.parser(__doc__)
    parser.add_argument("--annotations", default="instances_val2017.json", metavar="FILE", help="in DATA/annotations")
    parser.add_argument("--images", default="val2017", metavar="FOLDER", help="in DATA")
    parser.add_argument("--classes", default=CLASSES, metavar="NAME,...", help=CLASSES)
    given = parser.parse_args()
    class_names = given.classes.split(",")
    labels = labels_of_pictures(given.data / "annotations" / given.annotations, class_names)
    lists = write_lists(labels, given.run)
    images = given.data / given.images
    run = imclass.train(
        channels={
            "train": images,
            "validation": images,
            "train_lst": lists["train"],
            "validation_lst": lists["validation"],
        },
        class_names=class_names,
        hyperparameters={**HYPERPARAMETERS, "num_classes": len(class_names), **dict(given.changes)},
        output=given.run / "model",
    )
    print(f"accuracy, averaged over the classes  {run.best['validation_accuracy']:.2%}")
    print(f"mean average precision               {run.best['validation_mean_average_precision']:.2%}")
    print_answers(run.model_path, [images / name for name in list(labels)[:5]])


def labels_of_pictures(annotations: Path, class_names: list[str]) -> dict[str, list[float]]:
    """One column of 0 and 1 for each class, by the name of the picture, for pictures that show one of them."""
    content = json.loads(annotations.read_text())
    columns = {
        category["id"]: class_names.index(category["name"])
        for category in content["categories"]
        if category["name"] in class_names
    }
    files = {image["id"]: image["file_name"] for image in content["images"]}
    labels: dict[str, list[float]] = {}
    for annotation in content["annotations"]:
        if annotation["category_id"] in columns:
            row = labels.setdefault(files[annotation["image_id"]], [0.0] * len(class_names))
            row[columns[annotation["category_id"]]] = 1.0
    return labels


def write_lists(labels: dict[str, list[float]], run: Path) -> dict[str, Path]:
    """Write RUN/train.lst and RUN/validation.lst; returns the file of each part."""
    names = sorted(labels)
    random.Random(SEED).shuffle(names)
    set_aside = round(len(names) * VALIDATION_SHARE)
    run.mkdir(parents=True, exist_ok=True)
    files = {"train": run / "train.lst", "validation": run / "validation.lst"}
    for part, chosen in (("train", names[set_aside:]), ("validation", names[:set_aside])):
        write_lst(files[part], ((index, labels[name], name) for index, name in enumerate(chosen)))
    return files


def print_answers(model_path: Path, images: list[Path]) -> None:
    """Print the classes of each picture: all whose probability is above one half."""
    model = imclass.load(model_path)
    for image, probabilities in zip(images, model.predict(images), strict=True):
        pairs = zip(model.class_names, probabilities, strict=True)
        shown = [f"{name} {probability:.2f}" for name, probability in pairs if probability > THRESHOLD]
        print(f"{image.name}: {', '.join(shown) or 'none of them'}")


if __name__ == "__main__":
    script.run(main)
