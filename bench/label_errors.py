"""How many wrong labels the report finds: labels of CIFAR-10 are swapped, and the list is held against the swaps.

    python -m bench.label_errors DATA [--images 8000] [--share 0.03] [--folds 3] [--epochs 12] [--keep DIR]

DATA holds cifar10-train.rec and cifar10-val.rec. Of the first IMAGES training images, SHARE get another label, drawn
evenly from the nine others. A network is trained on them; the list comes from its own answers (in sample), from
cross-validation with FOLDS folds, in which no network answers an image that it was trained on, and from both together,
as `imclass report --folds` has it. Beside the report's list stand the same list ordered by margin, pruning by noise
rate, and cleanlab's `find_label_issues`, where cleanlab can be imported. The network's calibration error is printed
too, before and after temperature scaling, on halves of the validation images.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.machine import describe, in_words
from imclass.calibration import probabilities_of
from imclass.data import RecordWriter, Source, Subset, open_source, pack_image
from imclass.hyperparameters import parse
from imclass.reports.cross_validation import averaged, cross_validated_answers
from imclass.reports.findings import Calibration, find
from imclass.reports.making import make_report
from imclass.reports.numbers.judged import Judged
from imclass.reports.numbers.label_errors import estimated_errors, suspects
from imclass.reports.subject import Computing, Subject, open_run
from imclass.training import Run, train
from imclass.training.answers import Answers, write_answers

CLASSES = 10
SETTINGS: dict[str, object] = {
    "recipe": "modern",
    "num_layers": 20,
    "image_shape": "3,32,32",
    "num_classes": CLASSES,
    "mini_batch_size": 64,
}

Scores = dict[str, float]


def main() -> None:
    arguments = typed()
    machine = describe()
    print(in_words(machine), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        is_swapped = write_swapped(arguments, folder / "train.rec")
        run = train_on(folder / "train.rec", arguments, folder / "run")
        subject = open_run(folder / "run", Computing.on(arguments.device, arguments.threads))
        calibration = (make_report(subject, folder / "run") if arguments.keep else find(subject)).calibration
        assert subject.train_answers is not None
        results = {"in sample": scores(subject.train_answers, is_swapped)}
        if arguments.folds:
            answers = cross_validate(subject, arguments.folds)
            if arguments.keep:
                write_answers(folder / "cross_validated.safetensors", answers, epoch=0)
            results[f"{arguments.folds} folds"] = scores(answers, is_swapped)
            results["together"] = scores(averaged(subject.train_answers, answers), is_swapped)
    accuracy = run.best["validation_accuracy"]
    print(f"{len(is_swapped):,} images, {is_swapped.sum()} labels swapped, {accuracy:.2%} validation accuracy")
    tell(results, calibration)
    if arguments.json:
        errors = calibration.before.expected_error, calibration.after.expected_error
        content = {"machine": machine, "accuracy": accuracy, "found": results, "calibration": errors}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")


def typed() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--share", type=float, default=0.03, help="of the labels that are swapped (0.03)")
    parser.add_argument("--folds", type=int, default=3, help="0 leaves cross-validation out")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the run and its report")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def write_swapped(arguments: argparse.Namespace, path: Path) -> NDArray[np.bool_]:
    """Write the training images, some of them with another label, and tell which: (N,) bool."""
    whole = open_source(arguments.data / "cifar10-train.rec")
    chosen = Subset(whole, np.arange(min(arguments.images, len(whole))))
    labels, is_swapped = swapped(chosen.labels[:, 0], arguments.share, arguments.seed)
    write_relabelled(chosen, labels, path)
    return is_swapped


def train_on(records: Path, arguments: argparse.Namespace, output: Path) -> Run:
    settings = SETTINGS | {"epochs": arguments.epochs, "seed": arguments.seed}
    settings |= dict(text.split("=", 1) for text in arguments.set)
    return train(
        records,
        validation=arguments.data / "cifar10-val.rec",
        output=output,
        hyperparameters=settings,
        device=arguments.device,
        threads=arguments.threads,
        quiet=True,
    )


def cross_validate(subject: Subject, folds: int) -> Answers:
    """Answers to the training images by networks that have not seen them."""
    assert subject.train is not None
    settled = parse(dict(subject.record.hyperparameters) if subject.record else {}, fine_tuning=True)
    return cross_validated_answers(subject.train, settled, None, folds, subject.computing)


def tell(results: Mapping[str, Mapping[str, Scores]], calibration: Calibration) -> None:
    """Print what each method found in each kind of probabilities, and how far these can be taken at their word."""
    for probabilities, methods in results.items():
        for method, found in methods.items():
            figures = (
                f"{found['listed']:>5.0f} listed, precision {found['precision']:.1%}, recall {found['recall']:.1%}"
            )
            print(f"{probabilities:<10} {method:<20} {figures}, recall at precision 50 % {found['recall_at_half']:.1%}")
    before, after = calibration.before.expected_error, calibration.after.expected_error
    print(f"calibration error {before:.2%} before, {after:.2%} after, temperature {calibration.temperature:.3f}")


def swapped(labels: NDArray[np.float32], share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Labels with some of them wrong, and which: (N,) int64 and (N,) bool."""
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(labels))[: round(share * len(labels))]
    wrong = labels.astype(np.int64)
    wrong[chosen] = (wrong[chosen] + generator.integers(1, CLASSES, len(chosen))) % CLASSES
    return wrong, wrong != labels.astype(np.int64)


def write_relabelled(source: Source, labels: NDArray[np.int64], path: Path) -> None:
    """The images of a source with other labels, as a `.rec` file."""
    with RecordWriter(path) as writer:
        for index, label in enumerate(labels.tolist()):
            writer.write(index, pack_image(label, source[index].image, image_id=index))


def scores(answers: Answers, is_swapped: NDArray[np.bool_]) -> Mapping[str, Scores]:
    """What each method finds, by its name."""
    judged = Judged(probabilities_of(answers.logits, multi_label=False), answers.labels[:, 0].astype(np.int64))
    is_wrong = is_swapped[answers.indices]
    listed = suspects(judged).rows
    margins = judged.label_probability[listed] - judged.confidence[listed]
    methods = {
        "report": listed,
        "ordered by margin": listed[np.argsort(margins, kind="stable")],
        "pruned by noise rate": pruned_by_noise_rate(judged),
    }
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        print("cleanlab is not installed and left out", flush=True)
    else:
        ranked = find_label_issues(judged.labels, judged.probabilities, return_indices_ranked_by="self_confidence")
        methods["cleanlab"] = np.asarray(ranked, np.int64)
    return {name: score(rows, is_wrong) for name, rows in methods.items()}


def pruned_by_noise_rate(judged: Judged) -> NDArray[np.int64]:
    """(M,) the images that the paper's pruning suspects, those with the least probable label first.

    Of each label and other class it takes the estimated number of images, those in which the other class leads by most.
    """
    chosen = np.zeros(len(judged.labels), np.bool_)
    estimated = estimated_errors(judged)
    for label, other in np.argwhere(estimated):
        rows = np.flatnonzero(judged.labels == label)
        leads = judged.probabilities[rows, other] - judged.probabilities[rows, label]
        chosen[rows[np.argsort(-leads, kind="stable")[: estimated[label, other]]]] = True
    rows = np.flatnonzero(chosen & ~judged.is_right)
    return rows[np.argsort(judged.label_probability[rows], kind="stable")]


def score(rows: NDArray[np.int64], is_wrong: NDArray[np.bool_]) -> Scores:
    """Precision and recall of a ranked list, and its recall at the longest beginning of precision 50 % or more."""
    hits = np.cumsum(is_wrong[rows])
    good = np.flatnonzero(hits >= 0.5 * np.arange(1, len(rows) + 1))
    wrong = max(int(is_wrong.sum()), 1)
    return {
        "listed": float(len(rows)),
        "precision": float(hits[-1]) / len(rows) if len(rows) else 0.0,
        "recall": float(hits[-1]) / wrong if len(rows) else 0.0,
        "recall_at_half": float(hits[good[-1]]) / wrong if len(good) else 0.0,
    }


if __name__ == "__main__":
    main()
