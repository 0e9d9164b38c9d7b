"""Locks between processes, and work in parallel."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from imclass.data.remote.locks import exclusive, is_in_use, keep_shared
from imclass.data.remote.parallel import in_parallel
from imclass.errors import DataError

HOLD = """
import sys, time
from pathlib import Path
from imclass.data.remote.locks import exclusive, keep_shared
if sys.argv[2] == "shared":
    keep_shared(Path(sys.argv[1]))
    print("held", flush=True)
    time.sleep(60)
with exclusive(Path(sys.argv[1])) as sign_of_life:
    print("held", flush=True)
    for _ in range(600):
        time.sleep(0.1)
        if sys.argv[2] == "alive":
            sign_of_life()
"""


class Holder:
    """A process that holds a lock until it is killed."""

    def __init__(self, path: Path, kind: str) -> None:
        command = [sys.executable, "-c", HOLD, str(path), kind]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate()


def test_who_waits_gives_up_on_a_holder_that_is_stuck(tmp_path: Path) -> None:
    holder = Holder(tmp_path / "lock", "stuck")
    try:
        with pytest.raises(DataError, match="another process fetches the same data"), exclusive(tmp_path / "lock", 0.5):
            pass
    finally:
        holder.kill()
    with exclusive(tmp_path / "lock", 0.5):
        pass


def test_who_waits_goes_on_waiting_for_a_holder_that_gets_on(tmp_path: Path) -> None:
    holder = Holder(tmp_path / "lock", "alive")
    timer = threading.Timer(2.0, holder.kill)
    timer.start()
    began = time.monotonic()
    with exclusive(tmp_path / "lock", 1.5):
        assert time.monotonic() - began > 1.5
    timer.join()


def test_shared_locks_tell_who_uses_something(tmp_path: Path) -> None:
    assert not is_in_use(tmp_path / "a.lock")
    holder = Holder(tmp_path / "a.lock", "shared")
    assert is_in_use(tmp_path / "a.lock")
    holder.kill()
    assert not is_in_use(tmp_path / "a.lock")
    keep_shared(tmp_path / "a.lock")
    assert is_in_use(tmp_path / "a.lock")


def test_parallel_work() -> None:
    results = in_parallel(lambda number: (number, number + 50), range(50), threads=4)
    assert sorted(results) == list(range(100))
    assert list(in_parallel(str, [], threads=4)) == []

    def fails(number: int) -> tuple[int]:
        if number == 20:
            raise DataError("no more")
        return (number,)

    with pytest.raises(DataError, match="no more"):
        list(in_parallel(fails, range(1000), threads=4))


def test_work_that_hangs() -> None:
    hangs = threading.Event()
    with pytest.raises(DataError, match=r"nothing came for 0\.2 seconds"):
        list(in_parallel(lambda _: (hangs.wait(30),), range(4), threads=2, stall_seconds=0.2))
    hangs.set()
