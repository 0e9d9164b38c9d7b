"""Transforms that are killed, stopped, divided and gone on with, as real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.inference.transform.conftest import relative_files, write_photos

DEADLINE = 120.0
IMAGES = 800  # 13 pieces


@pytest.fixture
def many(tmp_path: Path, pixels_of: Callable[..., np.ndarray]) -> Path:
    return write_photos(tmp_path / "many", IMAGES, pixels_of)


def start(program: Sequence[str], *arguments: object) -> subprocess.Popen[str]:
    options = ["--device", "cpu", "--threads", "1", "--batch-size", "4"]
    return subprocess.Popen(
        [sys.executable, "-m", *program, "transform", *map(str, arguments), *options],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], status: int = 0) -> str:
    output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == status, output
    return output


def interrupt(process: subprocess.Popen[str], number: int, is_far: Callable[[], bool]) -> int:
    """Send a signal once the work is half-way; gives the exit status."""
    deadline = time.monotonic() + DEADLINE
    while not is_far():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "the transform does not get on"
        time.sleep(0.002)
    os.killpg(process.pid, number)
    process.communicate(timeout=DEADLINE)
    return process.returncode


def results(folder: Path) -> dict[str, tuple[int, int]]:
    """Path, and inode and time of change, of all results."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*.out")
    }


def all_names(many: Path) -> list[str]:
    return sorted(f"{path.relative_to(many).as_posix()}.out" for path in many.rglob("*.png"))


def pieces_done(output: Path) -> int:
    return len(list(output.with_name(f".{output.name}.transform").rglob("*.done")))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_what_was_done_before_the_end_is_kept_and_the_rest_is_done(
    model: Path, many: Path, tmp_path: Path, number: signal.Signals
) -> None:
    output = tmp_path / "results"
    status = interrupt(start(["imclass"], model, many, output), number, lambda: len(results(output)) >= 200)
    assert status == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    before = results(output)
    assert 200 <= len(before) < IMAGES
    for name in before:
        assert len(json.loads((output / name).read_text())["prediction"]) == 3
    (output / "a" / ".0000.png.out.0123456789ab.tmp").write_bytes(b"of a process that was killed long ago")
    (output / "a" / "0000.png.out").unlink(missing_ok=True)
    before.pop("a/0000.png.out")

    said = finish(start(["imclass"], model, many, output))
    assert f"{len(before)} of {IMAGES} images have results already" in said
    assert relative_files(output) == all_names(many)
    after = results(output)
    assert {name: after[name] for name in before} == before


def test_a_killed_shard_of_a_single_file_is_done_by_others(model: Path, many: Path, tmp_path: Path) -> None:
    whole, output = tmp_path / "whole", tmp_path / "results"
    finish(start(["imclass"], model, many, whole, "--format", "jsonl"))
    shards = [
        start(["imclass"], model, many, output, "--format", "jsonl", "--num-shards", 2, "--shard-index", index)
        for index in range(2)
    ]
    interrupt(shards[1], signal.SIGKILL, lambda: pieces_done(output) >= 4)
    assert "parts of the work are still to be done by other shards" in finish(shards[0])
    assert relative_files(output) == []

    finish(start(["imclass"], model, many, output, "--format", "jsonl"))  # by one process what two began
    assert relative_files(output) == ["predictions.jsonl"]
    assert (output / "predictions.jsonl").read_bytes() == (whole / "predictions.jsonl").read_bytes()


def test_processes_of_torchrun_share_the_work_and_end_together(model: Path, many: Path, tmp_path: Path) -> None:
    whole, output = tmp_path / "whole", tmp_path / "results"
    (many / "a" / "0000.png").write_bytes(b"no image")
    finish(start(["imclass"], model, many, whole, "--format", "jsonl"), status=2)
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "imclass"]
    said = finish(start(torchrun, model, many, output, "--format", "jsonl"), status=1)  # torchrun's own status
    assert "no result for 1 of 800 images" in said
    assert f"figure\tpredicted\t{6 * 64 + 32}" in said  # pieces 0, 2, ..., 12; the last of them has 32 images
    assert relative_files(output) == ["failed.jsonl", "predictions.jsonl"]
    for name in relative_files(output):
        assert (output / name).read_bytes() == (whole / name).read_bytes()


def test_shards_that_start_together_agree_on_the_job(model: Path, many: Path, tmp_path: Path) -> None:
    output = tmp_path / "results"
    shards = [
        start(["imclass"], model, many, output, "--num-shards", 3, "--shard-index", index, "--quiet")
        for index in range(3)
    ]
    for shard in shards:
        finish(shard)
    assert relative_files(output) == all_names(many)
