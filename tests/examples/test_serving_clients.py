"""The clients of `imclass serve`, run as programs against a server in a process of its own."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from imclass import load
from tests.conftest import CLASS_NAMES
from tests.examples.conftest import EXAMPLES
from tests.inference.serving.sockets import ServerProcess, as_process
from tests.pictures import picture

UNANSWERED = "1 images were not answered"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / "a.jpg", folder / "b.png"]
    for number, path in enumerate(paths):
        assert cv2.imwrite(str(path), picture(number, number, side=40))
    return paths


@pytest.fixture
def model(save_model: Callable[..., Path]) -> Path:
    return save_model()


@pytest.fixture
def server(model: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    with as_process(tmp_path, model) as running:
        yield running


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=100, check=False)


def test_both_clients(server: ServerProcess, model: Path, images: list[Path], tmp_path: Path) -> None:
    expected = load(model, device="cpu").predict(images)
    check_python_client(server.url, images, expected, tmp_path / "c.jpg")
    check_shell_client(server.url, images[0], expected[0])


def check_python_client(url: str, images: list[Path], expected: np.ndarray, no_image: Path) -> None:
    client = (sys.executable, EXAMPLES / "serving_client.py")
    done = run(*client, url, images[0].parent)
    assert done.returncode == 0, done.stderr
    for line, image, probabilities in zip(done.stdout.splitlines(), images, expected, strict=True):
        path, label, probability = line.split("\t")
        assert (path, label) == (str(image), CLASS_NAMES[probabilities.argmax()])
        assert float(probability) == pytest.approx(probabilities.max(), abs=2e-6)

    no_image.write_text("this is text")
    done = run(*client, url, no_image, images[0])
    assert done.returncode == 1
    assert done.stderr.startswith(f"{no_image}: 400: ")
    assert "neither JPEG nor PNG" in done.stderr
    assert len(done.stdout.splitlines()) == 1

    done = run(*client, url, no_image.with_name("none.jpg"))
    assert done.stderr.splitlines() == [f"{no_image.with_name('none.jpg')}: No such file or directory", UNANSWERED]

    done = run(*client, "http://127.0.0.1:9", images[0])
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr


def check_shell_client(url: str, image: Path, expected: np.ndarray) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    done = run("sh", EXAMPLES / "serving_client.sh", url, image)
    assert done.returncode == 0, done.stderr
    plain, verbose, several, from_json, explained = map(json.loads, done.stdout.splitlines())
    assert plain == pytest.approx(expected.tolist(), abs=1e-6)
    assert verbose["predicted_label"] == CLASS_NAMES[expected.argmax()]
    assert np.array(several) == pytest.approx(np.array([plain, plain]), abs=1e-6)
    assert from_json == pytest.approx(plain, abs=1e-6)
    assert next(answer["class"] for answer in explained["predictions"]) == verbose["predicted_label"]
    assert len(explained["predictions"]) == 2
