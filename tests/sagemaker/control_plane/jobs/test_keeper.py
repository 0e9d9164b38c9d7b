"""The keeper with small programs in place of a training job."""

import fcntl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imclass.sagemaker.control_plane.jobs import keeper
from imclass.sagemaker.control_plane.jobs.keeper import Kept, LostError, Order, Result, keep
from imclass.sagemaker.control_plane.store.log_files import LONGEST_MESSAGE, LogWriter, read_events

Keep = Callable[..., tuple[Result, list[str]]]


@pytest.fixture
def keep_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keep:
    """Runs a program of Python under a keeper; gives the result and what was logged."""

    def run(program: str, seconds: float = 60.0, stop: Path | None = None) -> tuple[Result, list[str]]:
        # The keeper adds its own number to this command, which the program does not look at.
        package = tmp_path / "imclass/sagemaker/control_plane"
        package.mkdir(parents=True, exist_ok=True)
        for folder in (tmp_path / "imclass", tmp_path / "imclass/sagemaker", package):
            (folder / "__init__.py").touch()
        (package / "contained.py").write_text(program)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        log_file = tmp_path / "job.log"
        with LogWriter(log_file) as log:
            order = Order("train", str(log_file), time.time() + seconds)
            result = keep(order, stop or tmp_path / "stop", log)
        return result, [event.message for event in read_events(log_file)]

    return run


def test_lines_and_status(keep_program: Keep) -> None:
    program = (
        "import sys\nprint('one')\nprint('two', file=sys.stderr, flush=True)\nsys.stdout.write('end')\nsys.exit(3)"
    )
    result, lines = keep_program(program)
    assert result == Result(3, "itself")
    assert sorted(lines) == ["end", "one", "two"]


def test_a_signal_is_told_as_docker_does(keep_program: Keep) -> None:
    assert keep_program("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")[0] == Result(139, "itself")


def test_long_lines_become_several_events(keep_program: Keep) -> None:
    _, lines = keep_program(f"print('x' * {LONGEST_MESSAGE + 5})")
    assert [len(line) for line in lines] == [LONGEST_MESSAGE, 5]


def test_a_stop_is_a_sigterm(keep_program: Keep, tmp_path: Path) -> None:
    program = "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: exit(0))\nprint('up', flush=True)\n"
    stop = tmp_path / "asked"
    stop.touch()
    result, _ = keep_program(f"{program}time.sleep(60)", stop=stop)
    assert result.ended_by == "stop"
    assert result.exit_status in (0, 143)  # it may not have come so far as to handle the signal


def test_who_does_not_listen_is_killed(keep_program: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "STOP_SECONDS", 0.5)
    program = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\n"
    result, lines = keep_program(f"{program}time.sleep(60)", seconds=2.0)
    assert result == Result(137, "max_runtime")
    assert lines == ["deaf"]


def test_no_process_is_left_behind(keep_program: Keep) -> None:
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        "print(child.pid, flush=True)"
    )
    start = time.monotonic()
    result, lines = keep_program(program)
    assert result == Result(0, "itself")
    assert time.monotonic() - start < 30  # the pipe that the child holds too was closed
    deadline = time.monotonic() + 30
    while is_alive(int(lines[0])):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_keeper_that_is_gone_without_a_word_is_lost(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    with (tmp_path / "keeper.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert kept.ended() is None, "it is at work"
    with pytest.raises(LostError):
        kept.ended()
    (tmp_path / "result.json").write_text('{"exit_status": 3, "ended_by": "itself"}')
    assert kept.ended() == Result(3, "itself")


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended may still wait for its parent to ask how."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
