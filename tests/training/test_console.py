import logging
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imclass.training.console import console

DEADLINE = 120.0


def test_lines_go_to_standard_output_and_to_the_log_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("imclass.test")
    with console(quiet=False, log_file=tmp_path / "deep/log.txt", speaks=True):
        logger.info("Epoch[0] Train-accuracy=0.5")
    logger.warning("nobody listens any more")
    line = (tmp_path / "deep/log.txt").read_text()
    assert capsys.readouterr().out == line
    assert line.endswith("] Epoch[0] Train-accuracy=0.5\n")


def test_quiet_shows_warnings_only_but_the_file_has_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("imclass.test")
    with console(quiet=True, log_file=tmp_path / "log.txt", speaks=True):
        logger.info("information")
        logger.warning("trouble")
    printed = capsys.readouterr().out
    assert "trouble" in printed
    assert "information" not in printed
    assert "information" in (tmp_path / "log.txt").read_text()


def test_processes_that_do_not_speak_warn_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    with console(quiet=False, log_file=None, speaks=False):
        logging.getLogger("imclass.test").info("information")
        logging.getLogger("imclass.test").warning("trouble")
    printed = capsys.readouterr().out
    assert "trouble" in printed
    assert "information" not in printed


def test_a_terminal_gets_a_live_bar(photos: Path, tmp_path: Path) -> None:
    main, terminal = pty.openpty()
    command = [sys.executable, "-m", "imclass", "train", str(photos), "--output", str(tmp_path), "--device", "cpu"]
    settings = ["--epochs", "2", "--num-layers", "8", "--mini-batch-size", "2", "--threads", "1", "--no-report"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm-256color", "COLUMNS": "200"}
    process = subprocess.Popen([*command, *settings], stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    shown = read_all(main)
    assert process.wait(timeout=DEADLINE) == 0, shown
    assert "images/s" in shown
    assert "epoch 2/2" in shown
    assert "━" in shown, "the bar itself"
    assert "Epoch[0] Batch" not in shown, "the bar stands for the log lines"


def read_all(descriptor: int) -> str:
    """What a program writes to its terminal until it ends."""
    pieces = []
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        ready, _, _ = select.select([descriptor], [], [], 1.0)
        if ready:
            try:
                piece = os.read(descriptor, 65536)
            except OSError:  # Linux's word for the end of a terminal
                break
            if not piece:
                break
            pieces.append(piece)
    os.close(descriptor)
    return b"".join(pieces).decode(errors="replace")
