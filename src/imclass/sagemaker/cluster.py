"""The hosts of a job, from `resourceconfig.json`.

::

    {"current_host": "algo-1", "hosts": ["algo-1", "algo-2"], "network_interface_name": "eth0"}

Keys of newer platforms do no harm. `addresses` and `port`, which are ours, are for hosts whose names nobody
resolves, or that are not alone at their address::

    {"addresses": {"algo-1": "10.0.0.1", "algo-2": "10.0.0.2"}, "port": 29400, ...}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from imclass.errors import UserError, listing

_FORM = 'For one host it is {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}.'


PORT = 29400
"""Of the leader, where the other hosts find it, unless the file says otherwise."""


@dataclass(frozen=True)
class Cluster:
    """The hosts of a job.

    Attributes:
        current_host: this host.
        hosts: all of them, sorted; the first leads.
        network_interface: through which they reach each other; None when not said.
        addresses: IPv4, of hosts whose names need not be resolved.
        port: on which the leader listens.
    """

    current_host: str
    hosts: tuple[str, ...]
    network_interface: str | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    port: int = PORT

    @property
    def leader(self) -> str:
        return self.hosts[0]

    @property
    def leads(self) -> bool:
        """Whether this host is the leader, which keeps checkpoints and writes the model."""
        return self.current_host == self.leader

    @property
    def is_alone(self) -> bool:
        return len(self.hosts) == 1

    @property
    def index(self) -> int:
        """This host's number, from 0."""
        return self.hosts.index(self.current_host)


def read_cluster(path: Path) -> Cluster:
    """Read `resourceconfig.json`.

    Raises:
        UserError: it cannot be read, or all that is wrong with it.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path), fix=_FORM) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"this is not JSON: {error}", where=str(path), fix=_FORM) from error
    if not isinstance(config, dict):
        raise UserError("this is not a JSON object", where=str(path), fix=_FORM)
    if problems := _problems(config):
        raise UserError(f"the hosts cannot be understood:\n{listing(problems)}", where=str(path), fix=_FORM)
    return Cluster(
        config["current_host"],
        tuple(sorted(config["hosts"])),
        config.get("network_interface_name") or None,
        config.get("addresses") or {},
        config.get("port") or PORT,
    )


def _problems(config: Mapping[str, object]) -> list[str]:
    hosts, current = config.get("hosts"), config.get("current_host")
    interface = config.get("network_interface_name")
    problems = []
    if not isinstance(hosts, list) or not hosts or not all(isinstance(host, str) and host for host in hosts):
        problems.append("hosts must be a list of names")
    elif len(set(hosts)) < len(hosts):
        problems.append("hosts names a host twice")
    elif current not in hosts:
        problems.append(f"current_host is {current!r}, which is not one of {', '.join(hosts)}")
    if interface is not None and not isinstance(interface, str):
        problems.append("network_interface_name must be text")
    addresses = config.get("addresses") or {}
    if not isinstance(addresses, dict) or not all(map(_is_address, addresses.values())):
        problems.append("addresses must hold the IPv4 address of a host under its name")
    port = config.get("port") or PORT
    if type(port) is not int or not 1 <= port <= 65535:
        problems.append("port must be a number from 1 to 65535")
    return problems


def _is_address(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        IPv4Address(value)
    except ValueError:
        return False
    return True
