"""`serve` as a real process, on models that the platform has unpacked."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import cv2
import pytest

from imclass import artifact
from imclass.inference.predictor import load
from imclass.sagemaker.endpoint import serve_arguments
from imclass.sagemaker.layout import Layout
from tests.conftest import SaveModel
from tests.pictures import picture
from tests.sagemaker.job_folder import DEADLINE, running

ROOT = Path(__file__).parents[2]
MXNET_MODEL = ROOT / "tests/golden/models/resnet20_28"


@contextmanager
def serving(layout: Layout, **environment: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A server that is ready, and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running("serve", layout, SAGEMAKER_BIND_TO_PORT=str(port), **environment) as process:
        deadline = time.monotonic() + DEADLINE
        while not is_healthy(port):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
        yield process, port


def is_healthy(port: int) -> bool:
    """What the health check of the image says."""
    command = [sys.executable, str(ROOT / "docker/healthcheck.py")]
    result = subprocess.run(
        command, env={"SAGEMAKER_BIND_TO_PORT": str(port)}, capture_output=True, check=False, timeout=DEADLINE
    )
    return result.returncode == 0


def ask(port: int, image: bytes) -> tuple[int, str | None, bytes]:
    """Status, content type and body of the answer to an image, sent as SageMaker's examples do."""
    connection = HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        connection.request("POST", "/invocations", image, {"Content-Type": "application/x-image"})
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type"), response.read()
    finally:
        connection.close()


def encoded(side: int = 16) -> bytes:
    content: bytes = cv2.imencode(".png", picture(1, 3, side)[:, :, ::-1])[1].tobytes()
    return content


def test_an_endpoint_with_a_model_of_ours(tmp_path: Path, save_model: SaveModel) -> None:
    layout = Layout(tmp_path / "ml")
    archive = save_model()
    artifact.unpack(archive, layout.model, limit=1 << 30)
    with serving(layout) as (process, port):
        status, content_type, body = ask(port, encoded())
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    assert (status, content_type) == (200, "application/json")
    assert json.loads(body) == pytest.approx(load(archive).predict([encoded()])[0].tolist(), abs=1e-6)
    assert output.splitlines()[0] == "Docker entrypoint called with argument(s): serve"
    assert "Traceback" not in output


def test_batch_transform_with_a_model_of_the_original(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "ml")
    layout.model.mkdir(parents=True)
    shutil.copy(MXNET_MODEL / "model-symbol.json", layout.model / "image-classification-symbol.json")
    shutil.copy(MXNET_MODEL / "model-0001.params", layout.model / "image-classification-0001.params")
    (layout.model / "model-shapes.json").write_text('[{"shape": [1, 3, 28, 28], "name": "data"}]')
    with serving(layout, SAGEMAKER_BATCH="true", IMCLASS_SERVE_OPTIONS="--max-batch 4") as (_, port):
        status, _, body = ask(port, encoded(28))
    assert status == 200
    assert list(json.loads(body)) == ["prediction"]


def test_nothing_to_serve(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.model.mkdir()
    with running("serve", layout) as process:
        output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 2
    assert f"imclass: error: {layout.model}: there is no model.json in it" in output


def test_no_container_of_sagemaker(tmp_path: Path) -> None:
    for command in ("serve", "train"):
        with running(command, Layout(tmp_path / "none")) as process:
            output, _ = process.communicate(timeout=DEADLINE)
        assert process.returncode == 2
        assert f"{command}: there is no {tmp_path / 'none'}" in output


def test_the_arguments_of_the_server() -> None:
    layout = Layout()
    usual = ["/opt/ml/model", "--host", "0.0.0.0", "--port", "8080", "--insecure-public"]
    assert serve_arguments(layout, {}) == usual
    assert serve_arguments(layout, {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "0"}) == usual
    platform = {"SAGEMAKER_BIND_TO_PORT": "9090", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "100", "SAGEMAKER_BATCH": "true"}
    options = {"IMCLASS_SERVE_OPTIONS": "--precision bfloat16 --class-names '/opt/ml/my names'"}
    assert serve_arguments(layout, platform | options)[4:] == [
        "9090",
        "--insecure-public",
        "--max-body-mb",
        "100",
        "--precision",
        "bfloat16",
        "--class-names",
        "/opt/ml/my names",
    ]


def test_a_compiled_model_is_named_by_its_graph(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.model.mkdir()
    assert serve_arguments(layout, {})[0] == str(layout.model)
    (layout.model / "compiled.xml").touch()
    assert serve_arguments(layout, {})[0] == str(layout.model / "compiled.xml")
