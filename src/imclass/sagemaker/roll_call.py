"""The hosts of a job find each other, and watch over each other until the job ends.

torch's processes exchange gradients, and one that waits for a host which was cut off waits for minutes. So the first
process of each host keeps a connection to the leader's, on which both say every other second that they are alive. Who
fails says why, and the leader passes it on: every host ends within seconds, with the reason of the one that began it.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from imclass.errors import UserError
from imclass.sagemaker.cluster import PORT, Cluster
from imclass.sagemaker.failure import Failure, JobFailedError
from imclass.sagemaker.link import LARGEST_MESSAGE, SILENCE_SECONDS, Link, Message, read_message

log = logging.getLogger(__name__)

ASSEMBLY_SECONDS = 300.0
AGAIN_SECONDS = 0.5  # between two tries to find or reach a host
INTRODUCTION_SECONDS = 5.0


@dataclass(frozen=True)
class Patience:
    """How long a host waits.

    Attributes:
        assembly: for all hosts to be found, in seconds.
        silence: for a sign of life, in seconds.
    """

    assembly: float = ASSEMBLY_SECONDS
    silence: float = SILENCE_SECONDS


USUAL = Patience()


class RollCall:
    """What a host knows of the others.

    Attributes:
        address, port: where torch's processes meet, on the leader.
    """

    def __init__(self) -> None:
        self.address = "127.0.0.1"
        self.port = 0
        self._links: list[Link] = []
        self._failures: list[Failure] = []
        self._changed = threading.Condition()
        self._has_begun = False

    @property
    def failures(self) -> list[Failure]:
        """What was heard of other hosts so far."""
        with self._changed:
            return list(self._failures)

    def tell(self, failure: Failure) -> None:
        """Tell the other hosts why this one fails."""
        for link in self._links:
            link.send("failed", failure=failure.to_dict())

    def finish(self) -> None:
        """Tell the other hosts that this one is done."""
        for link in self._links:
            link.send("done")

    def close(self) -> None:
        for link in self._links:
            link.close()

    def watch(self, connection: socket.socket, host: str, patience: Patience) -> Link:
        """A link to a host, to be started."""
        link = Link(connection, host, on_message=self._hear, on_loss=self._lose, silence_seconds=patience.silence)
        self._links.append(link)
        return link

    def begin(self, address: str, port: int) -> None:
        """All hosts are here: tell them where torch's processes meet."""
        self.address, self.port = address, port
        for link in self._links:
            link.send("begin", address=address, port=port)

    def wait_to_begin(self, seconds: float, stop_requested: Callable[[], bool]) -> None:
        """Wait for the leader's word.

        Raises:
            JobFailedError: it does not come, or another host has failed.
            StoppedEarlyError: a stop was requested.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._has_begun:
                if self._failures:
                    raise JobFailedError(self._failures[0])
                check_wait("the leader waits for other hosts", deadline, seconds, stop_requested)
                self._changed.wait(AGAIN_SECONDS)

    def _hear(self, link: Link, message: Message) -> None:
        if message["kind"] == "failed":
            failure = read_failure(message)
            self._add(failure)
            self._pass_on(failure, heard_from=link)
        elif message["kind"] == "begin":
            with self._changed:
                self.address, self.port = str(message["address"]), int(str(message["port"]))
                self._has_begun = True
                self._changed.notify_all()

    def _lose(self, link: Link, why: str) -> None:
        failure = Failure(f"host {link.host} is lost: {why}. Start the job again: it goes on from the last checkpoint.")
        self._add(failure)
        self._pass_on(failure, heard_from=link)

    def _add(self, failure: Failure) -> None:
        with self._changed:
            self._failures.append(failure)
            self._changed.notify_all()

    def _pass_on(self, failure: Failure, heard_from: Link) -> None:
        for link in self._links:
            if link is not heard_from:
                link.send("failed", failure=failure.to_dict())


class StoppedEarlyError(Exception):
    """A stop was requested before there was anything to keep."""


@contextmanager
def roll_call(
    cluster: Cluster,
    processes: int,
    *,
    stop_requested: Callable[[], bool] = lambda: False,
    port: int = PORT,
    patience: Patience = USUAL,
) -> Iterator[RollCall]:
    """Find the other hosts, and watch over them while the block lasts.

    Args:
        processes: number of processes that train on this host; all hosts must have the same.
        stop_requested: asked while waiting.
        port: the leader listens on it.

    Raises:
        UserError: the hosts have different numbers of processes.
        JobFailedError: a host cannot be found.
        StoppedEarlyError: a stop was requested.
    """
    with ExitStack() as stack:
        call = stack.enter_context(closing(RollCall()))
        if cluster.is_alone:
            call.port = free_port(call.address)
        else:
            deadline = time.monotonic() + patience.assembly
            leader = cluster.addresses.get(cluster.leader) or find_address(
                cluster.leader, deadline, patience.assembly, stop_requested
            )
            if cluster.leads:
                _lead(call, cluster, processes, leader, port, deadline, patience, stop_requested)
            else:
                _follow(call, cluster, processes, leader, port, deadline, patience, stop_requested)
            log.info("All %d hosts are here; processes meet at %s port %d", len(cluster.hosts), call.address, call.port)
        yield call


def _lead(
    call: RollCall,
    cluster: Cluster,
    processes: int,
    address: str,
    port: int,
    deadline: float,
    patience: Patience,
    stop_requested: Callable[[], bool],
) -> None:
    """Wait for all other hosts, compare them with this one, and let everybody begin."""
    missing = set(cluster.hosts) - {cluster.current_host}
    counts = {cluster.current_host: processes}
    with socket.create_server((address, port)) as server:
        server.settimeout(AGAIN_SECONDS)
        while missing:
            waits_for = f"these hosts have not come: {', '.join(sorted(missing))}"
            check_wait(waits_for, deadline, patience.assembly, stop_requested)
            if call.failures:
                raise JobFailedError(call.failures[0])
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            host, count = introduction(connection)
            if host not in missing:
                log.warning("A connection that is not of a host that was waited for was ended")
                connection.close()
                continue
            missing.remove(host)
            counts[host] = count
            call.watch(connection, host, patience).start()
    if len(set(counts.values())) > 1:
        words = ", ".join(f"{host} {count}" for host, count in sorted(counts.items()))
        error = UserError(
            f"the hosts have different numbers of processes: {words}", fix="Use instances of one type for a job."
        )
        call.tell(Failure(str(error), is_users=True))
        raise error
    call.begin(address, free_port(address))


def _follow(
    call: RollCall,
    cluster: Cluster,
    processes: int,
    address: str,
    port: int,
    deadline: float,
    patience: Patience,
    stop_requested: Callable[[], bool],
) -> None:
    """Reach the leader, which may start later than this host, and wait for its word."""
    while True:
        try:
            connection = socket.create_connection((address, port), timeout=INTRODUCTION_SECONDS)
            break
        except OSError as error:
            check_wait(
                f"{cluster.leader} ({address} port {port}) cannot be reached: {error.strerror or error}",
                deadline, patience.assembly, stop_requested,
            )  # fmt: skip
            time.sleep(AGAIN_SECONDS)
    link = call.watch(connection, cluster.leader, patience)
    link.send("here", host=cluster.current_host, processes=processes)
    link.start()
    call.wait_to_begin(patience.assembly, stop_requested)


def find_address(host: str, deadline: float, seconds: float, stop_requested: Callable[[], bool]) -> str:
    """The IPv4 address of a host, whose name may become known only after this container has started.

    Raises:
        JobFailedError: the name is not known at the deadline.
        StoppedEarlyError: a stop was requested.
    """
    while True:
        try:
            found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
            return str(found[0][4][0])
        except socket.gaierror as error:
            check_wait(f"the name {host} is not known: {error.strerror}", deadline, seconds, stop_requested)
            time.sleep(AGAIN_SECONDS)


def check_wait(what: str, deadline: float, seconds: float, stop_requested: Callable[[], bool]) -> None:
    """Raise when a wait must end.

    Args:
        what: why it goes on.
        deadline: on the monotonic clock.
        seconds: length of the whole wait.
    """
    if stop_requested():
        raise StoppedEarlyError
    if time.monotonic() > deadline:
        raise JobFailedError(Failure(f"the hosts did not find each other in {seconds:g} seconds: {what}"))


def introduction(connection: socket.socket) -> tuple[str, int]:
    """Name and number of processes of a host that has just connected; an empty name when it says something else."""
    connection.settimeout(INTRODUCTION_SECONDS)
    try:
        message = read_message(_read_line(connection))
        return str(message["host"]), int(str(message["processes"]))
    except (OSError, ValueError, KeyError) as error:
        log.debug("no introduction: %s", error)
        return "", 0


def _read_line(connection: socket.socket) -> bytes:
    """One line and nothing of the next."""
    line = b""
    while not line.endswith(b"\n") and len(line) < LARGEST_MESSAGE:
        byte = connection.recv(1)
        if not byte:
            break
        line += byte
    return line


def read_failure(message: Message) -> Failure:
    """The failure that a host tells of."""
    failure = message["failure"]
    if not isinstance(failure, dict):
        raise ValueError("a failure is an object")
    return Failure.from_dict(failure)


def free_port(address: str) -> int:
    """A TCP port of this host that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port
