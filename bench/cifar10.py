"""Train on CIFAR-10 as RecordIO files and print accuracy and speed, one line a run.

    python bench/cifar10.py DATA RUN... [--seeds 0 1 2] [--target 0.908] [--set NAME=VALUE ...] [--json FILE]

DATA holds cifar10-train.rec and cifar10-val.rec. RUN is one of the settings in `RUNS`.

With --target the time to that validation accuracy is measured too. It begins before the data are opened and ends when
the accuracy is known, so it holds reading, decoding, building the network, validating and saving. What a process does
once for all its runs (loading CUDA's libraries, compiling, choosing kernels) is done before, in a short run of the same
settings, whose time is printed apart.
"""

import argparse
import json
import logging
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from imclass.training import Run, train

PAPER = {  # He et al. 2016, section 4.2: 64,000 updates of 128, the rate divided by 10 after 32,000 and 48,000
    "recipe": "sagemaker",
    "num_layers": 20,
    "image_shape": "3,32,32",
    "augmentation_type": "crop",
    "pad_size": 4,
    "mini_batch_size": 128,
    "epochs": 182,
    "lr_scheduler_step": "91,137",
}
TEN_EPOCHS = {
    "recipe": "sagemaker",
    "num_layers": 20,
    "augmentation_type": "crop",
    "mini_batch_size": 128,
    "epochs": 10,
}
MODERN = {"recipe": "modern", "image_shape": "3,32,32"}
FAST = {  # few epochs at a high rate, which rises at first and falls to 0 at last; needs little time to 90 %
    "recipe": "sagemaker",
    "num_layers": 18,
    "image_shape": "3,32,32",
    "precision_dtype": "bfloat16",
    "augmentation_type": "crop",
    "pad_size": 2,
    "optimizer": "nag",
    "mini_batch_size": 512,
    "learning_rate": 0.4,
    "weight_decay": 0.0005,
    "lr_schedule": "cosine",
    "warmup_epochs": 4,
    "label_smoothing": 0.2,
    "epochs": 24,
}
MUON = FAST | {  # the same in steps that turn all directions of a convolution alike
    "network": "resnet_v1",
    "optimizer": "muon",
    "learning_rate": 0.1,
    "warmup_epochs": 3,
    "ema_decay": 0.99,
    "epochs": 23,
}
RUNS: dict[str, dict[str, object]] = {
    "ten-epochs-28": TEN_EPOCHS | {"image_shape": "3,28,28"},
    "ten-epochs-32": TEN_EPOCHS | {"image_shape": "3,32,32", "pad_size": 4},
    "paper-20": PAPER,
    "modern-20": MODERN | {"num_layers": 20},
    "modern-18": MODERN | {"num_layers": 18},
    "fast-18": FAST,
    "muon-18": MUON,
}
WARM_UP_BATCHES = 8
VALIDATION_LINE = re.compile(r"Epoch\[(\d+)\] Validation-accuracy=([0-9.]+)")


class Timeline(logging.Handler):
    """When each validation accuracy of a run became known, in seconds since the handler was made."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.began = time.time()
        self.accuracies: list[tuple[float, float]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if found := VALIDATION_LINE.fullmatch(record.getMessage()):
            self.accuracies.append((record.created - self.began, float(found[2])))

    def seconds_to(self, target: float) -> float | None:
        """Seconds to the first accuracy of at least `target`; None when it was never reached."""
        return next((seconds for seconds, accuracy in self.accuracies if accuracy >= target), None)


@contextmanager
def timeline() -> Iterator[Timeline]:
    """Listen to the log of the run that is made in the block."""
    handler = Timeline()
    logger = logging.getLogger("imclass.original")
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)


def train_on(data: Path, output: Path, settings: Mapping[str, object], device: str, threads: int) -> Run:
    return train(  # the hyperparameters are complete, so nothing is chosen from the data
        channels={"train": data / "cifar10-train.rec", "validation": data / "cifar10-val.rec"},
        output=output,
        hyperparameters=settings,
        device=device,
        threads=threads,
        quiet=True,
    )


def warm_up(data: Path, settings: Mapping[str, object], device: str, threads: int) -> float:
    """Seconds that a short run with the same shapes takes."""
    samples = WARM_UP_BATCHES * int(str(settings.get("mini_batch_size", 32)))
    short = {**settings, "epochs": 1, "warmup_epochs": 0, "num_training_samples": samples}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as output:
        train_on(data, Path(output), short, device, threads)
    return time.perf_counter() - began


def describe(result: Mapping[str, object], target: float | None) -> str:
    """A run in one line."""
    best = f"best {result['best_accuracy']:.2%} (epoch {result['best_epoch']:.0f} of {result['epochs']})"
    speed = f"{result['images_per_second']:,.0f} images/s, {result['seconds']:,.1f} s on {result['device']}"
    line = f"{result['run']:<14} seed {result['seed']}: {best}, last {result['last_accuracy']:.2%}, {speed}"
    if target is None:
        return line
    seconds = result["seconds_to_target"]
    return f"{line}; {target:.1%} " + (f"after {seconds:.1f} s" if seconds is not None else "never")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", nargs="+", choices=sorted(RUNS), metavar="RUN")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--target", type=float, help="validation accuracy, 0 to 1, to which the time is measured")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    changed = dict(text.split("=", 1) for text in arguments.set)
    results = []
    for name in arguments.runs:
        settings = RUNS[name] | changed
        if arguments.target is not None:
            seconds = warm_up(arguments.data, settings, arguments.device, arguments.threads)
            print(f"{name:<14} warm-up {seconds:.1f} s", flush=True)
        for seed in arguments.seeds:
            found = measure({"seed": seed} | settings, f"{name}/seed-{seed}", arguments)
            result = {"run": name, "changed": changed, **found}
            results.append(result)
            print(describe(result, arguments.target), flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(results, indent=1))


def measure(settings: Mapping[str, object], folder: str, arguments: argparse.Namespace) -> dict[str, object]:
    """Train once, into a folder of the output, and tell how long it took and what came of it."""
    with tempfile.TemporaryDirectory() as temporary, timeline() as line:
        began = time.perf_counter()
        output = (arguments.output or Path(temporary)) / folder
        run = train_on(arguments.data, output, settings, arguments.device, arguments.threads)
        seconds = time.perf_counter() - began
    speeds = sorted(epoch["images_per_second"] for epoch in run.metrics)
    return {
        "seed": run.hyperparameters.seed,
        "epochs": len(run.metrics),
        "best_accuracy": run.best["validation_accuracy"],
        "best_epoch": run.best["epoch"] + 1,
        "last_accuracy": run.metrics[-1]["validation_accuracy"],
        "images_per_second": speeds[len(speeds) // 2],
        "train_seconds": sum(epoch["train_seconds"] for epoch in run.metrics),
        "seconds": seconds,
        "accuracies": line.accuracies,
        "seconds_to_target": line.seconds_to(arguments.target) if arguments.target is not None else None,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    main()
