"""The hosts of a training job: processes of this machine, each with a folder and an address of its own.

::

    FOLDER/algo-1/ml/            in place of /opt/ml
    FOLDER/algo-1/pipes.json     how its FIFOs are fed, see `pipes`
    FOLDER/algo-1/objects/       what they are fed with
    FOLDER/algo-1/...            the files of its keeper, see `keeper`
"""

import errno
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imclass.sagemaker.cluster import PORT
from imclass.sagemaker.control_plane.jobs.keeper import Kept, Result, end_keepers
from imclass.sagemaker.layout import Layout

OTHERS_SECONDS = 30.0
"""After a host has failed, for the others to hear of it and end too."""
NETWORKS = range(64, 128)
"""Second bytes of the loopback addresses of hosts: 127.64.0.0 to 127.127.255.255."""
TRIES = 100


@dataclass(frozen=True)
class JobHost:
    """One host.

    Attributes:
        index: from 0.
        folder: of its own.
    """

    index: int
    folder: Path

    @property
    def name(self) -> str:
        return host_name(self.index)

    @property
    def layout(self) -> Layout:
        return Layout(self.folder / "ml")

    @property
    def kept(self) -> Kept:
        return Kept(self.folder)

    @property
    def pipes(self) -> Path:
        return self.folder / "pipes.json"

    @property
    def objects(self) -> Path:
        return self.folder / "objects"


def host_name(index: int) -> str:
    return f"algo-{index + 1}"


class JobHosts:
    """All hosts of a job; the first one leads.

    Args:
        folder: of the job.
        count: number of hosts.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.all = [JobHost(index, folder / host_name(index)) for index in range(count)]
        self._asked_to_stop = False
        self._failed_since: float | None = None

    @property
    def leader(self) -> JobHost:
        return self.all[0]

    @property
    def were_started(self) -> bool:
        """Whether there is or was a keeper of any of them."""
        return any(host.kept.was_started for host in self.all)

    def stop(self) -> None:
        """Ask all to end; asking twice does no harm."""
        if not self._asked_to_stop:
            for host in self.all:
                host.kept.stop()
            self._asked_to_stop = True

    def result(self) -> Result | None:
        """How the job ended, if it has.

        Raises:
            LostError: a host is gone without a word.
        """
        results = [host.kept.ended() for host in self.all]
        ended = [result for result in results if result is not None]
        if len(ended) == len(self.all):
            return combined(ended)
        if any(result.exit_status for result in ended):
            self._stop_others_in_time()
        return None

    def _stop_others_in_time(self) -> None:
        """Hosts hear of the failure of another one themselves, unless they wait for one that never came."""
        self._failed_since = self._failed_since or time.monotonic()
        if time.monotonic() - self._failed_since > OTHERS_SECONDS:
            self.stop()

    def failed_host(self) -> JobHost:
        """The host whose word on a failure counts."""
        wrote = [host for host in self.all if host.layout.failure.exists()]
        return wrote[0] if wrote else self.leader

    def end(self) -> None:
        """End what still runs, and wait for it."""
        end_keepers(host.kept for host in self.all)


def combined(results: Sequence[Result]) -> Result:
    """How a job ended whose hosts ended so: as the first one that did not come to a good end by itself."""
    return Result(
        exit_status=next((result.exit_status for result in results if result.exit_status), 0),
        ended_by=next((result.ended_by for result in results if result.ended_by != "itself"), "itself"),
        pipe_failure=next((result.pipe_failure for result in results if result.pipe_failure is not None), None),
    )


def loopback_addresses(count: int, is_free: Callable[[str], bool] | None = None) -> dict[str, str]:
    """An address of this machine for each host, by name, where no other job's leader listens.

    All addresses from 127.0.0.1 to 127.255.255.254 are this machine's; each job gets a network of 254 of them, so that
    jobs that run at the same time do not meet at the leader's port.

    Args:
        is_free: whether nobody listens at an address.

    Raises:
        OSError: none is free.
    """
    is_free = is_free or _nobody_listens
    for _ in range(TRIES):
        network = f"127.{random.choice(NETWORKS)}.{random.randrange(256)}"
        if is_free(f"{network}.1"):
            return {host_name(index): f"{network}.{index + 1}" for index in range(count)}
    raise OSError(errno.EADDRINUSE, "no loopback address is free")


def _nobody_listens(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, PORT))
        except OSError:
            return False
    return True
