"""Packing, indexing and reading of RecordIO, beside MXNet's own tools, in one run on the same images and cores.

    python bench/packing.py PHOTOS --mxnet-python VENV/bin/python [--images 3000] [--mosaics 60] [--resize 256]
                            [--rounds 3] [--threads 2] [--records FILE.rec ...] [--json FILE]

PHOTOS is a folder with one folder a class. VENV has MXNet 1.9.1 with NumPy 1.23.5 and an OpenCV for its im2rec.py
(`make bench-packing` makes one). Two data sets are made of PHOTOS in a temporary folder:

photos    copies of them, up to --images
mosaics   JPEGs of 12 megapixels, each put together from them at their own size: as many pixels as a camera's photo

Whole commands are timed, their start included, each alternating with its peer; the best of --rounds counts. CPU is the
time that all processes of a command spent computing, which other work on the machine disturbs less than seconds.
Indexing and reading are timed inside the process, without its start, from a warm file cache.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from imclass.data import iterate_records, open_source

MOSAIC_HEIGHT, MOSAIC_WIDTH, MOSAIC_QUALITY = 3000, 4000, 92
SETTINGS = {
    "resize": ["--resize", "{resize}"],
    "resize, --full-decode": ["--resize", "{resize}", "--full-decode"],
    "pass-through": ["--pass-through"],
}
OURS_ALONE = "--full-decode"  # im2rec always does

# rec2idx.py, which MXNet's wheel lacks, does `index`: it asks for the place of each record and reads it.
MXNET = """
import ctypes, json, sys, time
import mxnet
from mxnet.base import _LIB, check_call
from mxnet.recordio import MXIndexedRecordIO, MXRecordIO

path, rounds = sys.argv[1], int(sys.argv[2])
place = ctypes.c_size_t()

def index():
    reader, count = MXRecordIO(path, "r"), 0
    with open(path + ".bench.idx", "w") as file:
        while True:
            check_call(_LIB.MXRecordIOReaderTell(reader.handle, ctypes.byref(place)))
            if reader.read() is None:
                return count
            file.write("%d\\t%d\\n" % (count, place.value))
            count += 1

def sequential():
    reader, count = MXRecordIO(path, "r"), 0
    while reader.read() is not None:
        count += 1
    return count

def random_access():
    for key in keys:
        mxnet.recordio.unpack(indexed.read_idx(key))
    return len(keys)

indexed = MXIndexedRecordIO(path[:-4] + ".idx", path, "r")
keys = list(indexed.keys)
"""
TIMED = """
seconds = {}
for work in (index, sequential, random_access):
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        count = work()
        times.append(time.perf_counter() - began)
    seconds[work.__name__] = (count, min(times))
print(json.dumps(seconds))
"""


def main() -> None:
    arguments = parse_arguments()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    peer = peer_versions(arguments.mxnet_python)
    print(f"MXNet {peer['mxnet']} with OpenCV {peer['cv2']}; imclass with OpenCV {cv2.__version__}")
    results: dict[str, object] = {"peer": peer, "opencv": cv2.__version__, "threads": arguments.threads}
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        for name, make in (("photos", make_photos), ("mosaics", make_mosaics)):
            root = Path(folder) / name
            count = make(arguments, root)
            megabytes = sum(path.stat().st_size for path in root.rglob("*.jpg")) / 1e6
            print(f"\n{name}: {count} JPEGs, {megabytes:,.0f} MB")
            results[name] = {
                "images": count,
                "packing": {label: packing(label, arguments, peer, root) for label in SETTINGS},
                "reading": reading(arguments, root.with_name(f"{name}-theirs.rec")),
            }
        for records in arguments.records:
            copy = Path(folder) / records.name
            shutil.copyfile(records, copy)
            shutil.copyfile(records.with_suffix(".idx"), copy.with_suffix(".idx"))
            print(f"\n{records.name}: {records.stat().st_size / 1e6:,.0f} MB")
            results[records.name] = {"reading": reading(arguments, copy)}
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--mxnet-python", required=True, help="interpreter that has MXNet and OpenCV")
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--mosaics", type=int, default=60)
    parser.add_argument("--resize", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="cores used, and --num-thread of both")
    parser.add_argument("--work", type=Path, help="folder for the data sets (default: the system's)")
    parser.add_argument("--records", type=Path, nargs="*", default=[], help=".rec files, to index and read as well")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    return parser.parse_args()


def peer_versions(python: str) -> dict[str, str]:
    """Versions of the peer, and where its im2rec.py is."""
    code = (
        "import json, os, cv2, mxnet; folder = os.path.dirname(mxnet.__file__); "
        "print(json.dumps({'mxnet': mxnet.__version__, 'cv2': cv2.__version__, "
        "'im2rec': os.path.join(folder, 'tools', 'im2rec.py')}))"
    )
    return json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)


def make_photos(arguments: argparse.Namespace, root: Path) -> int:
    originals = jpegs(arguments.photos)
    for number in range(arguments.images):
        original = originals[number % len(originals)]
        folder = root / original.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original, folder / f"{number}.jpg")
    return arguments.images


def make_mosaics(arguments: argparse.Namespace, root: Path) -> int:
    """Fill canvases with rows of photos, cut off at the right and at the bottom."""
    generator = random.Random(1)
    originals = jpegs(arguments.photos)
    for number in range(arguments.mosaics):
        canvas = np.zeros((MOSAIC_HEIGHT, MOSAIC_WIDTH, 3), np.uint8)
        top = 0
        while top < MOSAIC_HEIGHT:
            left, bottom = 0, MOSAIC_HEIGHT
            while left < MOSAIC_WIDTH:
                photo = cv2.imread(str(generator.choice(originals)))
                place = canvas[top : top + photo.shape[0], left : left + photo.shape[1]]
                place[:] = photo[: place.shape[0], : place.shape[1]]
                left, bottom = left + photo.shape[1], min(bottom, top + photo.shape[0])
            top = bottom
        path = root / f"class{number % 2}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), canvas, [cv2.IMWRITE_JPEG_QUALITY, MOSAIC_QUALITY])
    return arguments.mosaics


def jpegs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.jpg") if cv2.imread(str(path)) is not None)


def packing(label: str, arguments: argparse.Namespace, peer: dict[str, str], root: Path) -> dict[str, float]:
    """Time both commands with one setting, and check that they packed the same images."""
    theirs, ours = root.with_name(f"{root.name}-theirs"), root.with_name(f"{root.name}-ours.rec")
    options = [option.format(resize=arguments.resize) for option in SETTINGS[label]]
    im2rec = [arguments.mxnet_python, peer["im2rec"]]
    subprocess.run([*im2rec, "--list", "--recursive", str(theirs), str(root)], stdout=subprocess.DEVNULL, check=True)
    threads = ["--num-thread", str(arguments.threads)]
    their_options = [option for option in options if option != OURS_ALONE]
    commands = {
        "im2rec": [*im2rec, *their_options, *threads, str(theirs), str(root)],
        "imclass": [sys.executable, "-m", "imclass", "pack", str(root), "--output", str(ours), *options, *threads],
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(arguments.rounds):
        for name, command in commands.items():
            times[name].append(command_time(command))
    check_same(theirs.with_suffix(".rec"), ours)
    best = {name: tuple(map(min, zip(*measured, strict=True))) for name, measured in times.items()}
    seconds, cpu = (best["im2rec"][which] / best["imclass"][which] for which in (0, 1))
    print(
        f"  {label:<22} im2rec {best['im2rec'][0]:6.2f} s (CPU {best['im2rec'][1]:6.2f})   "
        f"imclass {best['imclass'][0]:6.2f} s (CPU {best['imclass'][1]:6.2f})   "
        f"{seconds:.2f} times as fast, {cpu:.2f} times less CPU"
    )
    return {
        **{f"{name}_{unit}": best[name][which] for name in best for which, unit in enumerate(("seconds", "cpu"))},
        "ratio": seconds,
        "cpu_ratio": cpu,
    }


def command_time(command: list[str]) -> tuple[float, float]:
    """Seconds that a command takes, and those that its processes compute."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def check_same(theirs: Path, ours: Path) -> None:
    """Both must hold the same ids and labels: not one image may have been left out."""
    first, second = open_source(theirs), open_source(ours)
    if not np.array_equal(ids_and_labels(first), ids_and_labels(second)):
        sys.exit(f"{theirs} and {ours} hold different images")


def ids_and_labels(source: object) -> np.ndarray:
    return np.array(sorted(zip(source.ids.tolist(), source.labels[:, 0].tolist(), strict=True)))  # type: ignore[attr-defined]


def reading(arguments: argparse.Namespace, path: Path) -> dict[str, object]:
    """Time finding all records, reading them in order, and reading them by number."""
    command = [arguments.mxnet_python, "-c", MXNET + TIMED, str(path), str(arguments.rounds)]
    theirs = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    path.with_suffix(".idx").rename(path.with_suffix(".idx.unused"))  # so that imclass has to look for the records
    works: dict[str, Callable[[], int]] = {
        "index": lambda: scanned(path),
        "sequential": lambda: sum(1 for _ in iterate_records(path)),
        "random_access": reader_of(path),
    }
    results: dict[str, object] = {}
    for name, work in works.items():
        seconds = min(timed(work, theirs[name][0]) for _ in range(arguments.rounds))
        results[name] = {"records": theirs[name][0], "mxnet": theirs[name][1], "imclass": seconds}
        ratio = theirs[name][1] / seconds
        print(
            f"  {name:<22} MXNet {theirs[name][1] * 1e3:8.1f} ms   imclass {seconds * 1e3:8.1f} ms   {ratio:.1f} times"
        )
    return results


def scanned(path: Path) -> int:
    """Index without what an earlier pass has kept."""
    path.with_name(path.name + ".index.npz").unlink(missing_ok=True)
    return len(open_source(path))


def reader_of(path: Path) -> Callable[[], int]:
    source = open_source(path)
    return lambda: sum(1 for index in range(len(source)) if source[index].image)


def timed(work: Callable[[], int], records: int) -> float:
    began = time.perf_counter()
    count = work()
    seconds = time.perf_counter() - began
    if count != records:
        sys.exit(f"imclass found {count} records, MXNet {records}")
    return seconds


if __name__ == "__main__":
    main()
