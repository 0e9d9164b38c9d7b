"""Serving over HTTP beside the bare predictor, LitServe and MXNet, in one run.

    python bench/serving.py MODEL PHOTOS [--seconds 10] [--clients 1,8,64] [--precision bfloat16]
        [--litserve-python PYTHON] [--mxnet-python .venv-mxnet/bin/python] [--json FILE]

MODEL is a model.tar.gz, PHOTOS a folder with JPEG files. Prints

- images/s of the predictor alone, from JPEG bytes to probabilities (float32), and of the chosen backend alone on
  decoded images;
- for `imclass serve` with each number of clients (closed loop), and at 50 and 80 % of the best rate (open loop):
  images/s, latency at p50 and p99, and the ratio to the predictor, or to the backend in another precision;
- the same closed loop for LitServe with the same predictor, with --litserve-python of an environment that has both;
- images/s of MXNet's forward pass in float32 with the same weights, without decoding, if MODEL is a resnet_v2 and
  --mxnet-python is given.

The client runs on the same cores.
"""

import argparse
import base64
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch

from imclass import artifact
from imclass.images import available_cores
from imclass.inference import Predictor, convert_to_mxnet
from imclass.inference.serving.backends import BACKENDS, LoadedModel
from imclass.inference.serving.choosing import generated_images
from load import Connection, Result, closed_loop, open_loop, run

OPEN_LOOP_SHARES = (0.5, 0.8)
START_SECONDS = 120
MOST_PHOTOS = 256


def bare_predictor(model: Path, bodies: Sequence[bytes], seconds: float) -> float:
    """Images/s of `Predictor.predict_batches`, from bytes to probabilities."""
    predictor = Predictor.load(model, device="cpu")
    predictor.predict(bodies[:64])
    many = list(bodies) * 1000
    began, answered = time.perf_counter(), 0
    for batch in predictor.predict_batches(many):
        answered += len(batch.indices)
        if time.perf_counter() - began > seconds:
            break
    return answered / (time.perf_counter() - began)


def bare_backend(model: Path, name: str, precision: str, max_batch: int, seconds: float) -> float:
    """Images/s of a backend on decoded images, in batches of the server's size."""
    description, network = artifact.load(model)
    backend = BACKENDS[name].open(LoadedModel(description, network), torch.device("cpu"), precision, max_batch)
    pixels = np.resize(generated_images(description.image_shape), (max_batch, *_height_width_channels(description)))
    backend.predict(pixels)
    began, batches = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        backend.predict(pixels)
        batches += 1
    return max_batch * batches / (time.perf_counter() - began)


def _height_width_channels(description: artifact.Description) -> tuple[int, int, int]:
    channels, height, width = description.image_shape
    return height, width, channels


@contextmanager
def started(
    command: Sequence[object], is_up: Callable[[str], object]
) -> Iterator[tuple[subprocess.Popen[bytes], object]]:
    """A server's process, and what `is_up` makes of its log once that is not None."""
    with tempfile.NamedTemporaryFile("w+") as log:
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)
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


def port_when_ready(log: str) -> int | None:
    """Of `imclass serve`."""
    found = re.search(r"listening on http://127.0.0.1:(\d+)", log)
    return int(found[1]) if found and "INFO ready" in log else None


def time_closed_loops(
    connect: Callable[[], Connection], bodies: Sequence[bytes], clients: Sequence[int], seconds: float
) -> dict[int, Result]:
    run(closed_loop(connect, bodies, max(clients), 1.0))  # warms every batch size
    return {count: run(closed_loop(connect, bodies, count, seconds)) for count in clients}


def show(name: str, result: Result, reference: float) -> None:
    row = result.row()
    print(
        f"{name:<28} {result.images_per_second:8.2f} images/s  p50 {row['p50_ms']:>8} ms  p99 {row['p99_ms']:>8} ms  "
        f"{result.images_per_second / reference:6.1%}  {dict(result.statuses)}",
        flush=True,
    )


def serve_and_load(arguments: argparse.Namespace, bodies: Sequence[bytes], reference: float) -> dict[str, Result]:
    command = [sys.executable, "-m", "imclass", "serve", arguments.model, "--port", 0, "--device", "cpu", "--max-batch"]
    command += [arguments.max_batch, "--backend", arguments.backend, "--precision", arguments.precision]
    results = {}
    with started(command, port_when_ready) as (_, port):
        connect = partial(Connection, "127.0.0.1", port, "/invocations")
        closed = time_closed_loops(connect, bodies, arguments.clients, arguments.seconds)
        for count, result in closed.items():
            results[f"{count} clients"] = result
            show(f"imclass serve, {count} clients", result, reference)
        peak = max(result.images_per_second for result in closed.values())
        for share in OPEN_LOOP_SHARES:
            result = run(open_loop(connect, bodies, share * peak, arguments.seconds))
            results[f"{share:.0%} of peak"] = result
            show(f"imclass serve, {share:.0%} of peak", result, reference)
    return results


def litserve_and_load(arguments: argparse.Namespace, bodies: Sequence[bytes], reference: float) -> dict[str, Result]:
    from urllib.error import URLError
    from urllib.request import urlopen

    port = arguments.litserve_port

    def is_up(log: str) -> bool | None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                return True if answer.status == 200 else None
        except (URLError, OSError):
            return None

    script = Path(__file__).with_name("serving_litserve.py")
    command = [script, arguments.model, port, arguments.max_batch]
    encoded = [json.dumps({"image": base64.b64encode(body).decode()}).encode() for body in bodies]
    with started([arguments.litserve_python, *command], is_up):
        connect = partial(Connection, "127.0.0.1", port, "/predict", "application/json")
        results = time_closed_loops(connect, encoded, arguments.clients, arguments.seconds)
    for count, result in results.items():
        show(f"LitServe, {count} clients", result, reference)
    return {f"{count} clients": result for count, result in results.items()}


def mxnet_images_per_second(arguments: argparse.Namespace, description: artifact.Description) -> float:
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder, "model.tar.gz")
        convert_to_mxnet(arguments.model, converted)
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


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=numbers, default=[1, 8, 64])
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--max-batch", type=int, default=16)
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
    print(f"{description.network} {description.num_layers} at {description.image_shape}, {available_cores()} cores, "
          f"{arguments.backend} {arguments.precision}, {len(bodies)} photos")  # fmt: skip
    predictor = bare_predictor(arguments.model, bodies, arguments.seconds)
    print(f"{'predictor alone, float32':<28} {predictor:8.2f} images/s", flush=True)
    backend = bare_backend(
        arguments.model, arguments.backend, arguments.precision, arguments.max_batch, arguments.seconds
    )
    print(f"{'backend alone':<28} {backend:8.2f} images/s", flush=True)
    reference = predictor if arguments.precision == "float32" else backend
    rows: dict[str, object] = {"predictor": predictor, "backend": backend}
    rows["imclass"] = {name: result.row() for name, result in serve_and_load(arguments, bodies, reference).items()}
    if arguments.litserve_python is not None:
        results = litserve_and_load(arguments, bodies, reference)
        rows["litserve"] = {name: result.row() for name, result in results.items()}
    if arguments.mxnet_python is not None and description.network == "resnet_v2":
        mxnet = rows["mxnet"] = mxnet_images_per_second(arguments, description)
        print(f"{'MXNet forward, float32':<28} {mxnet:8.2f} images/s {'':>34} {mxnet / reference:6.1%}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
