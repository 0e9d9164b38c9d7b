"""The report as a whole: its page, its pictures, its tables."""

import base64
import csv
import json
import re
import shutil
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from imclass import artifact
from imclass.reports import report_model, report_run
from imclass.reports.cross_validation import assign_folds, averaged, cross_validated
from imclass.reports.findings import find
from imclass.reports.making import make_report
from imclass.reports.subject import Computing, Subject, open_run
from imclass.training import train
from imclass.training.answers import Answers
from tests.conftest import SaveModel
from tests.pictures import write_class_folders
from tests.reports.conftest import SETTINGS

CPU = Computing(torch.device("cpu"), 1)
PICTURES = {
    "accuracy.png",
    "confusion.png",
    "images_per_second.png",
    "learning_rate.png",
    "loss.png",
    "reliability.png",
    "reliability_calibrated.png",
    "thresholds.png",
}


class Page(HTMLParser):
    """Collects what a page says, loads and runs, and checks that its elements are closed in order."""

    VOID = ("meta", "link", "input", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.said: list[str] = []
        self.anchors: set[str] = set()
        self.targets: list[str] = []
        self.pictures: list[str] = []
        self.styled = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.styled += "style" in values
        self.anchors |= {values["id"]} if values.get("id") else set()
        self.targets += [values["href"] or ""] if tag == "a" else []
        self.pictures += [values["src"] or ""] if tag == "img" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.styled += "style" in dict(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)


@pytest.fixture(scope="session")
def reported(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with its report; tests must not change it."""
    folder = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("reported") / "run"))
    assert report_run(folder, device="cpu", threads=1) == folder / "report.html"
    return folder


def test_the_page_is_whole_and_loads_nothing(reported: Path) -> None:
    text = (reported / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert page.styled == 0, "the policy forbids style attributes"
    assert {target.removeprefix("#") for target in page.targets} <= page.anchors
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert "@import" not in text
    policy = r"default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'; img-src data:"
    assert re.search(policy, unescape(text))
    for picture in page.pictures:
        kind, data = picture.split(",", 1)
        assert kind == "data:image/jpeg;base64"
        assert cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR) is not None


def test_the_page_says_what_was_measured(reported: Path) -> None:
    said = " ".join(" ".join(Page((reported / "report.html").read_text()).said).split())
    best = artifact.read_description(reported / "model.tar.gz").metrics["validation_accuracy"]
    assert f"{100 * best:.4g}% accuracy" in said
    assert "18 images measured" in said
    assert "of these unreadable 1" in said
    assert "1 validation images are in the training set too" in said
    assert "12 to 12" in said
    assert "imclass train" in said
    assert "--set learning_rate=" in said


def test_pictures_and_tables_lie_beside_the_page(reported: Path) -> None:
    files = {path.name for path in (reported / "report").iterdir()}
    assert files == PICTURES | {"label_errors.csv", "duplicates.csv"}
    for name in PICTURES:
        picture = cv2.imread(str(reported / "report" / name))
        assert picture is not None
        assert min(picture.shape[:2]) > 300
        assert picture.std() > 5, "something is drawn"
    with (reported / "report" / "duplicates.csv").open() as file:
        assert list(csv.DictReader(file)) == [
            {"training": "bars/003.png", "validation": "rings/seen.png", "same_bytes": "True", "labels_differ": "True"}
        ]
    with (reported / "report" / "label_errors.csv").open() as file:
        for row in csv.DictReader(file):
            assert row["set"] in ("training", "validation")
            assert row["label"] != row["rather"]
            assert 0 <= float(row["label_probability"]) <= 0.5


def test_the_matrix_of_the_page_counts_every_image(reported: Path) -> None:
    text = (reported / "report.html").read_text()
    matrix = json.loads(re.search(r'id="matrix-data">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    assert sorted(matrix["order"]) == [0, 1, 2]
    assert sum(count for _, _, count in matrix["cells"]) == 18
    assert matrix["totals"] == [6, 5, 7]


def test_any_name_is_text_on_the_page(finished_run: Path, tmp_path: Path) -> None:
    subject = open_run(finished_run, CPU)
    names = ("</script><script>alert(1)</script>", "\"'&<b>", "犬 \u2028")
    renamed = subject.description.model_copy(update={"class_names": names})
    make_report(Subject(**{**vars(subject), "description": renamed}), tmp_path)
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert "alert(1)</script>" not in text
    assert any(names[1] in said for said in page.said)


def test_a_model_on_other_images(save_model: SaveModel, photos: Path, tmp_path: Path) -> None:
    model = save_model(class_names=("bars", "dots", "rings"))
    page = report_model(model, photos / "train", tmp_path / "made" / "here", device="cpu", threads=1)
    text = page.read_text()
    assert page == tmp_path / "made" / "here" / "report.html"
    assert "36 in " in text
    assert 'id="training"' not in text, "nothing is known of its run"
    assert 'id="duplicates"' not in text
    assert "The same again" not in text


def multi_label_list(folder: Path) -> Path:
    """A list of few photos with three labels each."""
    write_class_folders(folder, 4)
    lines = []
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        labels = "\t".join(f"{(number >> bit) % 2}.0" for bit in range(3))
        lines.append(f"{number}\t{labels}\t{path.relative_to(folder)}\n")
    (folder / "all.lst").write_text("".join(lines))
    return folder / "all.lst"


@pytest.fixture(scope="session")
def multi_label_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("multi_label")
    settings = {**SETTINGS, "epochs": 1, "mini_batch_size": 4, "multi_label": 1}
    photos = multi_label_list(folder / "photos")
    train(photos, output=folder / "run", hyperparameters=settings, device="cpu", threads=1, quiet=True)
    return folder / "run"


def test_a_multi_label_model(save_model: SaveModel, tmp_path: Path) -> None:
    model = save_model(multi_label=True)
    page = report_model(model, multi_label_list(tmp_path / "photos"), tmp_path / "out", device="cpu", threads=1)
    document = Page(page.read_text())
    said = " ".join(" ".join(document.said).split())
    assert document.open == []
    assert "mean average precision" in said
    assert "Precision and recall of classes" in said
    assert "is in the labels and was not found" in said or "was found and is not in the labels" in said
    assert 'id="confusion"' not in page.read_text()
    assert "such decisions on the validation images" in said
    with (tmp_path / "out" / "report" / "label_errors.csv").open() as file:
        for row in csv.DictReader(file):
            assert row["label"].removeprefix("no ") == row["rather"].removeprefix("no ")
            assert row["label"].startswith("no ") != row["rather"].startswith("no ")
            assert 0 <= float(row["label_probability"]) <= 0.5
    assert (tmp_path / "out" / "report" / "precision_recall.png").exists()


def test_the_training_labels_of_a_multi_label_run_are_looked_at(multi_label_run: Path) -> None:
    subject = open_run(multi_label_run, CPU)
    assert subject.train_answers is not None
    truths = subject.train_answers.labels
    logits = np.where(truths > 0.5, 5.0, -5.0).astype(np.float32)
    logits[2] *= 2  # surer than of most others
    wrong = truths.copy()
    wrong[2, 1] = 1 - wrong[2, 1]
    findings = find(replace(subject, train_answers=replace(subject.train_answers, logits=logits, labels=wrong)))
    assert findings.training_label_errors is not None
    (found,) = findings.training_label_errors
    name = subject.class_names[1]
    assert (found.row, {found.label, found.rather}) == (2, {name, f"no {name}"})
    assert found.label == (name if wrong[2, 1] else f"no {name}")


def test_a_page_of_257_classes_and_30000_images_is_small(save_model: SaveModel, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    names = tuple(f"{number:03d}.a-rather-long-name-of-a-class" for number in range(257))
    description, network = artifact.load(save_model(num_classes=257, class_names=names))
    labels = generator.integers(0, 257, 30_000)
    logits = generator.normal(0, 1, (30_000, 257)).astype(np.float32)
    logits[np.arange(30_000), labels] += 4
    answers = Answers(np.arange(30_000), logits, labels[:, None].astype(np.float32))
    subject = Subject("model", description, network, CPU, answers, validation=None)
    make_report(subject, tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 1_500_000  # the pictures, at most 300 of 10 kB, come on top


def test_cross_validation_judges_every_image_by_another_network(finished_run: Path) -> None:
    alone = open_run(finished_run, CPU)
    subject = cross_validated(alone, 2)
    assert subject.folds == 2
    assert alone.train_answers is not None
    assert subject.train_answers is not None
    assert subject.train is not None
    assert subject.train_answers.indices.tolist() == list(range(36))
    assert np.array_equal(subject.train_answers.labels, subject.train.labels)
    others = 2 * subject.train_answers.logits - alone.train_answers.logits  # the networks of the folds by themselves
    assert np.isfinite(others).all()
    assert not np.allclose(others, alone.train_answers.logits, atol=1e-3)


def test_two_networks_answer_as_one_with_the_mean_of_their_logits() -> None:
    indices, labels = np.arange(2), np.zeros((2, 1), np.float32)
    own = Answers(indices, np.array([[1, 2], [3, 4]], np.float32), labels)
    others = Answers(indices, np.array([[3, 0], [3, -4]], np.float32), labels)
    assert averaged(own, others).logits.tolist() == [[2, 1], [3, 0]]
    with pytest.raises(AssertionError):
        averaged(own, Answers(indices + 1, others.logits, labels))


def test_folds_are_even_in_every_class() -> None:
    labels = np.repeat([0, 1, 2], [9, 6, 4]).astype(np.float32)[:, None]
    fold_of = assign_folds(labels, 3, seed=0)
    counts = [[int((fold_of[labels[:, 0] == k] == fold).sum()) for fold in range(3)] for k in range(3)]
    assert counts[:2] == [[3, 3, 3], [2, 2, 2]]
    assert sorted(counts[2]) == [1, 1, 2]
    assert np.array_equal(fold_of, assign_folds(labels, 3, seed=0))
    assert not np.array_equal(fold_of, assign_folds(labels, 3, seed=1))
