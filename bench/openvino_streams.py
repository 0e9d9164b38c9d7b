"""One infer request with all cores beside one for each core, and a free batch beside a fixed one, in OpenVINO.

    python bench/openvino_streams.py OUT.xml [--hint f32|bf16] [--batches 1,8,16,64] [--rounds 12]

OUT.xml is a file of `imclass convert`. Every way computes one batch in turn, for some rounds; the best by the clock,
and the best by processor time (images/s that all cores would give if they were filled), are printed. Weights take
memory for each way, as they would in a server.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino

from imclass.images import available_cores
from imclass.inference.exports.openvino_reader import open_openvino


def requests(path: Path, hint: str, streams: int, shape: list[int] | None = None) -> list[openvino.InferRequest]:
    """Infer requests of a model whose cores are shared out to so many streams; with a shape, of a fixed batch."""
    core = openvino.Core()
    model = core.read_model(path)
    if shape is not None:
        model.reshape(shape)
    settings = {
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": available_cores(),
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,
    }
    compiled = core.compile_model(model, "CPU", settings)
    return [compiled.create_infer_request() for _ in range(streams)]


def measure(ways: dict[str, Callable[[], int]], rounds: int) -> None:
    """Run all ways in turn and print the best of each; a way returns how many images it has computed."""
    best: dict[str, tuple[float, float]] = dict.fromkeys(ways, (0.0, 0.0))
    for _ in range(rounds):
        for name, way in ways.items():
            began, began_computing = time.perf_counter(), time.process_time()
            images = way()
            by_clock = images / (time.perf_counter() - began)
            by_processor = available_cores() * images / (time.process_time() - began_computing)
            best[name] = (max(best[name][0], by_clock), max(best[name][1], by_processor))
    for name, (by_clock, by_processor) in best.items():
        print(f"  {name:<34} {by_clock:8.1f} images/s  {by_processor:8.1f} by processor time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--hint", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--batches", type=lambda text: [int(part) for part in text.split(",")], default=[1, 8, 16, 64])
    parser.add_argument("--rounds", type=int, default=12)
    arguments = parser.parse_args()
    opened = open_openvino(arguments.model)
    cores = available_cores()
    network = f"{opened.description.network} {opened.description.num_layers}"
    print(f"{network}, {opened.precision}, {arguments.hint}, {cores} cores")
    [one], many = requests(arguments.model, arguments.hint, 1), requests(arguments.model, arguments.hint, cores)
    with ThreadPoolExecutor(cores) as pool:
        for size in arguments.batches:
            shape = [size, *opened.description.image_shape]
            pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
            [fixed] = requests(arguments.model, arguments.hint, 1, shape)

            def alone(request: openvino.InferRequest, pixels: np.ndarray = pixels) -> int:
                request.infer({0: pixels})
                return len(pixels)

            def together(pixels: np.ndarray = pixels) -> int:
                return sum(pool.map(lambda request: alone(request, pixels), many))

            ways = {
                "one request, all cores": lambda alone=alone: alone(one),
                "the same, batch fixed": lambda alone=alone, fixed=fixed: alone(fixed),
                "a request for each core": together,
            }
            for way in ways.values():
                way()  # meets the size
            print(f"batches of {size}")
            measure(ways, arguments.rounds)


if __name__ == "__main__":
    main()
