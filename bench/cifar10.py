"""Train on CIFAR-10 as RecordIO files and print accuracy and speed, one line a run.

    python bench/cifar10.py DATA RUN... [--output DIR] [--set NAME=VALUE ...] [--json FILE]

DATA holds cifar10-train.rec and cifar10-val.rec. RUN is one of the settings in `RUNS`.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from imclass.training import train

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
RUNS: dict[str, dict[str, object]] = {
    "ten-epochs-28": TEN_EPOCHS | {"image_shape": "3,28,28"},
    "ten-epochs-32": TEN_EPOCHS | {"image_shape": "3,32,32", "pad_size": 4},
    "paper-20": PAPER,
    "modern-20": MODERN | {"num_layers": 20},
    "modern-18": MODERN | {"num_layers": 18},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", nargs="+", choices=sorted(RUNS), metavar="RUN")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    changed = dict(text.split("=", 1) for text in arguments.set)
    results = []
    for name in arguments.runs:
        with tempfile.TemporaryDirectory() as temporary:
            began = time.perf_counter()
            # The hyperparameters are complete, so nothing is chosen from the data.
            run = train(
                channels={
                    "train": arguments.data / "cifar10-train.rec",
                    "validation": arguments.data / "cifar10-val.rec",
                },
                output=(arguments.output or Path(temporary)) / name,
                hyperparameters=RUNS[name] | changed,
                device=arguments.device,
                threads=arguments.threads,
                quiet=True,
            )
        speeds = sorted(line["images_per_second"] for line in run.metrics)
        result = {
            "run": name,
            "changed": changed,
            "epochs": len(run.metrics),
            "best_accuracy": run.best["validation_accuracy"],
            "best_epoch": run.best["epoch"] + 1,
            "last_accuracy": run.metrics[-1]["validation_accuracy"],
            "images_per_second": speeds[len(speeds) // 2],
            "seconds": time.perf_counter() - began,
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "torch": torch.__version__,
        }
        results.append(result)
        print(
            f"{name:<14} best {result['best_accuracy']:.2%} (epoch {result['best_epoch']:.0f} of {result['epochs']}), "
            f"last {result['last_accuracy']:.2%}, {result['images_per_second']:,.0f} images/s, "
            f"{result['seconds']:,.0f} s on {result['device']}",
            flush=True,
        )
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
