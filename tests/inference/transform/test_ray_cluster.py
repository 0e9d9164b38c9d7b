"""Transform on a Ray cluster of two nodes, one of which is killed half-way."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from imclass.errors import UserError
from imclass.inference.transform import Request, transform
from imclass.inference.transform.ray_cluster import transform_on_ray
from tests.inference.transform.conftest import CPU, relative_files, write_photos
from tests.inference.transform.test_transform import Watched

DEADLINE = 300.0
IMAGES = 800  # 13 pieces

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed"),
    pytest.mark.timeout(900),
]


@pytest.fixture
def many(tmp_path: Path, pixels_of: Callable[..., np.ndarray]) -> Path:
    return write_photos(tmp_path / "many", IMAGES, pixels_of)


@pytest.fixture
def nodes() -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    program = Path(__file__).with_name("ray_nodes.py")
    with subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        process.communicate(timeout=DEADLINE)


def line_from(process: subprocess.Popen[str], beginning: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return line.strip()
    raise AssertionError(f"the cluster ended without saying {beginning}")


def pieces_done(output: Path) -> int:
    return len(list(output.with_name(f".{output.name}.transform").rglob("*.done")))


@pytest.mark.parametrize("format", ["out", "jsonl"])
def test_a_node_that_is_killed_half_way_costs_no_result(
    model: Path, many: Path, tmp_path: Path, nodes: subprocess.Popen[str], format: str
) -> None:
    output = tmp_path / "results"
    (many / "a" / "0000.png").write_bytes(b"no image")
    address = line_from(nodes, "")
    command = [sys.executable, "-m", "imclass", "transform", str(model), str(many), str(output), "--format", format]
    driver = subprocess.Popen(
        [*command, "--device", "cpu", "--batch-size", "1", "--ray", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + DEADLINE
    while pieces_done(output) < 3:
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < deadline, "the transform does not get on"
        time.sleep(0.01)
    assert nodes.stdin is not None
    nodes.stdin.write("kill\n")
    nodes.stdin.flush()
    line_from(nodes, "killed")
    assert pieces_done(output) < 13, "the node was killed too late to prove anything"
    said, _ = driver.communicate(timeout=DEADLINE)
    assert driver.returncode == 2, said
    assert "no result for 1 of 800 images" in said

    keys = sorted(path.relative_to(many).as_posix() for path in many.rglob("*.png"))[1:]
    if format == "jsonl":
        assert relative_files(output) == ["failed.jsonl", "predictions.jsonl"]
        lines = (output / "predictions.jsonl").read_text().splitlines()
        assert [json.loads(line)["key"] for line in lines] == keys
    else:
        assert relative_files(output) == sorted(["failed.jsonl", *(f"{key}.out" for key in keys)])
        for key in keys:
            assert len(json.loads((output / f"{key}.out").read_text())["prediction"]) == 3


@pytest.mark.parametrize("address", ["127.0.0.1:{closed}", "nowhere", "host:port"])
def test_a_cluster_that_is_not_there(model: Path, photos: Path, tmp_path: Path, address: str) -> None:
    with socket.socket() as bound:  # and nobody listens on it
        bound.bind(("127.0.0.1", 0))
        address = address.format(closed=bound.getsockname()[1])
        request = Request(model, photos, tmp_path / "results", computing=CPU)
        with pytest.raises(UserError, match=f"ray {address}: there is no Ray cluster: "):
            transform_on_ray(request, address, Watched())


def test_a_finished_job_needs_no_cluster(model: Path, photos: Path, tmp_path: Path) -> None:
    request = Request(model, photos, tmp_path / "results", computing=CPU)
    transform(request, Watched())
    watched = Watched()
    summary = transform_on_ray(request, "no-such-host:1", watched)
    assert (summary.predicted, watched.already, summary.waiting_pieces) == (0, 150, 0)


def test_a_cluster_needs_the_package(
    monkeypatch: pytest.MonkeyPatch, model: Path, photos: Path, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="pip install 'imclass\\[ray\\]'"):
        transform_on_ray(Request(model, photos, tmp_path / "results"), "auto", Watched())
