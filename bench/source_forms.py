"""The same photographs as class folders, as lists and as RecordIO files: do they train alike?

    python bench/source_forms.py DATA [--seeds 3] [--epochs 30] [--side 128]

DATA holds train/<class>/*.jpg and val/<class>/*.jpg. Each form is trained from scratch with each seed. Prints the
validation accuracy of every run and the mean and spread of each form.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from imclass.data import RecordWriter, open_source, pack_image, write_lst
from imclass.training import train

IMAGE_ROOTS = {"source": "image_root", "validation": "validation_image_root"}


def write_forms(data: Path, folder: Path) -> dict[str, dict[str, Path]]:
    """The same data as `train` arguments in each form; lists name the classes in the folders' order."""
    forms = {"folders": {"source": data / "train", "validation": data / "val"}, "lst": {}, "rec": {}}
    for part, argument in (("train", "source"), ("val", "validation")):
        source = open_source(data / part)
        rows = [(index, source.labels[index].tolist(), source.key(index)) for index in range(len(source))]
        write_lst(folder / f"{part}.lst", rows)
        with RecordWriter(folder / f"{part}.rec") as writer:
            for index in range(len(source)):
                label = float(source.labels[index, 0])
                writer.write(index, pack_image(label, source[index].image, index))
        forms["lst"] |= {argument: folder / f"{part}.lst", IMAGE_ROOTS[argument]: data / part}
        forms["rec"] |= {argument: folder / f"{part}.rec"}
    return forms


def accuracy_of(sources: dict[str, Path], output: Path, seed: int, epochs: int, side: int) -> float:
    """Best validation accuracy of one run from scratch."""
    settings = {
        "use_pretrained_model": 0,
        "image_shape": f"3,{side},{side}",
        "resize": side * 8 // 7,
        "num_layers": 18,
        "epochs": epochs,
        "seed": seed,
    }
    return train(**sources, output=output, hyperparameters=settings, quiet=True).best["validation_accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        forms = write_forms(arguments.data, Path(temporary))
        results: dict[str, list[float]] = {form: [] for form in forms}
        for seed in range(arguments.seeds):
            for form, sources in forms.items():
                accuracy = accuracy_of(
                    sources, Path(temporary) / f"{form}-{seed}", seed, arguments.epochs, arguments.side
                )
                results[form].append(accuracy)
                print(f"{form:<8} seed {seed}  {accuracy:.2%}", flush=True)
    for form, accuracies in results.items():
        spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
        print(f"{form:<8} mean {statistics.mean(accuracies):.2%}  standard deviation {spread:.2%}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
