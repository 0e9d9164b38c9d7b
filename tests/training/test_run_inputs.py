"""What runs do with what they are given: unreadable images, class numbers of a model, options that do not fit."""

import json
import shutil
from pathlib import Path

import pytest

from imclass import artifact
from imclass.errors import DataError, UserError
from imclass.training import train
from imclass.training.model_evaluation import evaluate_model
from tests.pictures import CLASSES, write_class_folders
from tests.training.test_run import QUICK


@pytest.fixture
def spoiled(tmp_path: Path) -> Path:
    folder = write_class_folders(tmp_path / "spoiled", 20)
    (folder / "dots" / "003.png").write_bytes(b"this is no picture")
    (folder / "rings" / "005.png").write_bytes(b"")
    return folder


def test_bad_images_are_counted_named_and_left_out(spoiled: Path, more_photos: Path, tmp_path: Path) -> None:
    run = train(
        spoiled,
        validation=more_photos,
        output=tmp_path / "out",
        hyperparameters={**QUICK, "bad_image_limit": 0.05},
        device="cpu",
        threads=2,
        quiet=True,
    )
    bad = [json.loads(line) for line in (tmp_path / "out/bad_images.jsonl").read_text().splitlines()]
    assert sorted(Path(entry["key"]).name for entry in bad) == ["003.png", "005.png"]
    assert all(entry["reason"] for entry in bad)
    assert run.metrics[-1]["bad_images"] == 2


@pytest.mark.parametrize("limit", [0, 0.01])
def test_too_many_bad_images_end_the_run(spoiled: Path, more_photos: Path, tmp_path: Path, limit: float) -> None:
    settings = {**QUICK, "bad_image_limit": limit}
    with pytest.raises(DataError, match=r"00[35]\.png"):
        train(
            spoiled, validation=more_photos, output=tmp_path / "out", hyperparameters=settings, device="cpu", quiet=True
        )
    assert (tmp_path / "out/bad_images.jsonl").read_text() != ""


def test_a_model_keeps_its_class_numbers_on_other_folders(photos: Path, tmp_path: Path) -> None:
    first = train(photos, output=tmp_path / "a", hyperparameters=QUICK, device="cpu", threads=1, quiet=True)
    two = write_class_folders(tmp_path / "two", 12)
    shutil.rmtree(two / "bars")
    settings = {"epochs": 1, "mini_batch_size": 4, "learning_rate": 0}
    second = train(
        two, output=tmp_path / "b", model=first.model_path, hyperparameters=settings, device="cpu", quiet=True
    )
    assert artifact.load(second.model_path)[0].class_names == CLASSES
    report = evaluate_model(second.model_path, two, device="cpu", threads=1)
    assert [entry.count for entry in report.classes] == [0, 12, 12]
    (two / "dots").rename(two / "stars")
    with pytest.raises(DataError, match="stars"):
        train(two, output=tmp_path / "c", model=first.model_path, hyperparameters=settings, device="cpu", quiet=True)


def test_resuming_people_may_ask_for_more_epochs(photos: Path, tmp_path: Path) -> None:
    def go(epochs: int, **more):
        settings = {"epochs": epochs, "num_layers": 8}
        return train(photos, output=tmp_path, hyperparameters=settings, device="cpu", threads=1, quiet=True, **more)

    first = go(1)
    second = go(3, resume=True)
    assert second.metrics[:1] == first.metrics
    assert len(second.metrics) == 3
    assert second.hyperparameters.learning_rate == first.hyperparameters.learning_rate


def test_enlarged_images_are_counted_in_one_warning(photos: Path, tmp_path: Path, capsys) -> None:
    settings = {**QUICK, "image_shape": "3,24,24"}
    train(photos, output=tmp_path, hyperparameters=settings, device="cpu", threads=1)
    lines = [line for line in capsys.readouterr().out.splitlines() if "were enlarged" in line]
    assert len(lines) == 2, "one for each data set"
    assert "14 of 14 images are smaller than image_shape" in lines[1]


def test_bad_images_of_a_resumed_run_stay_listed(spoiled: Path, more_photos: Path, tmp_path: Path) -> None:
    settings = {**QUICK, "bad_image_limit": 0.05}
    for _ in range(2):
        train(
            spoiled, validation=more_photos, output=tmp_path / "out", hyperparameters=settings, device="cpu",
            resume=True, quiet=True,
        )  # fmt: skip
    assert len((tmp_path / "out/bad_images.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("recipe", ["Modern", '"modern"', None])
def test_the_recipe_may_be_written_in_any_way(photos: Path, tmp_path: Path, recipe: str | None) -> None:
    settings = {"recipe": recipe, "epochs": 1, "num_layers": 8}
    run = train(photos, output=tmp_path, hyperparameters=settings, device="cpu", threads=1, quiet=True)
    assert run.hyperparameters.recipe == "modern"
    assert run.hyperparameters.image_shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threads": -1}, "no number of threads"),
        ({"output": ""}, "output folder is empty"),
        ({"validation": "x", "validation_split": 0.1}, "validation_split is for data without"),
        ({"content_types": {"train": "image/png"}}, "content_types belong to channels"),
        ({"input_data_config": {"train": {}}}, "input_data_config belongs to channels"),
        ({"image_root": "."}, "an image root belongs to a list"),
        ({"attribute_names": ("a", "b")}, "attribute names belong to a manifest"),
        ({"hyperparameters": {"image_shape": "3,99999,9"}}, "image_shape"),
    ],
    ids=str,
)
def test_what_would_be_ignored_is_refused(photos: Path, tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train(photos, **{"output": tmp_path / "out", "device": "cpu", "quiet": True, **arguments})


def test_hardware_decoding_on_a_cpu_is_refused_before_anything_is_written(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(UserError, match="decoder=hardware is for a GPU"):
        train(photos, output=output, hyperparameters={"decoder": "hardware"}, device="cpu", quiet=True)
    assert not output.exists()


def test_channels_refuse_what_belongs_to_sources(photos: Path, tmp_path: Path) -> None:
    channels = {"train": photos, "validation": photos}
    with pytest.raises(UserError, match=r"image_root belongs to a source(.|\n)*validation_split is for"):
        train(channels=channels, output=tmp_path, image_root=photos, validation_split=0.2, device="cpu", quiet=True)


def test_a_run_goes_on_from_one_model(photos: Path, tmp_path: Path) -> None:
    channels = {"train": photos, "validation": photos, "model": tmp_path}
    with pytest.raises(UserError, match="a model and a model channel"):
        train(channels=channels, model=tmp_path / "model.tar.gz", output=tmp_path / "run", device="cpu", quiet=True)


def test_the_recipe_fits_a_small_channel(photos: Path, tmp_path: Path) -> None:
    settings = {"recipe": "modern", "image_shape": "3,16,16", "num_layers": 20, "epochs": 1}
    run = train(
        channels={"train": photos, "validation": photos}, output=tmp_path, hyperparameters=settings, device="cpu",
        quiet=True,
    )  # fmt: skip
    assert run.hyperparameters.mini_batch_size == 72


def test_empty_classes_are_named(photos: Path, tmp_path: Path, capsys) -> None:
    train(photos, output=tmp_path, hyperparameters={**QUICK, "num_classes": 5, "epochs": 1}, device="cpu")
    assert "2 of 5 classes have no training image" in capsys.readouterr().out
