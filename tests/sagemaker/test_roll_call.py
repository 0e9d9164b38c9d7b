"""Hosts find each other and watch over each other; here they are threads, whose addresses are names of loopback."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from imclass.errors import UserError
from imclass.sagemaker.cluster import Cluster
from imclass.sagemaker.failure import Failure, JobFailedError
from imclass.sagemaker.roll_call import Patience, RollCall, StoppedEarlyError, find_address, free_port, roll_call

HOSTS = ("127.0.0.1", "localhost")
PATIENCE = Patience(assembly=20, silence=1.0)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def call_of(
    host: str, port: int, processes: int = 1, patience: Patience = PATIENCE
) -> AbstractContextManager[RollCall]:
    return roll_call(Cluster(host, HOSTS), processes, port=port, patience=patience)


def on_both(
    pool: ThreadPoolExecutor, work: Callable[[str, RollCall], object], processes: tuple[int, int] = (1, 1)
) -> list[Future[object]]:
    """Let each host do its work while the other is watched."""
    port = free_port("127.0.0.1")

    def host(index: int) -> object:
        with call_of(HOSTS[index], port, processes[index]) as call:
            return work(HOSTS[index], call)

    return [pool.submit(host, index) for index in range(2)]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_host_alone_needs_no_other() -> None:
    with roll_call(Cluster("algo-1", ("algo-1",)), 2) as call:
        assert call.address == "127.0.0.1"
        assert call.port > 0
        assert call.failures == []


def test_both_learn_where_processes_meet_and_nobody_is_lost_at_the_end(pool: ThreadPoolExecutor) -> None:
    def work(host: str, call: RollCall) -> object:
        if host == HOSTS[1]:
            time.sleep(2 * PATIENCE.silence)  # longer than silence is borne: signs of life keep both
        call.finish()
        return call.address, call.port, call.failures

    first, second = (future.result() for future in on_both(pool, work))
    assert first == second
    assert first[0] == "127.0.0.1"  # type: ignore[index]
    assert first[2] == []  # type: ignore[index]


def test_a_failure_is_told_with_its_reason(pool: ThreadPoolExecutor) -> None:
    def work(host: str, call: RollCall) -> object:
        if host == HOSTS[1]:
            call.tell(Failure("an image is gone", is_users=True))
            return None
        wait_for(lambda: call.failures)
        time.sleep(0.2)  # the end of the connection is no second failure
        return call.failures

    heard, _ = (future.result() for future in on_both(pool, work))
    assert [(failure.what, failure.is_users) for failure in heard] == [("an image is gone", True)]  # type: ignore[attr-defined]


def test_a_host_that_ends_without_a_word_is_lost(pool: ThreadPoolExecutor) -> None:
    def work(host: str, call: RollCall) -> object:
        if host == HOSTS[0]:
            return None
        wait_for(lambda: call.failures)
        return call.failures[0].what

    _, heard = (future.result() for future in on_both(pool, work))
    assert str(heard).startswith("host 127.0.0.1 is lost: it ended without a word.")


def test_a_silent_host_is_lost(pool: ThreadPoolExecutor) -> None:
    port = free_port("127.0.0.1")

    def lead() -> str:
        with call_of(HOSTS[0], port) as call:
            wait_for(lambda: call.failures)
            return call.failures[0].what

    leader = pool.submit(lead)
    with connected(port) as follower:
        follower.sendall(b'{"kind": "here", "host": "localhost", "processes": 1}\n')
        assert leader.result(20).startswith("host localhost is lost: it has sent nothing for 1 seconds")


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b'{"kind": 3}\n', b'{"kind": "failed"}\n'])
def test_a_host_that_talks_nonsense_is_lost(pool: ThreadPoolExecutor, sent: bytes) -> None:
    port = free_port("127.0.0.1")

    def lead() -> str:
        with call_of(HOSTS[0], port) as call:
            wait_for(lambda: call.failures)
            return call.failures[0].what

    leader = pool.submit(lead)
    with connected(port) as follower:
        follower.sendall(b'{"kind": "here", "host": "localhost", "processes": 1}\n' + sent)
        assert "it sent something that is no message" in leader.result(20)


def test_strangers_are_sent_away(pool: ThreadPoolExecutor) -> None:
    port = free_port("127.0.0.1")
    leader = pool.submit(lambda: enter(call_of(HOSTS[0], port)))
    for words in (b"GET / HTTP/1.1\r\n\r\n", b'{"kind": "here", "host": "algo-9", "processes": 1}\n'):
        with connected(port) as stranger:
            stranger.sendall(words)
            assert is_ended(stranger)
    assert enter(call_of(HOSTS[1], port)) is None
    assert leader.result(20) is None


def is_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:  # what was sent had not been read to its end
        return True


def enter(call: AbstractContextManager[RollCall]) -> None:
    with call as entered:
        entered.finish()


def connected(port: int) -> socket.socket:
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=20)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_hosts_with_different_numbers_of_processes(pool: ThreadPoolExecutor) -> None:
    leader, follower = on_both(pool, lambda host, call: None, processes=(2, 1))
    with pytest.raises(UserError, match=r"127\.0\.0\.1 2, localhost 1"):
        leader.result(20)
    with pytest.raises(JobFailedError, match="different numbers of processes"):
        follower.result(20)


@pytest.mark.parametrize(
    ("host", "said"), [(HOSTS[0], "these hosts have not come: localhost"), (HOSTS[1], "cannot be reached")]
)
def test_a_host_that_never_comes(host: str, said: str) -> None:
    with (
        pytest.raises(JobFailedError, match=f"did not find each other in 0.3 seconds: .*{said}"),
        call_of(host, free_port("127.0.0.1"), patience=Patience(assembly=0.3)),
    ):
        pytest.fail("nobody is there")


def test_a_stop_ends_the_wait_for_others() -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with (
        pytest.raises(StoppedEarlyError),
        roll_call(Cluster(HOSTS[0], HOSTS), 1, stop_requested=stop.is_set, port=free_port("127.0.0.1")),
    ):
        pytest.fail("nobody is there")


def test_a_name_that_becomes_known_late_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    known_from = time.monotonic() + 0.7
    lookup = socket.getaddrinfo

    def late(host: str, *arguments: object) -> object:
        if time.monotonic() < known_from:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return lookup("127.0.0.1", *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", late)
    assert find_address("algo-1", time.monotonic() + 20, 20, lambda: False) == "127.0.0.1"


def test_a_name_that_stays_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*arguments: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(JobFailedError, match="the name algo-1 is not known: Name or service not known"):
        find_address("algo-1", time.monotonic(), 0, lambda: False)
