"""The hosts of a job without training: how they end together, and where they are."""

import socket

import pytest

from imclass.sagemaker.cluster import PORT
from imclass.sagemaker.control_plane.jobs.hosts import combined, loopback_addresses
from imclass.sagemaker.control_plane.jobs.keeper import Result

GOOD = Result(0, "itself")


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([GOOD, GOOD], GOOD),
        ([GOOD, Result(2, "itself")], Result(2, "itself")),
        ([Result(0, "itself"), Result(0, "max_runtime")], Result(0, "max_runtime")),
        ([Result(1, "itself"), Result(143, "stop")], Result(1, "stop")),
        ([GOOD, Result(143, "pipe", "no data")], Result(143, "pipe", "no data")),
    ],
)
def test_the_first_bad_end_is_that_of_the_job(results: list[Result], expected: Result) -> None:
    assert combined(results) == expected


def test_hosts_have_addresses_of_one_network() -> None:
    addresses = loopback_addresses(3)
    assert list(addresses) == ["algo-1", "algo-2", "algo-3"]
    networks = {address.rpartition(".")[0] for address in addresses.values()}
    assert len(networks) == 1
    assert [address.rpartition(".")[2] for address in addresses.values()] == ["1", "2", "3"]
    with socket.create_server((addresses["algo-1"], PORT)):
        pass


def test_a_network_whose_leader_listens_is_passed_over() -> None:
    asked = []

    def is_free(address: str) -> bool:
        asked.append(address)
        return len(asked) == 3

    assert loopback_addresses(1, is_free) == {"algo-1": asked[2]}
    with pytest.raises(OSError, match="no loopback address"):
        loopback_addresses(1, lambda address: False)
