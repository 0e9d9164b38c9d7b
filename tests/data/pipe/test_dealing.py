"""Who gets which sample, in which order."""

from itertools import islice

import numpy as np
import pytest

from imclass.data.pipe.dealing import Seat, order_generator, places_of_round, round_length, share_of_pass, shuffled


def seats(hosts: int, local: int) -> list[Seat]:
    return [Seat(host * local, hosts * local, local) for host in range(hosts)]


@pytest.mark.parametrize(("hosts", "local"), [(1, 1), (1, 3), (2, 1), (2, 2), (4, 8)])
@pytest.mark.parametrize("per_host", [8, 13])
def test_every_place_of_a_round_belongs_to_one_process(hosts: int, local: int, per_host: int) -> None:
    batch_size = hosts * per_host
    places = [place for seat in seats(hosts, local) for place in places_of_round(batch_size, seat, is_sharded=False)]
    assert [number for start, stop in places for number in range(start, stop)] == list(range(batch_size))
    for seat in seats(hosts, local):
        own = places_of_round(batch_size, seat, is_sharded=True)
        assert round_length(batch_size, seat, is_sharded=True) == per_host
        assert [number for start, stop in own for number in range(start, stop)] == list(range(per_host))
        replicated = places_of_round(batch_size, seat, is_sharded=False)
        assert [stop - start for start, stop in own] == [stop - start for start, stop in replicated]


def test_hosts_with_data_of_their_own_share_a_pass() -> None:
    shares = [share_of_pass(11, seat, is_sharded=True) for seat in seats(3, 2)]
    assert [number for share in shares for number in share] == list(range(11))
    assert share_of_pass(11, seats(3, 2)[1], is_sharded=False) == range(11)


@pytest.mark.parametrize("size", [0, 1, 2, 10, 99, 100, 1000])
def test_shuffling_loses_nothing_and_repeats_itself(size: int) -> None:
    orders = [list(shuffled(range(100), size, order_generator(3, epoch, 0))) for epoch in (0, 0, 1)]
    assert sorted(orders[0]) == list(range(100))
    assert orders[0] == orders[1]
    assert (orders[0] == list(range(100))) == (size <= 1)
    assert (orders[0] == orders[2]) == (size <= 1)
    assert all(number < place + max(size, 1) for place, number in enumerate(orders[0])), "no more than the buffer ahead"


def test_the_whole_buffer_shuffles_evenly() -> None:
    places = np.array([list(shuffled(range(20), 20, order_generator(0, epoch, 0))) for epoch in range(2000)])
    assert abs(places.mean(axis=0) - 9.5).max() < 0.7


def test_the_buffer_is_all_that_is_read_ahead() -> None:
    taken = []
    source = (taken.append(number) or number for number in range(1000))
    list(islice(shuffled(source, 30, order_generator(0, 0, 0)), 5))
    assert len(taken) == 35
