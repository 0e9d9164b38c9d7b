"""The training examples, each on a small stand-in for its data."""

import json
import re
import runpy
from pathlib import Path

import cv2
import pytest

import imclass
from imclass.artifact import read_description
from imclass.data import RecordWriter, open_source, pack_image
from imclass.hyperparameters import parse, warnings_of
from tests.documentation.pages import DOCS
from tests.examples.conftest import EXAMPLES, SMALL, RunExample
from tests.pictures import CLASSES, picture, write_class_folders


def write_records(path: Path, folder: Path) -> None:
    source = open_source(folder)
    with RecordWriter(path) as writer:
        for index in range(len(source)):
            writer.write(index, pack_image(float(source.labels[index, 0]), source[index].image, index))


def accuracies(printed: str) -> list[float]:
    return [float(found) for found in re.findall(r"accuracy +([\d.]+)%", printed)]


def test_full_training(tmp_path: Path, run_example: RunExample) -> None:
    for part, per_class, first in (("train", 16, 0), ("val", 6, 50)):
        images = write_class_folders(tmp_path / part, per_class, first=first)
        write_records(tmp_path / f"caltech-256-60-{part}.rec", images)
    printed = run_example(
        "caltech256_full_training.py",
        *(tmp_path, tmp_path / "run", *SMALL, "--set", "epochs=2", "--set", "lr_scheduler_step=1"),
        *("--set", "num_classes=3", "--set", "num_training_samples=48", "--set", "top_k=2"),
    )
    description = read_description(tmp_path / "run" / "model.tar.gz")
    assert (description.num_classes, description.image_shape) == (3, (3, 16, 16))
    assert description.hyperparameters["recipe"] == "sagemaker"
    assert "epoch 1 of 2" in printed or "epoch 2 of 2" in printed
    assert "among the first 2" in printed


@pytest.mark.parametrize(
    "name", ["caltech256_full_training.py", "lst_format.py", "multi_label.py", "transfer_learning.py"]
)
def test_hyperparameters_are_accepted_as_they_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    given = runpy.run_path(str(EXAMPLES / name))["HYPERPARAMETERS"]
    settings = parse({"num_classes": "257", "num_training_samples": "15420", **given})
    assert warnings_of(settings) == []


def test_transfer_learning(tmp_path: Path, weights: Path, run_example: RunExample) -> None:
    images = write_class_folders(tmp_path / "images", 8, side=48)
    changes = ("--set", "image_shape=3,40,40", "--set", "epochs=2", "--set", "mini_batch_size=6")
    printed = run_example("transfer_learning.py", images, tmp_path / "run", "--weights", weights, *changes)
    description = read_description(tmp_path / "run" / "model.tar.gz")
    assert (description.network, description.class_names) == ("resnet_v1", CLASSES)
    assert "Loaded 120 tensors" in printed
    assert len(accuracies(printed)) == 2


def test_incremental_training(tmp_path: Path, run_example: RunExample) -> None:
    for number, folder in enumerate(("first", "new", "validation")):
        write_class_folders(tmp_path / folder, 12, first=100 * number)
    printed = run_example("incremental_training.py", tmp_path, tmp_path / "run", *SMALL, "--set", "epochs=2")
    before, after = (read_description(tmp_path / "run" / name / "model.tar.gz") for name in ("first", "second"))
    samples = [model.hyperparameters["num_training_samples"] for model in (before, after)]
    assert samples == ["36", "72"]
    first_rate, second_rate = (float(model.hyperparameters["learning_rate"]) for model in (before, after))
    assert second_rate < first_rate
    assert f"Going on from {tmp_path / 'run' / 'first' / 'model.tar.gz'}" in printed
    assert len(accuracies(printed)) == 2


def test_lists(tmp_path: Path, run_example: RunExample) -> None:
    images = write_class_folders(tmp_path / "images", 10)
    changes = (*SMALL, "--set", "use_pretrained_model=0", "--set", "resize=16", "--set", "epochs=1")
    printed = run_example("lst_format.py", images, tmp_path / "run", "--per-class", 8, *changes)
    rows = {
        part: [line.split("\t") for line in (tmp_path / "run" / f"{part}.lst").read_text().splitlines()]
        for part in ("train", "validation")
    }
    assert [len(rows["train"]), len(rows["validation"])] == [24, 6]
    assert not {row[2] for row in rows["train"]} & {row[2] for row in rows["validation"]}
    assert all(CLASSES[int(float(label))] == path.split("/")[0] for _, label, path in rows["train"])
    assert read_description(tmp_path / "run" / "model" / "model.tar.gz").class_names == CLASSES
    assert len(accuracies(printed)) == 1


def test_several_labels(tmp_path: Path, run_example: RunExample) -> None:
    annotations = write_coco(tmp_path, 30)
    changes = (*SMALL, "--set", "use_pretrained_model=0", "--set", "resize=16", "--set", "epochs=2")
    classes = ("--classes", "dots,rings", "--annotations", annotations.name)
    printed = run_example("multi_label.py", tmp_path, tmp_path / "run", *classes, *changes)
    model = imclass.load(tmp_path / "run" / "model" / "model.tar.gz", device="cpu")
    assert model.description.multi_label
    assert list(model.class_names) == ["dots", "rings"]
    lists = [(tmp_path / "run" / f"{part}.lst").read_text() for part in ("train", "validation")]
    rows = [line.split("\t") for content in lists for line in content.splitlines()]
    labels = {path: columns for _, *columns, path in rows}
    assert labels == {
        "000.png": ["1.000000", "1.000000"],
        **{f"{number:03d}.png": ["1.000000", "0.000000"] for number in range(1, 30, 3)},
        **{f"{number:03d}.png": ["0.000000", "1.000000"] for number in range(2, 30, 3)},
    }
    assert "mean average precision" in printed
    assert len(re.findall(r"^\d{3}\.png: ", printed, re.MULTILINE)) == 5


def write_coco(folder: Path, count: int) -> Path:
    """Pictures of three kinds in turn, and their annotations as COCO has them; the first shows two kinds."""
    (folder / "val2017").mkdir()
    (folder / "annotations").mkdir()
    for number in range(count):
        assert cv2.imwrite(str(folder / "val2017" / f"{number:03d}.png"), picture(number % 3, number))
    shown = [(number, number % 3) for number in range(count)] + [(0, 1), (0, 2), (1, 1)]
    path = folder / "annotations" / "instances.json"
    content = {
        "categories": [{"id": 10 * kind, "name": name} for kind, name in enumerate(CLASSES)],
        "images": [{"id": 1000 + number, "file_name": f"{number:03d}.png"} for number in range(count)],
        "annotations": [{"image_id": 1000 + number, "category_id": 10 * kind} for number, kind in shown],
    }
    path.write_text(json.dumps(content))
    return path


def test_a_change_must_be_a_name_and_a_value(run_example: RunExample, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_example("transfer_learning.py", "photos", "run", "--set", "epochs")
    assert "'epochs' is not NAME=VALUE" in capsys.readouterr().err


def test_what_users_can_put_right_is_said_in_a_sentence(tmp_path: Path, run_example: RunExample) -> None:
    with pytest.raises(SystemExit, match=r"transfer_learning\.py: .*there is no such file or folder"):
        run_example("transfer_learning.py", tmp_path / "none", tmp_path / "run")
    with pytest.raises(SystemExit, match=r"multi_label\.py: .*No such file or directory: .*instances_val2017\.json"):
        run_example("multi_label.py", tmp_path / "none", tmp_path / "run")


def test_the_index_names_every_example() -> None:
    index = (DOCS / "README.md").read_text()
    programs = [path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".sh") and path.name != "script.py"]
    assert len(programs) == 8
    assert [name for name in programs if f"examples/{name}" not in index] == []
