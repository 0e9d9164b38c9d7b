"""imclass on a CPU beside MXNet 1.9.1: training, loading, inference, and the memory that loading takes.

    python bench/cpu.py --mxnet-python VENV/bin/python [--photos FOLDER] [--small-images FILE.rec] [--seconds 6]
                        [--rounds 3] [--cores N] [--only training,small,loading,inference,memory] [--json FILE]

VENV has MXNet 1.9.1 with NumPy 1.23.5 (`make bench` makes one). FOLDER has one folder of photographs a class, FILE.rec
images of 32x32 pixels; without them, images are generated. Both sides read the same JPEGs from the same .rec files,
change them by chance in the same ways and compute the same network in batches of the same size.

In each part all contestants prepare first; then they take turns, for some seconds each, in several rounds. The best
round of each counts. Ratios are to MXNet in float32: by the clock, and by processor time, which other work on the
machine disturbs less. On a busy machine use --cores 1: threads that compute a layer together wait for the one that is
held up, and use processor time while they wait.

training    residual networks of 18 and 50 layers at 224 pixels, from records to updated weights
small       20 layers at 28 pixels, likewise
loading     resize to 256, random crop of 224 and mirror; and with all augmentation
inference   50 layers at 224 pixels, from decoded pixels to probabilities
memory      what a process takes at most to go through a data set, and through one that is forty times as large
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench_images import generated_photos, generated_small_images, packed
from imclass import artifact
from imclass.artifact.mxnet_writer import mxnet_files
from imclass.device import multiplies_bfloat16
from imclass.images import available_cores
from imclass.models import build, initialise
from machine import describe, in_words
from rounds import Contestant

HERE = Path(__file__).parent
PEER = "MXNet float32"
PHOTO, SMALL = (3, 224, 224), (3, 28, 28)
PHOTO_BATCH, SMALL_BATCH = 32, 128
CLASSES = 20
ENLARGEMENT = 40


@dataclass
class Bench:
    """What all parts need.

    Attributes:
        photos: .rec of JPEGs of many sizes.
        small_images: .rec of JPEGs of 32x32.
        models: folder of the models that are computed.
        results: by part, rows as they go into the table and into JSON.
    """

    mxnet: tuple[object, ...]
    photos: Path
    small_images: Path
    models: Path
    seconds: float
    rounds: int
    results: dict[str, list[dict[str, object]]] = field(default_factory=dict)

    def contestant(self, name: str, work: str, settings: dict[str, Any]) -> Contestant:
        command = self.mxnet if name == PEER else (sys.executable, HERE / "cpu_imclass.py")
        return Contestant(name, command, work, settings)

    def contest(self, title: str, work: str, contestants: dict[str, dict[str, Any]]) -> None:
        """Let contestants take turns; the settings of each are given by its name."""
        with ExitStack() as stack:
            taking_part = []
            for name, settings in contestants.items():  # one after the other: preparations are work too
                one = stack.enter_context(self.contestant(name, work, settings))
                one.wait_until_ready()
                taking_part.append(one)
            for _ in range(self.rounds):
                for one in taking_part:
                    one.take_turn(self.seconds)
            [peer] = [one for one in taking_part if one.name == PEER]
            for one in taking_part:
                row = {
                    "contestant": one.name,
                    "images_per_second": one.images_per_second,
                    "images_per_cpu_second": one.images_per_cpu_second,
                    "ratio": one.images_per_second / peer.images_per_second,
                    "cpu_ratio": one.images_per_cpu_second / peer.images_per_cpu_second,
                    "rounds": one.rounds,
                }
                text = f"{row['images_per_second']:10,.1f} images/s   {row['ratio']:6.2f}"
                self.add(title, row, f"{text}   by processor time {row['cpu_ratio']:6.2f}")

    def add(self, title: str, row: dict[str, object], text: str) -> None:
        if title not in self.results:
            self.results[title] = []
            print(f"\n{title}")
        self.results[title].append(row)
        print(f"  {row['contestant']:<28}{text}", flush=True)

    def model(self, num_layers: int, image_shape: tuple[int, int, int]) -> tuple[Path, str]:
        """A network with random weights: its model file, and the prefix of MXNet's files of it."""
        folder = self.models / f"{num_layers}-{image_shape[1]}"
        if not folder.exists():
            folder.mkdir()
            network = build("resnet_v2", num_layers, image_shape, CLASSES)
            initialise(network, torch.Generator().manual_seed(0))
            mean, std = network.normalisation
            description = artifact.Description(
                network="resnet_v2",
                num_layers=num_layers,
                image_shape=image_shape,
                num_classes=CLASSES,
                normalisation=artifact.Normalisation(mean=mean, std=std),
            )
            artifact.save(folder / "model.tar.gz", description, network.state_dict())
            for name, data in mxnet_files(description, network.state_dict()).items():
                (folder / name).write_bytes(data)
        [symbol] = folder.glob("*-symbol.json")
        return folder / "model.tar.gz", str(symbol).removesuffix("-symbol.json")


def precisions() -> tuple[str, ...]:
    return ("float32", "bfloat16") if multiplies_bfloat16(torch.device("cpu")) else ("float32",)


def with_peer(settings: dict[str, Any], prefix: str = "", **more: Any) -> dict[str, dict[str, Any]]:
    """Settings of imclass in each precision of this machine, and of MXNet."""
    ours = {f"imclass {name}": {**settings, **more, "precision_dtype": name} for name in precisions()}
    return {**ours, PEER: {**settings, "prefix": prefix}}


def training(bench: Bench) -> None:
    for num_layers in (18, 50):
        settings = training_settings(bench.photos, num_layers, PHOTO, PHOTO_BATCH, resize=256)
        _, prefix = bench.model(num_layers, PHOTO)
        bench.contest(f"training, {num_layers} layers at 224 pixels", "train", with_peer(settings, prefix))


def small(bench: Bench) -> None:
    settings = training_settings(bench.small_images, 20, SMALL, SMALL_BATCH, resize=None)
    _, prefix = bench.model(20, SMALL)
    bench.contest("training, 20 layers at 28 pixels", "train", with_peer(settings, prefix))


def training_settings(
    records: Path, num_layers: int, image_shape: tuple[int, int, int], mini_batch_size: int, resize: int | None
) -> dict[str, Any]:
    return {
        "records": str(records),
        "num_layers": num_layers,
        "image_shape": image_shape,
        "num_classes": CLASSES,
        "resize": resize,
        "augmentation_type": "crop",
        "mini_batch_size": mini_batch_size,
    }


def loading_settings(records: Path, augmentation_type: str) -> dict[str, Any]:
    return {
        "records": str(records),
        "image_shape": PHOTO,
        "resize": 256,
        "augmentation_type": augmentation_type,
        "mini_batch_size": 64,
    }


def loading(bench: Bench) -> None:
    titles = {"crop": "loading, resize, crop and mirror", "crop_color_transform": "loading, all augmentation"}
    for augmentation_type, title in titles.items():
        settings = loading_settings(bench.photos, augmentation_type)
        bench.contest(title, "load", {"imclass": settings, PEER: settings})


def inference(bench: Bench) -> None:
    model, prefix = bench.model(50, PHOTO)
    settings = {"model": str(model), "prefix": prefix, "image_shape": PHOTO, "mini_batch_size": PHOTO_BATCH}
    contestants = {
        f"imclass {backend} {name}": {**settings, "backend": backend, "precision_dtype": name}
        for backend in ("torch", "openvino")
        for name in precisions()
    }
    bench.contest("inference, 50 layers at 224 pixels", "infer", {**contestants, PEER: settings})


def memory(bench: Bench) -> None:
    enlarged = bench.photos.with_name("enlarged.rec")
    with enlarged.open("wb") as file:
        for _ in range(ENLARGEMENT):
            file.write(bench.photos.read_bytes())
    for records in (bench.photos, enlarged):
        megabytes = records.stat().st_size / 1e6
        name = f"{megabytes:,.0f} MB of records"
        with bench.contestant(name, "memory", loading_settings(records, "crop_color_transform")) as one:
            one.wait_until_ready()
            one.take_turn(0.0)
            most = one.rounds[0]["images"]
        bench.add(
            "memory of its own that loading takes at most",
            {"contestant": name, "megabytes": megabytes, "mebibytes_taken": most},
            f"{most:10,.0f} MiB",
        )
    enlarged.unlink()


PARTS: dict[str, Callable[[Bench], None]] = {
    "training": training,
    "small": small,
    "loading": loading,
    "inference": inference,
    "memory": memory,
}


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mxnet-python", type=Path, required=True, help="interpreter that has MXNet 1.9.1")
    parser.add_argument("--photos", type=Path, help="folder with one folder of JPEGs a class")
    parser.add_argument("--small-images", type=Path, help=".rec of images of 32x32 pixels")
    parser.add_argument("--seconds", type=float, default=6.0, help="of a turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=available_cores(), help="that all contestants share")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parsed = parser.parse_args(arguments)
    unknown = [name for name in parsed.only if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; the parts are {', '.join(PARTS)}")
    return parsed


def main() -> None:
    arguments = parse_arguments()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])  # contestants inherit it
    machine = describe()
    print(in_words(machine))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "models").mkdir()
        photos = arguments.photos or generated_photos(folder / "photos", CLASSES)
        small_images = arguments.small_images or packed(
            generated_small_images(folder / "small", CLASSES), folder / "small.rec"
        )
        bench = Bench(
            mxnet=(arguments.mxnet_python, HERE / "cpu_mxnet.py"),
            photos=packed(photos, folder / "photos.rec"),
            small_images=small_images,
            models=folder / "models",
            seconds=arguments.seconds,
            rounds=arguments.rounds,
        )
        for name in arguments.only:
            PARTS[name](bench)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        settings = {name: getattr(arguments, name) for name in ("seconds", "rounds", "cores", "only")}
        data = {
            "photos": "given" if arguments.photos else "generated",
            "small_images": "given" if arguments.small_images else "generated",
        }
        written = {"machine": machine, "settings": {**settings, **data}, "results": bench.results}
        arguments.json.write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main()
