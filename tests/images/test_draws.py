import numpy as np
import pytest

from imclass.images import draws
from imclass.images.draws import COLUMNS, Draws, draw


def test_a_row_depends_on_seed_pass_and_index_alone() -> None:
    whole = draw(5, 3, 0, 50)
    np.testing.assert_array_equal(draw(5, 3, 17, 23), whole[17:23])
    indices, passes = np.array([40, 7, 7, 0]), np.array([3, 3, 4, 3])
    rows = Draws(5, 50).rows(indices, passes)
    np.testing.assert_array_equal(rows[[0, 1, 3]], whole[[40, 7, 0]])
    np.testing.assert_array_equal(rows[2], draw(5, 4, 7, 8)[0])
    assert not np.array_equal(rows[1], rows[2])
    assert not np.array_equal(draw(6, 3, 0, 50), whole)


def test_the_numbers_do_not_change_between_releases() -> None:
    expected = [[0.476092994, 0.870923579, 0.137360096], [0.586994350, 0.014446437, 0.834371328]]
    np.testing.assert_allclose(draw(0, 0, 0, 2)[:, :3], expected, rtol=1e-6)


def test_large_data_sets_get_the_same_rows_without_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    indices = np.array([4, 999, 0])
    passes = np.array([1, 1, 2])
    expected = Draws(9, 1000).rows(indices, passes)
    monkeypatch.setattr(draws, "_LARGEST_TABLE", 0)
    np.testing.assert_array_equal(Draws(9, 1000).rows(indices, passes), expected)


def test_rows_are_uniform_and_columns_independent() -> None:
    rows = draw(1, 0, 0, 20_000)
    assert rows.shape == (20_000, COLUMNS)
    assert rows.dtype == np.float32
    assert rows.min() >= 0
    assert rows.max() < 1
    np.testing.assert_allclose(rows.mean(axis=0), 0.5, atol=0.01)
    correlation = np.corrcoef(rows.T) - np.eye(COLUMNS)
    assert np.abs(correlation).max() < 0.03


def test_only_two_tables_are_kept() -> None:
    table = Draws(1, 10)
    one = np.array([3])
    for number in (0, 1, 2, 1, 0):
        np.testing.assert_array_equal(table.rows(one, np.array([number])), draw(1, number, 3, 4))
        assert len(table._tables) <= 2


def test_largest_seed() -> None:
    assert draw(2**64 - 1, 0, 0, 1).shape == (1, COLUMNS)
