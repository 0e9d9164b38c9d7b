"""Class names that the user gives beside the data."""

import json
from pathlib import Path

import numpy as np
import pytest

from imclass import artifact
from imclass.errors import ArtifactError, DataError
from imclass.training import train
from tests.pictures import CLASSES

QUICK = {"image_shape": "3,16,16", "num_layers": 8, "epochs": 1, "mini_batch_size": 12}
NAMES = ("stripes", "points", "circles")


@pytest.fixture
def labelled_list(photos: Path, tmp_path: Path) -> Path:
    """The photos as a .lst, which has class numbers and no names."""
    paths = sorted(photos.rglob("*.png"))
    rows = [f"{row}\t{CLASSES.index(path.parent.name)}\t{path}\n" for row, path in enumerate(paths)]
    path = tmp_path / "photos.lst"
    path.write_text("".join(rows))
    return path


def quick(source: Path | None, output: Path, **arguments: object):
    settings = {**QUICK, **arguments.pop("hyperparameters", {})}
    return train(source, output=output, hyperparameters=settings, device="cpu", quiet=True, **arguments)


def test_they_are_stored_in_the_model(labelled_list: Path, tmp_path: Path) -> None:
    run = quick(labelled_list, tmp_path / "a", class_names=[*NAMES, "never seen"])
    description = artifact.read_description(run.model_path)
    assert description.class_names == (*NAMES, "never seen")
    assert description.num_classes == 4
    assert artifact.read_description(quick(labelled_list, tmp_path / "b").model_path).class_names is None


def test_a_model_without_names_gets_them_and_its_own_count(labelled_list: Path, tmp_path: Path) -> None:
    nameless = quick(labelled_list, tmp_path / "a").model_path
    named = quick(labelled_list, tmp_path / "b", model=nameless, class_names=NAMES).model_path
    assert artifact.read_description(named).class_names == NAMES
    again = quick(labelled_list, tmp_path / "c", model=named, class_names=NAMES).model_path
    assert artifact.read_description(again).class_names == NAMES
    with pytest.raises(DataError, match="class 0: 'points', in the model 'stripes'"):
        quick(labelled_list, tmp_path / "d", model=named, class_names=["points", "stripes", "circles"])
    with pytest.raises(ArtifactError, match="4 class names, but the model has 3 classes"):
        quick(labelled_list, tmp_path / "e", model=nameless, class_names=[*NAMES, "more"])


def test_channels_take_them_too(photos: Path, labelled_list: Path, tmp_path: Path) -> None:
    channels = {"train": photos, "train_lst": labelled_list, "validation": photos, "validation_lst": labelled_list}
    settings = {"num_training_samples": 72, "num_classes": "3"}
    run = quick(None, tmp_path / "a", channels=channels, class_names=NAMES, hyperparameters=settings)
    assert artifact.read_description(run.model_path).class_names == NAMES


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["stripes", "points"], "the labels show 3 classes, but there are 2 class names"),
        (["stripes", "points", "stripes"], "several classes have the same name:\n  - stripes"),
    ],
)
def test_mistakes_are_told(labelled_list: Path, tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        quick(labelled_list, tmp_path / "a", class_names=names)


def test_num_classes_must_be_their_number(labelled_list: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="3 class names, but num_classes is 5"):
        quick(labelled_list, tmp_path / "a", class_names=NAMES, hyperparameters={"num_classes": "5"})
    quick(labelled_list, tmp_path / "b", class_names=NAMES, hyperparameters={"num_classes": 3.0})


def test_folders_must_be_among_them(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"folders that are not among the known classes(.|\n)*'bars'"):
        quick(photos, tmp_path / "a", class_names=NAMES)
    run = quick(photos, tmp_path / "b", class_names=["rings", "dots", "bars", "new"])
    assert artifact.read_description(run.model_path).class_names == ("rings", "dots", "bars", "new")


def test_names_in_a_manifest_must_agree(photos: Path, tmp_path: Path) -> None:
    rows = [
        {"source-ref": str(path), "class": str(number), "class-metadata": {"class-name": name}}
        for number, name in enumerate(CLASSES)
        for path in sorted((photos / name).iterdir())
    ]
    manifest = tmp_path / "photos.manifest"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = quick(manifest, tmp_path / "a", class_names=CLASSES)
    assert artifact.read_description(run.model_path).class_names == CLASSES
    with pytest.raises(DataError, match="the class names differ from the known ones"):
        quick(manifest, tmp_path / "b", class_names=NAMES)


def test_several_labels_an_image_need_a_name_for_each_column(photos: Path, tmp_path: Path) -> None:
    columns = np.eye(3, dtype=int)
    rows = [
        "\t".join(map(str, [row, *columns[CLASSES.index(path.parent.name)], path])) + "\n"
        for row, path in enumerate(sorted(photos.rglob("*.png")))
    ]
    several = tmp_path / "several.lst"
    several.write_text("".join(rows))
    run = quick(several, tmp_path / "a", class_names=NAMES, hyperparameters={"multi_label": 1})
    assert artifact.read_description(run.model_path).class_names == NAMES
    for names in (NAMES[:2], (*NAMES, "more")):
        with pytest.raises(DataError):
            quick(several, tmp_path / "b", class_names=names, hyperparameters={"multi_label": 1})
