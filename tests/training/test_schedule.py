import pytest

from imclass.hyperparameters import parse
from imclass.training.schedule import learning_rate


def test_step_schedule_drops_at_the_epoch_border() -> None:
    settings = parse({"learning_rate": "0.1", "lr_scheduler_step": "2, 4", "lr_scheduler_factor": "0.5"})
    rates = [learning_rate(step, 3, settings) for step in range(15)]
    assert rates == pytest.approx([0.1] * 6 + [0.05] * 6 + [0.025] * 3)


def test_without_steps_the_rate_stays() -> None:
    settings = parse({"learning_rate": "0.3"})
    assert {learning_rate(step, 5, settings) for step in range(100)} == {0.3}


def test_cosine_ends_near_zero_and_is_half_in_the_middle() -> None:
    settings = parse({"learning_rate": "0.2", "lr_schedule": "cosine", "epochs": "10"})
    assert learning_rate(0, 100, settings) == pytest.approx(0.2)
    assert learning_rate(500, 100, settings) == pytest.approx(0.1)
    assert 0 < learning_rate(999, 100, settings) < 1e-6
    assert learning_rate(5000, 100, settings) == 0.0


def test_warmup_rises_linearly_to_the_full_rate() -> None:
    settings = parse({"learning_rate": "0.4", "warmup_epochs": "2", "epochs": "10", "lr_schedule": "cosine"})
    rates = [learning_rate(step, 2, settings) for step in range(5)]
    assert rates[:4] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert rates[4] == pytest.approx(0.4)
