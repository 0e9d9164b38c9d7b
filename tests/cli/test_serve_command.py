"""`imclass serve` as users run it: real processes, their options, their signals and their mistakes."""

import base64
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import openvino
import pytest
import typer
from typer.testing import CliRunner

import imclass
from imclass import artifact
from imclass.cli import app
from imclass.cli.serve import named_models
from imclass.images import Preprocessing, preprocess
from imclass.inference import convert, quantise
from imclass.models import build
from tests.inference.serving.parts import JPEG, encoded
from tests.inference.serving.sockets import ServerProcess, as_process, exchange, request, wait_for
from tests.models.mxnet.files import MODELS
from tests.pictures import CLASSES, write_class_folders

MXNET_MODEL = MODELS / "resnet20_28_fc" / "model-symbol.json"
TYPE = "Content-Type: image/jpeg"


@pytest.fixture
def server(save_model: Callable[..., Path], tmp_path: Path) -> Iterator[ServerProcess]:
    with as_process(tmp_path, save_model()) as running:
        yield running


def test_answers_are_the_predictors(save_model: Callable[..., Path], tmp_path: Path) -> None:
    model = save_model()
    images = [encoded(seed, side=40) for seed in range(24)]
    expected = imclass.load(model, device="cpu").predict(images)
    with as_process(tmp_path, model) as server, ThreadPoolExecutor(8) as pool:
        assert httpx.get(f"{server.url}/ping").status_code == 200
        answers = pool.map(
            lambda image: httpx.post(f"{server.url}/invocations", content=image, headers=JPEG).json(), images
        )
        np.testing.assert_allclose(np.array(list(answers)), expected, atol=1e-6)
        assert httpx.get(f"{server.url}/model").json()["serving"]["precision"] == "float32"


@pytest.mark.parametrize("form", ["openvino", "converted", "int8"])
def test_openvino(save_model: Callable[..., Path], tmp_path: Path, form: str) -> None:
    """A model file with --backend openvino; and files of `imclass convert`, which need no option."""
    model, xml = save_model(class_names=CLASSES), tmp_path / "converted.xml"
    images = [encoded(seed, side=40) for seed in range(12)]
    expected = imclass.load(model, device="cpu").predict(images)
    arguments: list[object] = [xml]
    if form == "openvino":
        arguments = [model, "--backend", "openvino"]
    elif form == "converted":
        convert(model, xml, "openvino")
    else:
        quantise(model, xml, write_class_folders(tmp_path / "photos", 8), max_accuracy_loss=100)
        expected = answers_of_file(xml, images)
    with as_process(tmp_path, *arguments) as server, ThreadPoolExecutor(4) as pool:
        answers = pool.map(
            lambda image: httpx.post(f"{server.url}/invocations", content=image, headers=JPEG).json(), images
        )
        np.testing.assert_allclose(np.array(list(answers)), expected, rtol=0, atol=1e-5)
        description = httpx.get(f"{server.url}/model").json()
        explained = httpx.post(f"{server.url}/explain", content=images[0], headers=JPEG)
    assert explained.status_code == (200 if form == "openvino" else 501), explained.text
    precision = "int8" if form == "int8" else "float32"
    assert (description["serving"]["backend"], description["serving"]["precision"]) == ("openvino", precision)
    assert description["class_names"] == list(CLASSES)
    assert f"with openvino in {precision} on cpu" in server.log.read_text()


def answers_of_file(xml: Path, images: list[bytes]) -> np.ndarray:
    """What OpenVINO itself answers, image by image."""
    compiled = openvino.Core().compile_model(xml, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    preprocessing = Preprocessing(image_shape=(3, 16, 16))
    pixels = [preprocess(image, preprocessing).transpose(2, 0, 1)[np.newaxis] for image in images]
    return np.concatenate([compiled({"images": each})["probabilities"] for each in pixels])


def slow_model(path: Path) -> Path:
    """A model that needs about 10 ms an image."""
    network = build("resnet_v2", 8, (3, 160, 160), 3)
    mean, std = network.normalisation
    normalisation = artifact.Normalisation(mean=tuple(mean), std=tuple(std))
    description = artifact.Description(
        network="resnet_v2", num_layers=8, image_shape=(3, 160, 160), num_classes=3, normalisation=normalisation
    )
    artifact.save(path, description, network.state_dict())
    return path


def test_sigterm_answers_what_was_accepted(tmp_path: Path) -> None:
    images = [base64.b64encode(encoded(seed)).decode() for seed in range(64)]
    sent = request(json.dumps({"images": images}).encode(), "Content-Type: application/json")
    model = slow_model(tmp_path / "model.tar.gz")
    with as_process(tmp_path, model, "--max-batch", 1) as server, ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(exchange, server.port, sent) for _ in range(2)]
        wait_for(lambda: queued_images(server) == 128)
        asked = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        results = [answer.result() for answer in answers]
        assert server.process.wait(30) == 143
        assert time.monotonic() - asked < 30
    assert {result[:12] for result in results} == {b"HTTP/1.1 200"}
    assert {len(json.loads(result.partition(b"\r\n\r\n")[2])) for result in results} == {64}
    assert "stopping; what was accepted is answered first" in server.log.read_text()
    assert "Traceback" not in server.log.read_text()


def queued_images(server: ServerProcess) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("imclass_queue_images{"))


def test_sigterm_under_load_breaks_no_answer(server: ServerProcess) -> None:
    """Clients that come after the stop are refused; none sees half an answer, or an error."""
    stopped_at = [float("inf")]

    def ask_until_refused() -> tuple[int, list[bytes]]:
        good, bad = 0, []
        while True:
            began = time.monotonic()
            try:
                answer = exchange(server.port, request(encoded(), TYPE))
            except ConnectionError:
                answer = b""
            if answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"]"):
                good += 1
            elif began < stopped_at[0] - 0.5:
                bad.append(answer)
            if time.monotonic() > stopped_at[0] + 1:
                return good, bad
            if answer and not answer.endswith(b"]"):
                bad.append(answer)

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(ask_until_refused) for _ in range(8)]
        time.sleep(1)
        stopped_at[0] = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        results = [client.result() for client in clients]
    assert server.process.wait(30) == 143
    assert sum(good for good, _ in results) > 20
    assert [answer for _, bad in results for answer in bad] == []


def test_explanations_beyond_their_queue_are_refused(tmp_path: Path) -> None:
    """While a batch holds up the model, one of three explanations has the only place."""
    images = [base64.b64encode(encoded(seed)).decode() for seed in range(64)]
    batch = request(json.dumps({"images": images}).encode(), "Content-Type: application/json")
    question = request(encoded(), TYPE, path="/explain")
    model = slow_model(tmp_path / "model.tar.gz")
    options = ("--max-batch", 1, "--explain-queue-size", 1)
    with as_process(tmp_path, model, *options) as server, ThreadPoolExecutor(4) as pool:
        held_up = pool.submit(exchange, server.port, batch)
        wait_for(lambda: queued_images(server) >= 48)
        answers = list(pool.map(exchange, [server.port] * 3, [question] * 3))
        assert held_up.result()[:12] == b"HTTP/1.1 200"
    assert sorted(answer[:12] for answer in answers) == [b"HTTP/1.1 200", b"HTTP/1.1 503", b"HTTP/1.1 503"]
    assert sum(b"1 explanations are waiting already" in answer for answer in answers) == 2


def test_ctrl_c(server: ServerProcess) -> None:
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 130
    assert "Traceback" not in server.log.read_text()


def test_several_models_and_the_admin_port(save_model: Callable[..., Path], tmp_path: Path) -> None:
    first, second = save_model(), save_model(class_names=("x", "y", "z"))
    with as_process(tmp_path, f"a={first}", f"b={second}", "--admin-port", 0) as server:
        assert len(httpx.post(f"{server.url}/models/a/invocations", content=encoded(), headers=JPEG).json()) == 3
        assert httpx.get(f"{server.url}/models/b").json()["class_names"] == ["x", "y", "z"]
        added = httpx.post(f"{server.admin_url}/models", json={"name": "c", "path": str(first)})
        assert added.status_code == 201
        assert httpx.delete(f"{server.admin_url}/models/a").status_code == 204
        names = [model["name"] for model in httpx.get(f"{server.url}/models").json()["models"]]
        assert names == ["b", "c"]
        assert httpx.delete(f"{server.url}/models/b").status_code == 405
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 143


def test_a_model_of_mxnet(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("apple\nbanana\ncherry\ndate\nelder\n")
    with as_process(tmp_path, MXNET_MODEL, "--class-names", names, "--image-shape", "3,28,28") as server:
        headers = {"content-type": "application/x-image", "accept": "application/json;verbose"}
        answer = httpx.post(f"{server.url}/invocations", content=encoded(side=60), headers=headers).json()
    assert answer["labels"] == names.read_text().split()
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-6)


def test_batch_transform_is_told_by_the_environment(save_model: Callable[..., Path], tmp_path: Path) -> None:
    with as_process(tmp_path, save_model(), variables={"SAGEMAKER_BATCH": "true"}) as server:
        answer = exchange(server.port, request(encoded(), TYPE))
    assert answer.rsplit(b"\r\n", 1)[1].startswith(b'{"prediction": [0.')


def test_a_token(save_model: Callable[..., Path], tmp_path: Path) -> None:
    token = tmp_path / "token.txt"
    token.write_text("s3cret\n")
    with as_process(tmp_path, save_model(), "--token-file", token, "--host", "0.0.0.0") as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/model").status_code == 401
        assert httpx.get(f"{url}/model", headers={"authorization": "Bearer s3cret"}).status_code == 200


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_tls(save_model: Callable[..., Path], tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*make, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with as_process(tmp_path, save_model(), "--tls-certificate", certificate, "--tls-key", key) as server:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(certificate))
        answer = httpx.post(f"{server.url}/invocations", content=encoded(), headers=JPEG, verify=context)
        assert len(answer.json()) == 3


def refused(*arguments: object) -> str:
    """What the command says when it cannot start."""
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["serve", *map(str, arguments)])
    assert result.exit_code == 2, result.output
    return result.stderr


def test_a_port_that_is_taken(save_model: Callable[..., Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(save_model(), "--port", port)
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "can be reached from other machines"),
        (["--host", "203.0.113.1", "--insecure-public"], "cannot listen on 203.0.113.1"),
        (["--host", "no.such.host.invalid", "--insecure-public"], "cannot listen on no.such.host.invalid"),
        (["--tls-key", "MODEL"], "TLS needs a certificate and its key"),
        (["--tls-certificate", "MODEL", "--tls-key", "MODEL"], "cannot be used"),
        (["--token-file", "/no/such/file"], "the token cannot be read"),
        (["--token-file", os.devnull], "the file holds no token"),
        (["--backend", "tensorflow"], "there is no backend 'tensorflow'"),
        (["--precision", "int4"], "does not compute this model in int4"),
        (["--device", "cuda:99"], "there is no device"),
        (["--max-batch", "0"], "--max-batch"),
    ],
)
def test_what_the_server_refuses_to_start_with(save_model: Callable[..., Path], options: list[str], said: str) -> None:
    model = str(save_model())
    options = [model if option == "MODEL" else option for option in options]
    assert said in refused(model, "--port", 0, *options).replace("\n", " ")


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    broken = tmp_path / "model.tar.gz"
    broken.write_bytes(b"nothing")
    assert str(broken) in refused(broken, "--port", 0)


@pytest.mark.parametrize(
    ("texts", "models"),
    [
        (["run1/model.tar.gz"], {"model": Path("run1/model.tar.gz")}),
        (["a=x", "b=y=z"], {"a": Path("x"), "b": Path("y=z")}),
        (["a=x"], {"a": Path("x")}),
    ],
)
def test_names_of_models(texts: list[str], models: dict[str, Path]) -> None:
    assert named_models(texts) == models


@pytest.mark.parametrize("texts", [["a", "b"], ["a=x", "a=y"], ["a=x", "y"], ["=x", "b=y"]])
def test_names_that_are_missing_or_given_twice(texts: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        named_models(texts)


def test_a_path_with_an_equals_sign(tmp_path: Path) -> None:
    path = tmp_path / "a=b.tar.gz"
    path.write_bytes(b"")
    assert named_models([str(path)]) == {"model": path}
