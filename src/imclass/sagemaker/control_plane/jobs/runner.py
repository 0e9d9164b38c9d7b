"""Where the hosts of training jobs run: on this machine, or on a Ray cluster (`ray_runner`)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from imclass.sagemaker.cluster import PORT
from imclass.sagemaker.control_plane.jobs.hosts import JobHost, host_name, loopback_addresses
from imclass.sagemaker.control_plane.jobs.keeper import Order
from imclass.sagemaker.control_plane.jobs.slots import Slots, slot_environment

LOOPBACK = "lo"

Location = int | str
"""Of a host: what the runner knows its place by, also after a restart of the server."""


@dataclass(frozen=True)
class Network:
    """How the hosts of a job reach each other.

    Attributes:
        addresses: IPv4, by the name of the host.
        interfaces: names of the network interfaces with these addresses, by the name of the host.
        port: on which the leader listens.
    """

    addresses: Mapping[str, str]
    interfaces: Mapping[str, str]
    port: int = PORT


class Runner(Protocol):
    """Has places for hosts, and starts their keepers there."""

    @property
    def most_hosts(self) -> int:
        """How many hosts a job can have."""

    def must_wait(self, count: int) -> bool:
        """Whether a job with so many hosts has to wait."""

    def take(self, job: str, count: int, gives_up: Callable[[], bool]) -> Sequence[Location] | None:
        """Wait for places for all hosts of a job; None when it was given up.

        Args:
            job: its name.
            gives_up: asked now and then, and after `wake`: whether to wait no longer.
        """

    def reclaim(self, locations: Sequence[Location]) -> None:
        """Take the places that jobs had before a restart of the server, and let go of all others that it had.

        Args:
            locations: of all jobs.
        """

    def give_back(self, locations: Sequence[Location]) -> None:
        """Let others have the places of a job that has ended."""

    def wake(self) -> None:
        """Let those who wait ask whether they give up."""

    def network(self, locations: Sequence[Location]) -> Network:
        """How hosts in these places reach each other.

        Raises:
            LostError: there are no such places any more.
        """

    def variables(self, location: Location) -> Mapping[str, str]:
        """What keeps a host to its share of the machine."""

    def start(self, host: JobHost, location: Location, order: Order, environment: Mapping[str, str]) -> None:
        """Start the keeper of a host.

        Raises:
            LostError: there is no such place any more.
        """


class LocalRunner(Runner):
    """Places on this machine, which are slots.

    Args:
        slots: that all kinds of jobs share.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    @property
    def most_hosts(self) -> int:
        return self._slots.count

    def must_wait(self, count: int) -> bool:
        return self._slots.must_wait(count)

    def take(self, job: str, count: int, gives_up: Callable[[], bool]) -> Sequence[Location] | None:
        return self._slots.take_several(count, gives_up)

    def reclaim(self, locations: Sequence[Location]) -> None:
        for location in locations:
            self._slots.reclaim(int(location))

    def give_back(self, locations: Sequence[Location]) -> None:
        for location in locations:
            self._slots.give_back(int(location))

    def wake(self) -> None:
        self._slots.wake()

    def network(self, locations: Sequence[Location]) -> Network:
        addresses = loopback_addresses(len(locations))
        return Network(addresses, {host_name(index): LOOPBACK for index in range(len(locations))})

    def variables(self, location: Location) -> Mapping[str, str]:
        return slot_environment(int(location), self._slots.count)

    def start(self, host: JobHost, location: Location, order: Order, environment: Mapping[str, str]) -> None:
        host.kept.start(order, environment)
