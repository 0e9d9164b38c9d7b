import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as reference

from imclass.reports.numbers.confusion import (
    Confusion,
    confusion_matrix,
    connected_parts,
    similarity_order,
    top_confusions,
)
from imclass.reports.numbers.judged import Judged


def test_rows_are_labels() -> None:
    generator = np.random.default_rng(0)
    judged = Judged(generator.random((200, 5)), generator.integers(0, 4, 200))
    wanted = reference(judged.labels, judged.answers, labels=range(5))
    assert np.array_equal(confusion_matrix(judged), wanted)


def test_the_commonest_confusions_come_first_and_shares_break_ties() -> None:
    matrix = np.array([[5, 3, 0], [3, 1, 0], [2, 0, 9]])
    assert top_confusions(matrix, 2) == [Confusion(1, 0, 3, 0.75), Confusion(0, 1, 3, 0.375)]
    assert [(one.label, one.answer) for one in top_confusions(matrix, 9)] == [(1, 0), (0, 1), (2, 0)]
    assert top_confusions(np.diag([4, 4]), 3) == []


def test_parts_of_a_graph() -> None:
    links = np.zeros((6, 6), np.bool_)
    for one, other in ((0, 3), (3, 5), (1, 4)):
        links[one, other] = links[other, one] = True
    assert connected_parts(links) == [[0, 3, 5], [1, 4], [2]]


@pytest.mark.parametrize("seed", range(4))
def test_a_chain_of_confusions_is_put_in_order(seed: int) -> None:
    chain = np.diag(np.full(12, 20)) + np.diag(np.full(11, 4), 1) + np.diag(np.full(11, 4), -1)
    shuffled = np.random.default_rng(seed).permutation(12)
    order = similarity_order(chain[shuffled][:, shuffled])
    places = shuffled[order]
    assert np.abs(np.diff(places)).tolist() == [1] * 11


def test_two_groups_stand_apart_and_what_is_alone_comes_last() -> None:
    matrix = np.diag(np.full(7, 9))
    for one, other in ((0, 2), (2, 4), (0, 4), (1, 5)):
        matrix[one, other] = matrix[other, one] = 3
    order = similarity_order(matrix).tolist()
    assert (set(order[:3]), set(order[3:5]), order[5:]) == ({0, 2, 4}, {1, 5}, [3, 6])


def test_classes_without_images_have_a_place() -> None:
    assert sorted(similarity_order(np.zeros((4, 4), np.int64)).tolist()) == [0, 1, 2, 3]
