"""Hosts of training jobs on a Ray cluster.

A host has an actor of its own, which holds its cores and GPUs and starts its keeper on the machine where it is. Actors
are detached: jobs go on without the server, and the next one finds them by their names. All actors of a job are in one
placement group, so that a job has all its hosts or none.

Keeper and server talk through files as on one machine: all machines must share the data folder under the same path, and
have imclass.
"""

import fcntl
import hashlib
import os
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from imclass.ray_connection import connected
from imclass.sagemaker.control_plane.jobs.hosts import JobHost, host_name
from imclass.sagemaker.control_plane.jobs.keeper import Kept, LostError, Order
from imclass.sagemaker.control_plane.jobs.runner import Location, Network, Runner

NAMESPACE = "imclass"
LOOK_AGAIN_SECONDS = 0.5
ANSWER_SECONDS = 120.0
"""For an actor to begin, and to answer."""
SIOCGIFADDR = 0x8915  # linux/sockios.h


@dataclass(frozen=True)
class RayCluster:
    """A cluster, and what a host takes of it.

    Attributes:
        address: of its head, HOST:PORT; auto for the one that this machine belongs to.
        cpus: cores of a host.
        gpus: GPUs of a host; None for one where the cluster has any.
    """

    address: str = "auto"
    cpus: int = 4
    gpus: int | None = None


class HostActor:
    """A host's place on a machine of the cluster."""

    def where(self) -> tuple[str, str, int]:
        """Address, interface, and a port that nobody listens on."""
        import ray

        address = str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
        with socket.socket() as probe:
            probe.bind((address, 0))
            return address, interface_of(address), int(probe.getsockname()[1])

    def start(self, folder: str, order: Order, environment: Mapping[str, str]) -> None:
        """Start the keeper with the GPUs that Ray has given to this actor."""
        visible = {name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES",) if name in os.environ}
        Kept(Path(folder)).start(order, {**environment, **visible})


class RayRunner(Runner):
    """Places on a cluster.

    Args:
        data: folder of the server, which tells its places from those of others.

    Raises:
        UserError: Ray is not installed, or there is no such cluster.
    """

    def __init__(self, cluster: RayCluster, data: Path) -> None:
        self._prefix = f"imclass-{hashlib.sha256(str(data).encode()).hexdigest()[:8]}-"
        self._ray = connected(cluster.address, NAMESPACE)
        has_gpus = self._ray.cluster_resources().get("GPU", 0) > 0
        gpus = (1 if has_gpus else 0) if cluster.gpus is None else cluster.gpus
        self._cpus, self._gpus = cluster.cpus, gpus
        self._needs = {"CPU": float(cluster.cpus), **({"GPU": float(gpus)} if gpus else {})}

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()

    @property
    def most_hosts(self) -> int:
        return self._room(self._ray.cluster_resources())

    def must_wait(self, count: int) -> bool:
        return self._room(self._ray.available_resources()) < count

    def _room(self, resources: Mapping[str, float]) -> int:
        return int(min(resources.get(kind, 0.0) // amount for kind, amount in self._needs.items()))

    def take(self, job: str, count: int, gives_up: Callable[[], bool]) -> Sequence[Location] | None:
        attempt = f"{self._prefix}{job}-{token_hex(4)}"
        names = [f"{attempt}-{host_name(index)}" for index in range(count)]
        group = self._ray.util.placement_group([self._needs] * count, name=names[0], lifetime="detached")
        while not group.wait(LOOK_AGAIN_SECONDS):
            if gives_up():
                self._ray.util.remove_placement_group(group)
                return None
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        actor = self._ray.remote(num_cpus=self._cpus, num_gpus=self._gpus)(HostActor)
        for index, name in enumerate(names):
            place = PlacementGroupSchedulingStrategy(group, index)
            actor.options(name=name, lifetime="detached", scheduling_strategy=place).remote()
        return names

    def reclaim(self, locations: Sequence[Location]) -> None:
        known = set(locations)
        for group in self._ray.util.placement_group_table().values():
            name = group["name"]
            if name.startswith(self._prefix) and group["state"] != "REMOVED" and name not in known:
                self._ray.util.remove_placement_group(self._ray.util.get_placement_group(name))

    def give_back(self, locations: Sequence[Location]) -> None:
        for name in locations:
            with suppress(ValueError):  # it is gone, with its machine
                self._ray.kill(self._ray.get_actor(name))
        with suppress(ValueError):
            self._ray.util.remove_placement_group(self._ray.util.get_placement_group(str(locations[0])))

    def wake(self) -> None:
        """Those who wait ask often enough."""

    def network(self, locations: Sequence[Location]) -> Network:
        places = [self._asked(name, "where") for name in locations]
        names = [host_name(index) for index in range(len(locations))]
        return Network(
            {name: address for name, (address, _, _) in zip(names, places, strict=True)},
            {name: interface for name, (_, interface, _) in zip(names, places, strict=True)},
            places[0][2],
        )

    def variables(self, location: Location) -> Mapping[str, str]:
        return {"OMP_NUM_THREADS": str(self._cpus)}

    def start(self, host: JobHost, location: Location, order: Order, environment: Mapping[str, str]) -> None:
        self._asked(location, "start", str(host.folder), order, dict(environment))

    def _asked(self, name: Location, method: str, *arguments: object) -> Any:
        """What an actor answers."""
        try:
            actor = self._ray.get_actor(name)
            return self._ray.get(getattr(actor, method).remote(*arguments), timeout=ANSWER_SECONDS)
        except (ValueError, self._ray.exceptions.RayActorError, self._ray.exceptions.GetTimeoutError) as error:
            raise LostError(str(name)) from error


def interface_of(address: str) -> str:
    """The network interface of this machine that has an IPv4 address; empty if none has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # one without an address
                found = fcntl.ioctl(probe, SIOCGIFADDR, struct.pack("256s", name.encode()))
                if socket.inet_ntoa(found[20:24]) == address:
                    return name
    return ""
