"""Images per second of `imclass transform`, from image files to result files, beside the bare predictor.

    python bench/transform.py MODEL SOURCE [--format out jsonl csv parquet] [--rounds 3] [--batch-size 64] [--threads 0]
                              [--precision float32] [--device auto] [--json FILE]

MODEL is anything that `imclass.load` takes, SOURCE a folder of images. The bare predictor is
`imclass.load(MODEL).predict_batches(paths)`: the same decoding and the same network, and nothing written. Both are
timed in turns, opening the model left out; the best round counts, so that reading from a cold disk is not what is
measured.
"""

import argparse
import json
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import imclass
from imclass.data.unlabelled import open_unlabelled
from imclass.inference.transform import Computing, Format, Request, transform
from imclass.memory import keep_memory


class Silent:
    """Watches a transform and says nothing."""

    def begin(self, images: int, already: int) -> None:
        """As `Watcher.begin`."""

    def advance(self, images: int) -> None:
        """As `Watcher.advance`."""


def main() -> None:
    arguments = parse_arguments()
    keep_memory(of_all_threads=True)  # as the command does
    computing = Computing(
        precision=arguments.precision,
        device=arguments.device,
        batch_size=arguments.batch_size,
        threads=arguments.threads,
    )
    paths = [arguments.source / key for key in open_unlabelled(arguments.source).keys]
    predictor = imclass.load(arguments.model, device=arguments.device, threads=arguments.threads)
    rates: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        request = Request(arguments.model, arguments.source, Path(folder) / "results", computing=computing)
        for _ in range(arguments.rounds):
            keep_best(rates, "predictor", bare_rate(predictor, paths))
            for format in arguments.format:
                keep_best(rates, format, transform_rate(replace(request, format=format)))
    for name, rate in rates.items():
        print(f"{name:<12}{rate:>10,.1f} images/s{rate / rates['predictor']:>8.2f} of the predictor")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"images": len(paths), "images_per_second": rates}, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Images per second of imclass transform beside the bare predictor.")
    parser.add_argument("model", type=Path)
    parser.add_argument("source", type=Path, help="folder of images")
    parser.add_argument("--format", nargs="+", type=Format, choices=list(Format), default=list(Format))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64, help="of the transform; the predictor's is 64")
    parser.add_argument("--threads", type=int, default=0, help="decoding threads (default: one for each core)")
    parser.add_argument("--precision", default="float32", help="of the transform; the predictor's is float32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    return parser.parse_args()


def keep_best(rates: dict[str, float], name: str, rate: float) -> None:
    rates[name] = max(rates.get(name, 0.0), rate)


def bare_rate(predictor: imclass.inference.Predictor, paths: list[Path]) -> float:
    """Images per second of the predictor alone."""
    start = time.perf_counter()
    images = sum(len(batch.indices) for batch in predictor.predict_batches(paths))
    return images / (time.perf_counter() - start)


def transform_rate(request: Request) -> float:
    """Images per second of a transform that begins anew."""
    summary = transform(request, Silent())
    shutil.rmtree(request.output)
    shutil.rmtree(request.work_folder)
    return summary.predicted / summary.seconds


if __name__ == "__main__":
    main()
