"""Calibration error and temperature, against the definitions and against closed forms."""

import numpy as np
import pytest

from imclass.calibration import COLDEST, HOTTEST, calibrated, fit_temperature, probabilities_of, reliability


def test_bins_hold_what_is_above_their_lower_edge_up_to_their_upper() -> None:
    confidence = np.array([0.0, 0.1, 0.2, 0.200001, 0.95, 1.0])
    found = reliability(confidence, np.array([0, 0, 1, 1, 1, 0], np.bool_), bins=5)
    assert found.counts.tolist() == [3, 1, 0, 0, 2]
    assert found.accuracy[[0, 1, 4]].tolist() == pytest.approx([1 / 3, 1, 0.5])
    assert found.confidence[[0, 1, 4]].tolist() == pytest.approx([0.1, 0.200001, 0.975])
    assert np.isnan(found.accuracy[2])
    wanted = (3 * abs(1 / 3 - 0.1) + abs(1 - 0.200001) + 2 * abs(0.5 - 0.975)) / 6
    assert found.expected_error == pytest.approx(wanted)


def test_an_honest_forecast_has_no_error_and_no_answers_have_none_either() -> None:
    assert reliability(np.full(10, 0.7), np.arange(10) < 7).expected_error == pytest.approx(0)
    assert reliability(np.zeros(0), np.zeros(0, np.bool_)).expected_error == 0


def test_the_temperature_of_two_classes_has_a_closed_form() -> None:
    # Every image has a lead of 2 for class 0, and is right in 3 of 4: the likeliest lead is log(3), so T = 2 / log(3).
    logits = np.tile(np.array([[2.0, 0.0]], np.float32), (4, 1))
    labels = np.array([[0], [0], [0], [1]], np.float32)
    assert fit_temperature(logits, labels, multi_label=False) == pytest.approx(2 / np.log(3), rel=1e-6)


def test_the_temperature_of_independent_classes_has_a_closed_form() -> None:
    logits = np.array([[2.0], [2.0], [2.0], [2.0]], np.float32).repeat(2, axis=1)
    labels = np.array([[1, 1], [1, 1], [1, 1], [0, 0]], np.float32)
    assert fit_temperature(logits, labels, multi_label=True) == pytest.approx(2 / np.log(3), rel=1e-6)


def test_a_fit_beats_its_neighbours() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (500, 7)).astype(np.float32)
    chances = probabilities_of(logits, multi_label=False, temperature=2.5)
    labels = np.array([generator.choice(7, p=row) for row in chances], np.float32)[:, None]
    fitted = fit_temperature(logits, labels, multi_label=False)
    assert fitted == pytest.approx(2.5, rel=0.15)

    def likelihood(temperature: float) -> float:
        rows = probabilities_of(logits, multi_label=False, temperature=temperature)
        return float(np.log(rows[np.arange(500), labels[:, 0].astype(int)]).mean())

    assert likelihood(fitted) > max(likelihood(fitted * 0.98), likelihood(fitted * 1.02))


@pytest.mark.parametrize(("label", "bound"), [(0, COLDEST), (1, HOTTEST)])
def test_where_all_answers_are_right_or_wrong_the_temperature_is_at_its_bound(label: float, bound: float) -> None:
    logits = np.array([[1.0, 0.0], [0.5, 0.0]], np.float32)
    labels = np.full((2, 1), label, np.float32)
    assert fit_temperature(logits, labels, multi_label=False) == pytest.approx(bound, rel=1e-6)


@pytest.mark.parametrize("multi_label", [False, True])
def test_probabilities_are_enough_to_calibrate(multi_label: bool) -> None:
    logits = np.random.default_rng(1).normal(0, 4, (50, 6)).astype(np.float32)
    plain = probabilities_of(logits, multi_label=multi_label).astype(np.float32)
    wanted = probabilities_of(logits, multi_label=multi_label, temperature=1.7)
    assert np.abs(calibrated(plain, 1.7, multi_label=multi_label) - wanted).max() < 2e-6
    assert np.abs(calibrated(plain, 1.0, multi_label=multi_label) - plain).max() < 1e-6


@pytest.mark.parametrize("multi_label", [False, True])
def test_certain_probabilities_stay_certain(multi_label: bool) -> None:
    certain = np.array([[1.0, 0.0, 0.0]], np.float32)
    assert np.array_equal(calibrated(certain, 3.0, multi_label=multi_label), certain)
