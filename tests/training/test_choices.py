from pathlib import Path

import pytest

from imclass.data import open_source
from imclass.errors import DataError
from imclass.hyperparameters import FIELDS, parse
from imclass.training.choices import Facts, choose, look_at, worth_pretraining
from tests.pictures import write_class_folders


def facts(**changes: object) -> Facts:
    usual = {"samples": 2000, "width": 32, "height": 32, "common": 1.0, "short_side": 32, "label_width": 1}
    return Facts(**{**usual, "on_gpu": False, **changes})  # type: ignore[arg-type]


PHOTOS = {"width": 640, "height": 480, "common": 0.3, "short_side": 480}


def test_facts_are_read_from_the_images(photos: Path) -> None:
    assert look_at(open_source(photos), on_gpu=False) == facts(samples=72, width=16, height=16, short_side=16)


def test_unreadable_images_alone_are_an_error(tmp_path: Path) -> None:
    folder = write_class_folders(tmp_path / "photos", 2)
    for image in folder.rglob("*.png"):
        image.write_bytes(b"no picture")
    with pytest.raises(DataError, match="none of 6 images looked at can be read"):
        look_at(open_source(folder), on_gpu=False)


@pytest.mark.parametrize(
    ("changes", "fine_tuning", "expected"),
    [
        ({}, False, {"image_shape": (3, 32, 32), "num_layers": 20}),
        ({"on_gpu": True}, False, {"image_shape": (3, 32, 32), "num_layers": 18}),
        ({"height": 20, "short_side": 20}, False, {"image_shape": (3, 20, 32)}),
        ({"common": 0.5, "short_side": 47}, False, {"image_shape": (3, 44, 44), "resize": 44}),
        (PHOTOS, False, {"image_shape": (3, 128, 128), "resize": 146, "num_layers": 18}),
        (PHOTOS, True, {"image_shape": (3, 224, 224), "resize": 256, "num_layers": 18}),
        ({**PHOTOS, "on_gpu": True}, True, {"image_shape": (3, 224, 224), "num_layers": 50}),
        ({**PHOTOS, "short_side": 100}, True, {"image_shape": (3, 96, 96), "resize": 109}),
        ({"label_width": 5}, False, {"multi_label": True}),
        ({"samples": 3}, False, {"mini_batch_size": 3}),
    ],
)
def test_choices(changes: dict[str, object], fine_tuning: bool, expected: dict[str, object]) -> None:
    chosen = choose(facts(**changes), {}, fine_tuning=fine_tuning)
    assert {name: chosen[name] for name in expected} == expected


def test_what_is_given_is_left_alone_and_respected() -> None:
    given = {"image_shape": (3, 112, 112), "num_layers": 34, "mini_batch_size": 16, "epochs": 3}
    chosen = choose(facts(**PHOTOS), given, fine_tuning=False)
    assert not chosen.keys() & given.keys()
    assert chosen["resize"] == 128
    assert chosen["learning_rate"] == pytest.approx(0.1 * 16 / 64)
    assert chosen["warmup_epochs"] <= 0.6


def test_an_adaptive_optimizer_gets_its_own_rate() -> None:
    chosen = choose(facts(), {"optimizer": "adam"}, fine_tuning=False)
    assert chosen["learning_rate"] <= 0.001


@pytest.mark.parametrize("samples", [1, 10, 60, 500, 5_000, 1_000_000])
@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("fine_tuning", [False, True])
@pytest.mark.parametrize("sizes", [{}, PHOTOS])
def test_choices_always_fit_together(samples: int, on_gpu: bool, fine_tuning: bool, sizes: dict[str, object]) -> None:
    chosen = choose(facts(samples=samples, on_gpu=on_gpu, **sizes), {}, fine_tuning=fine_tuning)
    assert chosen.keys() <= FIELDS.keys()
    settings = parse({**chosen, "recipe": "modern", "num_training_samples": samples}, fine_tuning=fine_tuning)
    assert settings.mini_batch_size <= samples


def test_pretrained_weights_are_for_photographs() -> None:
    assert worth_pretraining(facts(**PHOTOS), {})
    assert not worth_pretraining(facts(), {})
    assert worth_pretraining(facts(), {"image_shape": (3, 224, 224)})
    assert not worth_pretraining(facts(**PHOTOS), {"image_shape": (3, 32, 32)})
    assert not worth_pretraining(facts(**PHOTOS), {"network": "resnet_v2"})
    assert not worth_pretraining(facts(**PHOTOS), {"num_layers": 200})
    assert not worth_pretraining(facts(**PHOTOS), {"artifact_format": "both"})
    assert worth_pretraining(facts(**PHOTOS), {"artifact_format": "imclass"})


def test_for_endpoints_of_the_original_nothing_is_cut_off() -> None:
    stretched = {"artifact_format": "mxnet", "resize_mode": "stretch"}
    assert "resize" not in choose(facts(**PHOTOS), stretched, fine_tuning=False)
    assert "resize" in choose(facts(**PHOTOS), {"resize_mode": "stretch"}, fine_tuning=False)
    assert "resize" in choose(facts(**PHOTOS), {"artifact_format": "mxnet"}, fine_tuning=False)
