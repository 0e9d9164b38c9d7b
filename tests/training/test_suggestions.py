"""Hyperparameters suggested for a data set."""

from pathlib import Path

import pytest

from imclass.data import open_source
from imclass.training.choices import choose, facts_of, look_at
from imclass.training.suggestions import suggest
from tests.data.golden_files import write_records
from tests.pictures import write_class_folders


def test_the_suggestion_is_what_training_chooses(tmp_path: Path) -> None:
    source = open_source(write_class_folders(tmp_path / "photos", per_class=4, side=40))
    facts = look_at(source, on_gpu=False)
    assert facts_of([(40, 40)] * 12, source, on_gpu=False) == facts
    suggestion = suggest(facts, source, (4, 4, 4))
    chosen = choose(facts, {}, fine_tuning=False)
    assert suggestion.image_shape == chosen["image_shape"] == (3, 40, 40)
    assert suggestion.num_layers == chosen["num_layers"]
    assert suggestion.resize is None
    assert not suggestion.fine_tuning
    assert (suggestion.class_weights, suggestion.class_weight_values) == ("none", (1, 1, 1))


@pytest.mark.parametrize(("rare", "weights"), [(2, "none"), (1, "balanced")])
def test_uneven_classes_get_weights(rare: int, weights: str, tmp_path: Path) -> None:
    source = open_source(write_records(tmp_path / "x.rec", [0] * 5 + [1] * rare))
    suggestion = suggest(facts_of([(300, 200)], source, on_gpu=False), source, (5, rare))
    assert suggestion.class_weights == weights
    total = 5 + rare
    assert suggestion.class_weight_values == pytest.approx((total / 10, total / (2 * rare)), abs=1e-6)
    assert (suggestion.fine_tuning, suggestion.image_shape, suggestion.resize) == (True, (3, 192, 192), 219)


def test_several_labels_get_no_class_weights(tmp_path: Path) -> None:
    source = open_source(write_records(tmp_path / "x.rec", [[1, 0], [1, 1], [1, 0], [1, 0]]))
    suggestion = suggest(facts_of([(30, 30)], source, on_gpu=False), source, (4, 1))
    assert (suggestion.class_weights, suggestion.class_weight_values) == ("none", ())
