"""Server processes and those who keep them going, with small programs in place of `serve`."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import pytest

from imclass.sagemaker.control_plane.hosting import instance as instances
from imclass.sagemaker.control_plane.hosting import serving_process
from imclass.sagemaker.control_plane.hosting.instance import Instance
from imclass.sagemaker.control_plane.hosting.serving_process import ServingProcess, UnhealthyError
from imclass.sagemaker.control_plane.store.log_files import read_events
from tests.sagemaker.control_plane.jobs.test_keeper import is_alive

SERVER = """
import http.server, os, time
print(f"I am {os.getpid()}", flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        on_ping(self)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"INFO listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""
HEALTHY = f"def on_ping(handler): pass\n{SERVER}"
FEW_PINGS = f"pings = []\ndef on_ping(handler):\n    pings.append(1)\n    len(pings) < 3 or time.sleep(60)\n{SERVER}"
Launch = Callable[[], ServingProcess]


@pytest.fixture
def programs(tmp_path: Path) -> Callable[[str], Launch]:
    """Makes of a program of Python what launches it as a server process."""

    def make(program: str) -> Launch:
        # The command names a module of imclass; there is another one of this name here.
        package = tmp_path / "imclass/sagemaker/control_plane"
        package.mkdir(parents=True, exist_ok=True)
        for folder in (tmp_path / "imclass", tmp_path / "imclass/sagemaker", package):
            (folder / "__init__.py").touch()
        (package / "contained.py").write_text(program)
        return lambda: ServingProcess({"PYTHONPATH": str(tmp_path)}, tmp_path / "log", "token")

    return make


def messages(folder: Path) -> list[str]:
    return [event.message for event in read_events(folder / "log")]


def numbers(folder: Path) -> list[int]:
    """Of the processes that have said who they are."""
    return [int(found[1]) for line in messages(folder) if (found := re.fullmatch(r"I am (\d+)", line))]


def wait_for_death(process: int) -> None:
    deadline = time.monotonic() + 30
    while is_alive(process):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_process_gets_healthy_and_ends(programs: Callable[[str], Launch], tmp_path: Path) -> None:
    async def work() -> None:
        process = programs(HEALTHY)()
        assert process.pool is None
        await process.until_healthy(60)
        assert process.pool is not None
        began = time.monotonic()
        await process.end()
        await process.end()  # nothing is left to do
        assert time.monotonic() - began < 10

    asyncio.run(work())
    (number,) = numbers(tmp_path)
    assert not is_alive(number)
    assert messages(tmp_path)[1].startswith("INFO listening on http://127.0.0.1:")


def test_last_words_of_a_process_that_ends(programs: Callable[[str], Launch]) -> None:
    async def work() -> None:
        process = programs("print('one')\nprint('two')\nraise SystemExit(3)")()
        with pytest.raises(UnhealthyError, match=r"It ended with status 3\. Its last words: one two"):
            await process.until_healthy(60)
        await process.end()

    asyncio.run(work())


def test_who_never_listens_is_not_waited_for(programs: Callable[[str], Launch]) -> None:
    async def work() -> None:
        process = programs("import time\ntime.sleep(60)")()
        with pytest.raises(UnhealthyError, match=r"It was not healthy within 0\.3 seconds\.$"):
            await process.until_healthy(0.3)
        await process.end()

    asyncio.run(work())


def test_a_crash_is_noticed_at_once(programs: Callable[[str], Launch], tmp_path: Path) -> None:
    async def work() -> None:
        process = programs(HEALTHY)()
        await process.until_healthy(60)
        os.kill(numbers(tmp_path)[0], signal.SIGKILL)
        with pytest.raises(UnhealthyError, match="It was ended by SIGKILL"):
            async with asyncio.timeout(10):
                await process.until_unhealthy()
        await process.end()

    asyncio.run(work())


def test_pings_without_an_answer(programs: Callable[[str], Launch], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_process, "PING_SECONDS", 0.05)
    monkeypatch.setattr(serving_process, "PONG_SECONDS", 0.5)
    monkeypatch.setattr(serving_process, "MOST_LOST_PINGS", 2)

    async def work() -> None:
        process = programs(FEW_PINGS)()
        await process.until_healthy(60)
        with pytest.raises(UnhealthyError, match="It has not answered 2 pings"):
            async with asyncio.timeout(30):
                await process.until_unhealthy()
        await process.end()

    asyncio.run(work())


def test_who_does_not_listen_is_killed_with_its_children(
    programs: Callable[[str], Launch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_process, "STOP_SECONDS", 0.3)
    program = (
        "import signal, subprocess, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        f"print(f'I am {{child.pid}}', flush=True)\n{HEALTHY}"
    )

    async def work() -> None:
        process = programs(program)()
        await process.until_healthy(60)
        await process.end()

    asyncio.run(work())
    found = numbers(tmp_path)
    assert len(found) == 2
    for number in found:
        wait_for_death(number)


def with_instance(launch: Launch, folder: Path, work: Callable[[Instance, list[float]], Awaitable[None]]) -> None:
    """Run some work with an instance, and the times at which its processes were launched."""
    times: list[float] = []

    def timed(_: Instance) -> ServingProcess:
        times.append(time.monotonic())
        return launch()

    async def whole() -> None:
        instance = Instance(folder / "instances", 60.0, timed, lambda: None)
        keeping = asyncio.create_task(instance.keep())
        try:
            async with asyncio.timeout(60):
                await work(instance, times)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await instance.end()
        assert instance.process is None

    asyncio.run(whole())


def test_a_crashed_process_is_launched_again(programs: Callable[[str], Launch], tmp_path: Path) -> None:
    async def work(instance: Instance, times: list[float]) -> None:
        for count in (1, 2):
            while instance.process is None:
                await asyncio.sleep(0.01)
            assert len(times) == count
            os.kill(numbers(tmp_path)[-1], signal.SIGKILL)
            while instance.process is not None:
                await asyncio.sleep(0.01)

    with_instance(programs(HEALTHY), tmp_path, work)
    for number in numbers(tmp_path):
        assert not is_alive(number)


def test_pauses_grow_up_to_a_limit(
    programs: Callable[[str], Launch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "FIRST_PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(instances, "LONGEST_PAUSE_SECONDS", 0.8)

    async def work(instance: Instance, times: list[float]) -> None:
        while len(times) < 5:
            await asyncio.sleep(0.01)
        pauses = [later - earlier for earlier, later in pairwise(times)]
        assert all(pause >= least for pause, least in zip(pauses, (0.2, 0.4, 0.8, 0.8), strict=True))

    with_instance(programs("raise SystemExit(1)"), tmp_path, work)


def test_a_process_that_cannot_be_launched_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "FIRST_PAUSE_SECONDS", 0.01)

    def fail() -> ServingProcess:
        raise OSError("no memory")

    async def work(instance: Instance, times: list[float]) -> None:
        while len(times) < 3:
            await asyncio.sleep(0.01)
        with pytest.raises(UnhealthyError, match="It cannot be started: no memory"):
            await instance.start()

    with_instance(fail, tmp_path, work)


def test_draining_waits_for_the_last_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Instance) -> ServingProcess:
        raise OSError

    async def work() -> None:
        instance = Instance(tmp_path, 1.0, fail, lambda: None)
        instance.requests = 1
        draining = asyncio.create_task(instance.drain())
        await asyncio.sleep(0.1)
        assert not draining.done()
        instance.requests = 0
        await asyncio.wait_for(draining, 10)
        instance.requests = 1
        monkeypatch.setattr(instances, "DRAIN_SECONDS", 0.1)
        await asyncio.wait_for(instance.drain(), 10)  # who never gets an answer is not waited for

    asyncio.run(work())
