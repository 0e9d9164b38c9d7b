"""Whole runs on small real pictures."""

import json
import math
import re
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from imclass import artifact
from imclass.data import open_source
from imclass.device import multiplies_bfloat16
from imclass.errors import ArtifactError, DataError, HyperparameterError, UserError
from imclass.training import train
from imclass.training.loop import NonFiniteLossError
from imclass.training.model_evaluation import evaluate_model
from tests.pictures import CLASSES, picture

QUICK = {
    "recipe": "sagemaker",
    "image_shape": "3,16,16",
    "num_layers": 8,
    "epochs": 2,
    "mini_batch_size": 12,
    "learning_rate": 0.05,
    "seed": 3,
}


def weights(model: Path) -> dict[str, torch.Tensor]:
    return artifact.load(model)[1].state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], tolerance: float = 0.0) -> bool:
    return a.keys() == b.keys() and all(torch.allclose(a[k].float(), b[k].float(), rtol=0, atol=tolerance) for k in a)


def test_a_run_leaves_what_it_promises(photos: Path, more_photos: Path, tmp_path: Path, capsys) -> None:
    run = train(
        photos,
        validation=more_photos,
        output=tmp_path / "out",
        hyperparameters={**QUICK, "epochs": 8, "num_layers": 20, "mini_batch_size": 3, "top_k": 2},
        device="cpu",
        threads=1,
    )
    assert not run.interrupted
    assert run.best["validation_accuracy"] >= 0.9, "the pictures are easy"
    lines = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    assert lines == run.metrics
    assert [line["epoch"] for line in lines] == list(range(8))
    assert run.best == max(lines, key=lambda line: line["validation_accuracy"])
    for name in (
        "learning_rate",
        "train_loss",
        "train_accuracy",
        "train_top_k_accuracy",
        "images_per_second",
        "seconds",
    ):
        assert all(math.isfinite(line[name]) for line in lines), name
    assert (tmp_path / "out/bad_images.jsonl").read_text() == ""
    assert list((tmp_path / "out/tensorboard").glob("events.out.tfevents*"))

    description, _ = artifact.load(run.model_path)
    assert description.class_names == CLASSES
    assert description.network == "resnet_v2"
    assert description.metrics["validation_accuracy"] == run.best["validation_accuracy"]
    assert description.epoch == run.best["epoch"] + 1
    with tarfile.open(run.model_path) as archive:
        assert sorted(archive.getnames()) == ["model.json", "model.safetensors"]

    report = evaluate_model(run.model_path, more_photos, device="cpu", threads=1)
    assert report.accuracy == run.best["validation_accuracy"], "what is saved is what was validated"
    assert report.loss == pytest.approx(run.best["validation_loss"], rel=1e-5)

    printed = capsys.readouterr().out
    check_log(printed, epochs=8)


def check_log(printed: str, epochs: int) -> None:
    """The original's lines, in the original's order, as the expressions written for it expect them."""
    assert re.search(r"\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d INFO \d+\] Performing random weight initialization", printed)
    assert re.search(
        r"Epoch\[0\] Batch \[20\]\tSpeed: \d+\.\d{3} samples/sec\taccuracy=\d\.\d{6}\ttop_k_accuracy_2=\d\.\d{6}",
        printed,
    )
    assert len(re.findall(r"Epoch\[\d+\] Train-accuracy=([0-9.]+)", printed)) == epochs
    assert len(re.findall(r"Epoch\[\d+\] Validation-accuracy=([0-9.]+)", printed)) == epochs
    names = ["Train-accuracy=", "Train-top_k_accuracy_2=", "Time cost=", "Validation-accuracy="]
    of_first_epoch = [line for line in printed.splitlines() if "Epoch[0]" in line and "Batch" not in line]
    assert [any(name in line for line in of_first_epoch) for name in names] == [True] * 4
    assert [next(n for n in names if n in line) for line in of_first_epoch] == names
    assert "Storing the best model with validation accuracy: " in printed


def test_the_same_seed_gives_the_same_weights_whatever_the_threads(photos: Path, tmp_path: Path) -> None:
    settings = {**QUICK, "augmentation_type": "crop_color_transform", "resize": 18}
    for name, threads in (("a", 1), ("b", 3)):
        train(photos, output=tmp_path / name, hyperparameters=settings, device="cpu", threads=threads, quiet=True)
    assert same(weights(tmp_path / "a/model.tar.gz"), weights(tmp_path / "b/model.tar.gz"))


def test_an_output_with_a_run_in_it_is_refused_and_resumed(photos: Path, tmp_path: Path) -> None:
    def go(**more):
        return train(photos, output=tmp_path / "out", device="cpu", threads=1, quiet=True, **more)

    first = go(hyperparameters=QUICK)
    with pytest.raises(UserError, match="holds a run already"):
        go(hyperparameters=QUICK)
    assert go(hyperparameters=QUICK, resume=True).metrics == first.metrics
    with pytest.raises(UserError, match=r"learning_rate: 0\.05 before, 0\.01 now"):
        go(hyperparameters={**QUICK, "learning_rate": 0.01}, resume=True)
    more = go(hyperparameters={**QUICK, "epochs": 3}, resume=True)
    assert more.metrics[:2] == first.metrics
    assert len(more.metrics) == 3


def test_resume_without_a_checkpoint_starts_afresh(photos: Path, tmp_path: Path) -> None:
    run = train(photos, output=tmp_path, hyperparameters=QUICK, resume=True, device="cpu", threads=1, quiet=True)
    assert len(run.metrics) == 2


def test_people_get_choices_made_from_the_data(photos: Path, tmp_path: Path, capsys) -> None:
    run = train(photos, output=tmp_path, hyperparameters={"epochs": 1}, device="cpu", threads=1)
    chosen = run.hyperparameters
    assert (chosen.recipe, chosen.image_shape, chosen.num_layers, chosen.num_classes) == ("modern", (3, 16, 16), 20, 3)
    assert chosen.num_training_samples == 58
    assert "Chosen from the data: image_shape=3,16,16" in capsys.readouterr().out


def test_channels_start_from_the_originals_defaults(photos: Path, more_photos: Path, tmp_path: Path) -> None:
    settings = {key: value for key, value in QUICK.items() if key != "recipe"}
    run = train(
        channels={"train": photos, "validation": more_photos},
        output=tmp_path,
        hyperparameters={**settings, "epochs": 1},
        device="cpu",
        threads=1,
        quiet=True,
    )
    assert run.hyperparameters.optimizer == "sgd"
    assert run.hyperparameters.recipe == "sagemaker"
    with pytest.raises(DataError, match="no validation channel"):
        train(channels={"train": photos}, output=tmp_path / "b", hyperparameters=settings, device="cpu", quiet=True)


def test_checkpoint_frequency_keeps_every_kth_epoch(photos: Path, tmp_path: Path) -> None:
    settings = {**QUICK, "epochs": 5, "checkpoint_frequency": 2}
    run = train(photos, output=tmp_path, hyperparameters=settings, device="cpu", threads=1, quiet=True)
    with tarfile.open(run.model_path) as archive:
        names = [name for name in archive.getnames() if "epoch" in name]
    assert [Path(name).name for name in names] == ["epoch-0002.safetensors", "epoch-0004.safetensors"]


def test_incremental_training_starts_from_the_model(photos: Path, tmp_path: Path) -> None:
    first = train(photos, output=tmp_path / "a", hyperparameters=QUICK, device="cpu", threads=1, quiet=True)
    second = train(
        photos,
        output=tmp_path / "b",
        model=first.model_path,
        hyperparameters={**QUICK, "epochs": 1, "learning_rate": 0},
        device="cpu",
        threads=1,
        quiet=True,
    )
    before, after = weights(first.model_path), weights(second.model_path)
    assert torch.equal(before["conv0.weight"], after["conv0.weight"])
    with pytest.raises(ArtifactError) as error:
        train(
            photos,
            output=tmp_path / "c",
            model=first.model_path,
            hyperparameters={**QUICK, "num_layers": 14, "image_shape": "3,20,20", "num_classes": 4},
            device="cpu",
            quiet=True,
        )
    for difference in ("num_layers is 8 in the model, 14", "image_shape is 3,16,16 in the model", "num_classes is 3"):
        assert difference in str(error.value)


def test_incremental_training_for_people_takes_the_models_network(photos: Path, tmp_path: Path) -> None:
    first = train(photos, output=tmp_path / "a", hyperparameters=QUICK, device="cpu", threads=1, quiet=True)
    run = train(
        photos, output=tmp_path / "b", model=first.model_path, hyperparameters={"epochs": 1}, device="cpu", quiet=True
    )
    assert run.hyperparameters.num_layers == 8


def test_a_diverging_run_says_where_and_why(photos: Path, tmp_path: Path) -> None:
    settings = {**QUICK, "optimizer": "rmsprop", "learning_rate": 1, "gamma": 1, "eps": 0, "epochs": 60}
    with pytest.raises(NonFiniteLossError, match=r"since step \d+ \(epoch \d+, batch \d+\)") as error:
        train(photos, output=tmp_path / "a", hyperparameters=settings, device="cpu", threads=1, quiet=True)
    assert "eps=0 divides by zero" in str(error.value)

    tuning = {**settings, "_tuning_objective_metric": "validation:accuracy"}
    run = train(photos, output=tmp_path / "b", hyperparameters=tuning, device="cpu", threads=1, quiet=True)
    assert len(run.metrics) < 60
    assert "validation_accuracy" in run.metrics[-1], "a trial reports its metric all the same"


def test_early_stopping_ends_the_run(photos: Path, tmp_path: Path) -> None:
    settings = {
        **QUICK,
        "epochs": 30,
        "learning_rate": 0,
        "early_stopping": "True",
        "early_stopping_min_epochs": 2,
        "early_stopping_patience": 2,
    }
    run = train(photos, output=tmp_path, hyperparameters=settings, device="cpu", threads=1, quiet=True)
    assert 3 <= len(run.metrics) < 30


def write_multi_label(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    lines = []
    for number in range(count):
        bars, dots = number % 2, (number // 2) % 2
        image = np.maximum(picture(0, number) * bars, picture(1, number) * dots)
        assert cv2.imwrite(str(folder / f"{number}.png"), image[:, :, ::-1])
        lines.append(f"{number}\t{bars:.6f}\t{dots:.6f}\t{number}.png\n")
    (folder / "list.lst").write_text("".join(lines))
    return folder / "list.lst"


def test_multi_label_runs_report_mean_average_precision(tmp_path: Path) -> None:
    listed = write_multi_label(tmp_path / "data", 60)
    more = {"multi_label": 1, "use_weighted_loss": 1, "epochs": 6, "optimizer": "adam", "learning_rate": 0.01}
    settings = {**QUICK, **more, "mini_batch_size": 4}
    run = train(listed, output=tmp_path / "out", hyperparameters=settings, device="cpu", threads=1, quiet=True)
    assert run.best["validation_mean_average_precision"] > 0.9
    assert 0.6 < run.best["validation_accuracy"] <= 1
    assert artifact.load(run.model_path)[0].multi_label


def test_labels_that_do_not_fit_are_all_named(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels outside 0\.\.1"):
        train(photos, output=tmp_path, hyperparameters={**QUICK, "num_classes": 2}, device="cpu", quiet=True)
    listed = write_multi_label(tmp_path / "data", 20)
    with pytest.raises(DataError, match="multi_label=1 and num_classes=2"):
        train(listed, output=tmp_path, hyperparameters={**QUICK, "num_classes": 2}, device="cpu", quiet=True)


def test_all_bad_hyperparameters_are_reported_together(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(HyperparameterError) as error:
        train(
            photos,
            output=tmp_path,
            hyperparameters={**QUICK, "epochs": 0, "optimiser": "sgd"},
            device="cpu",
            quiet=True,
        )
    assert "epochs" in str(error.value)
    assert "optimizer" in str(error.value)


def test_a_batch_larger_than_the_data_is_refused(photos: Path, tmp_path: Path) -> None:
    settings = {**QUICK, "mini_batch_size": 64, "num_training_samples": 64}
    with pytest.raises(DataError, match="58 training samples are fewer than the 64 of one batch"):
        train(photos, output=tmp_path, hyperparameters=settings, device="cpu", quiet=True)


def test_a_wrong_num_training_samples_warns_and_sets_the_epochs_length(photos: Path, tmp_path: Path, capsys) -> None:
    settings = {**QUICK, "num_training_samples": 30, "epochs": 1}
    train(photos, output=tmp_path, hyperparameters=settings, device="cpu", threads=1)
    assert "num_training_samples is 30, but the training set has 58 samples" in capsys.readouterr().out


@pytest.mark.parametrize(
    "settings",
    [
        {"precision_dtype": "bfloat16"},
        {"precision_dtype": "float16"},
        {"optimizer": "nag", "ema_decay": 0.9, "label_smoothing": 0.1, "lr_schedule": "cosine", "warmup_epochs": 0.5},
        {"optimizer": "rmsprop", "learning_rate": 0.001, "mixup_alpha": 0.2, "cutmix_alpha": 1.0},
        {"optimizer": "muon", "freeze_backbone_epochs": 1, "gradient_clip_norm": 1.0},
        {"augmentation_type": "crop", "pad_size": 2, "gradient_clip_norm": 1.0, "class_weights": "balanced"},
        {"resize_mode": "pad", "resize": 20, "augmentation_type": "crop_color"},
        {"network": "resnet_v1", "resize_mode": "stretch"},
        {"image_shape": "1,16,16"},
        {"image_shape": "3,40,40", "num_layers": 18, "mini_batch_size": 28, "epochs": 1},
    ],
    ids=lambda settings: ",".join(settings),
)
def test_settings_work_together(photos: Path, tmp_path: Path, settings: dict[str, object]) -> None:
    run = train(photos, output=tmp_path, hyperparameters={**QUICK, **settings}, device="cpu", threads=1, quiet=True)
    assert all(math.isfinite(value) for line in run.metrics for value in line.values())
    report = evaluate_model(run.model_path, photos, device="cpu", threads=1)
    assert report.samples == len(open_source(photos))


def test_the_model_file_says_which_precision_auto_was(photos: Path, tmp_path: Path) -> None:
    settings = {**QUICK, "epochs": 1, "precision_dtype": "auto"}
    run = train(photos, output=tmp_path, hyperparameters=settings, device="cpu", threads=1, quiet=True)
    chosen = "bfloat16" if multiplies_bfloat16(torch.device("cpu")) else "float32"
    assert run.hyperparameters.precision_dtype == chosen
    assert artifact.read_description(run.model_path).hyperparameters["precision_dtype"] == chosen


def test_a_frozen_backbone_keeps_weights_and_statistics(photos: Path, tmp_path: Path) -> None:
    settings = {**QUICK, "epochs": 3, "freeze_backbone_epochs": 2, "checkpoint_frequency": 1}
    train(photos, output=tmp_path, hyperparameters=settings, device="cpu", threads=1, quiet=True)
    checkpoints = tmp_path / "checkpoints"
    first, second, third = (load_file(checkpoints / f"epoch-000{number}.safetensors") for number in (1, 2, 3))
    backbone = [name for name in first if not name.startswith("fc1")]
    assert all(torch.equal(first[name], second[name]) for name in backbone)
    assert not torch.equal(first["fc1.weight"], second["fc1.weight"])
    assert not torch.equal(second["conv0.weight"], third["conv0.weight"])
    assert not torch.equal(second["bn1.running_mean"], third["bn1.running_mean"])
