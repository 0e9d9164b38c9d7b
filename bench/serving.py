"""Serving over HTTP beside the bare predictor, LitServe and MXNet, in one run.

    python bench/serving.py MODEL PHOTOS [--seconds 10] [--rounds 3] [--clients 1,8,64] [--precision bfloat16]
        [--device cpu] [--beside torch:bfloat16,openvino:bfloat16] [--int8 OUT.xml]
        [--litserve-python PYTHON] [--mxnet-python .venv-mxnet/bin/python] [--json FILE]

MODEL is a model.tar.gz, PHOTOS a folder with JPEG files. Prints

- images/s of the predictor alone, from JPEG bytes to probabilities (float32), and of the chosen backend alone on
  decoded images;
- the same for the backends of --beside, and for the OpenVINO file of `imclass convert --to openvino-int8` of --int8;
- for `imclass serve` with each number of clients (closed loop), and at 50 and 80 % of the best rate (open loop):
  images/s, latency at p50 and p99;
- the same closed loop for LitServe with the same predictor, with --litserve-python of an environment that has both;
- images/s of MXNet's forward pass in float32 with the same weights, without decoding, if MODEL is a resnet_v2 and
  --mxnet-python is given.

Backends alone are also given in images per second of processor time, times cores: on a machine that others use too it
is what they would reach alone, if computing filled all cores. (PyTorch's threads spin while they wait, and so reach
more than it says.)

All with the ratio to the predictor, or to the backend in another precision. Everything is measured in rounds, and the
best of each counts. The client runs on the same cores.
"""

import argparse
import base64
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import numpy as np

from imclass import artifact
from imclass.device import choose_device
from imclass.images import available_cores
from imclass.inference import Predictor, convert
from imclass.inference.serving.backends import BACKENDS
from imclass.inference.serving.choosing import generated_images
from imclass.inference.serving.opening import load_model
from load import Connection, Result, closed_loop, open_loop, run

OPEN_LOOP_SHARES = (0.5, 0.8)
START_SECONDS = 120
MOST_PHOTOS = 256


def bare_predictor(model: Path, device: str, bodies: Sequence[bytes], seconds: float) -> float:
    """Images/s of `Predictor.predict_batches`, from bytes to probabilities."""
    predictor = Predictor.load(model, device=device)
    predictor.predict(bodies[:64])
    many = list(bodies) * 1000
    began, answered = time.perf_counter(), 0
    for batch in predictor.predict_batches(many):
        answered += len(batch.indices)
        if time.perf_counter() - began > seconds:
            break
    return answered / (time.perf_counter() - began)


class BareBackend:
    """A backend without a server."""

    def __init__(self, model: Path, name: str, precision: str, arguments: argparse.Namespace) -> None:
        loaded, max_batch = load_model(model), arguments.max_batch
        self._backend = BACKENDS[name].open(loaded, choose_device(arguments.device), precision, max_batch)
        shape = (max_batch, *_height_width_channels(loaded.description))
        self._pixels = np.resize(generated_images(loaded.description.image_shape), shape)
        self._backend.predict(self._pixels)

    def measure(self, seconds: float) -> tuple[float, float]:
        """Images/s on decoded images, in the server's batches: by the clock, and by processor time times cores."""
        began, began_computing, batches = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began < seconds:
            self._backend.predict(self._pixels)
            batches += 1
        images = len(self._pixels) * batches
        computing = time.process_time() - began_computing
        return images / (time.perf_counter() - began), available_cores() * images / computing


def bare_backends(arguments: argparse.Namespace) -> dict[str, BareBackend]:
    """All that are asked for, by what they are called in the table."""
    backends = {"backend alone": BareBackend(arguments.model, arguments.backend, arguments.precision, arguments)}
    for text in arguments.beside:
        name, precision = text.split(":")
        backends[f"{name} {precision} alone"] = BareBackend(arguments.model, name, precision, arguments)
    if arguments.int8 is not None:
        backends["openvino int8 alone"] = BareBackend(arguments.int8, "openvino", "int8", arguments)
    return backends


def _height_width_channels(description: artifact.Description) -> tuple[int, int, int]:
    channels, height, width = description.image_shape
    return height, width, channels


@contextmanager
def started(
    command: Sequence[object], is_up: Callable[[str], object]
) -> Iterator[tuple[subprocess.Popen[bytes], object]]:
    """A server's process, and what `is_up` makes of its log once that is not None."""
    with tempfile.NamedTemporaryFile("w+") as log:
        # A session of its own: LitServe leaves processes behind that would go on computing.
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + START_SECONDS
            while (found := is_up(Path(log.name).read_text())) is None:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(Path(log.name).read_text())
                time.sleep(0.1)
            yield process, found
        finally:
            process.terminate()
            process.wait()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def port_when_ready(log: str) -> int | None:
    """Of `imclass serve`."""
    found = re.search(r"listening on http://127.0.0.1:(\d+)", log)
    return int(found[1]) if found and "INFO ready" in log else None


@contextmanager
def imclass_server(arguments: argparse.Namespace) -> Iterator[Callable[[], Connection]]:
    """`imclass serve`, as something that makes connections to it."""
    command = [sys.executable, "-m", "imclass", "serve", arguments.model, "--port", 0, "--device", arguments.device]
    command += ["--max-batch", arguments.max_batch, "--backend", arguments.backend, "--precision", arguments.precision]
    with started(command, port_when_ready) as (_, port):
        yield partial(Connection, "127.0.0.1", port, "/invocations")


@contextmanager
def litserve_server(arguments: argparse.Namespace) -> Iterator[Callable[[], Connection]]:
    """LitServe, likewise."""
    port = arguments.litserve_port

    def is_up(log: str) -> bool | None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                return True if answer.status == 200 else None
        except OSError:
            return None

    script = Path(__file__).with_name("serving_litserve.py")
    with started([arguments.litserve_python, script, arguments.model, port, arguments.max_batch], is_up):
        yield partial(Connection, "127.0.0.1", port, "/predict", "application/json")


def mxnet_images_per_second(arguments: argparse.Namespace) -> float:
    description = artifact.read_description(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder, "model.tar.gz")
        convert(arguments.model, converted, "mxnet")
        with tarfile.open(converted) as archive:
            archive.extractall(folder, filter="data")
        [symbol] = Path(folder).glob("*-symbol.json")
        prefix = str(symbol).removesuffix("-symbol.json")
        shape = ",".join(map(str, description.image_shape))
        script = Path(__file__).with_name("serving_mxnet.py")
        command = [arguments.mxnet_python, script, prefix, shape, arguments.max_batch, arguments.seconds]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run(list(map(str, command)), env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[-1])


class Table:
    """The best of several rounds, by name."""

    def __init__(self) -> None:
        self.rates: dict[str, float] = {}
        self.results: dict[str, Result] = {}

    def add(self, name: str, measured: float | Result) -> None:
        rate = measured if isinstance(measured, float) else measured.images_per_second
        if rate > self.rates.get(name, 0.0):
            self.rates[name] = rate
            if isinstance(measured, Result):
                self.results[name] = measured

    def show(self, reference: str) -> None:
        for name, rate in self.rates.items():
            line = f"{name:<42} {rate:8.2f} images/s  {rate / self.rates[reference]:7.1%}"
            if name in self.results:
                row = self.results[name].row()
                line += f"  p50 {row['p50_ms']:>8} ms  p99 {row['p99_ms']:>8} ms  {row['statuses']}"
            print(line)

    def as_json(self) -> str:
        rows = {name: self.results[name].row() for name in self.results}
        return json.dumps({"images_per_second": self.rates, "servers": rows}, indent=1)


def measure(arguments: argparse.Namespace, bodies: Sequence[bytes], table: Table) -> None:
    """Everything, one after the other, in several rounds, so that a disturbance hits all alike."""
    seconds = arguments.seconds
    backends = bare_backends(arguments)
    as_json = [json.dumps({"image": base64.b64encode(body).decode()}).encode() for body in bodies]
    with ExitStack() as stack:
        servers = {"imclass serve": (stack.enter_context(imclass_server(arguments)), bodies)}
        if arguments.litserve_python is not None:
            servers["LitServe"] = (stack.enter_context(litserve_server(arguments)), as_json)
        for connect, content in servers.values():
            run(closed_loop(connect, content, max(arguments.clients), 2.0))  # meets every batch size
        for _ in range(arguments.rounds):
            table.add("predictor alone, float32", bare_predictor(arguments.model, arguments.device, bodies, seconds))
            for name, backend in backends.items():
                by_clock, by_processor = backend.measure(seconds)
                table.add(name, by_clock)
                table.add(f"{name}, processor time", by_processor)
            for clients in arguments.clients:
                for name, (connect, content) in servers.items():
                    table.add(f"{name}, {clients} clients", run(closed_loop(connect, content, clients, seconds)))
            if arguments.mxnet_python is not None:
                table.add("MXNet forward, float32", mxnet_images_per_second(arguments))
        connect, content = servers["imclass serve"]
        peak = max(rate for name, rate in table.rates.items() if name.startswith("imclass serve"))
        for share in OPEN_LOOP_SHARES:
            result = run(open_loop(connect, content, share * peak, seconds))
            table.add(f"imclass serve at {share:.0%} of peak", result)


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=numbers, default=[1, 8, 64])
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--beside", type=lambda text: text.split(","), default=[])
    parser.add_argument("--int8", type=Path)
    parser.add_argument("--max-batch", type=int, default=8)
    parser.add_argument("--litserve-port", type=int, default=18123)
    parser.add_argument("--litserve-python", type=Path)
    parser.add_argument("--mxnet-python", type=Path)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    photos = sorted(path for path in arguments.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    bodies = [path.read_bytes() for path in photos[:: -(-len(photos) // MOST_PHOTOS)]]
    description = artifact.read_description(arguments.model)
    print(
        f"{description.network} {description.num_layers} at {description.image_shape}, {available_cores()} cores, "
        f"{arguments.backend} {arguments.precision}, {len(bodies)} photos"
    )
    table = Table()
    measure(arguments, bodies, table)
    table.show("predictor alone, float32" if arguments.precision == "float32" else "backend alone")
    if arguments.json:
        arguments.json.write_text(table.as_json())


if __name__ == "__main__":
    main()
