"""Training on a GPU: imclass beside plain torch and the loaders of timm and torchvision, in one run.

    python -m bench.gpu [--only step end-to-end timm torchvision eager] [--layers 50] [--network resnet_v1]
                        [--batch 256] [--photos FOLDER] [--records 20000] [--workers 16] [--seconds 5] [--rounds 3]
                        [--compile auto] [--decoder auto] [--json FILE]
    torchrun --standalone --nproc-per-node 2 -m bench.gpu --only scaling [--batch 256] ...

step          imclass's step on random pixels that are on the device, as --compile says and with PyTorch's kernels
end-to-end    imclass from JPEGs in a .rec: loading, decoding, augmenting, training
eager         a plain loop of torch on random pixels with timm's network of the same depth
timm          the same behind timm's loader, which decodes with Pillow
torchvision   the same behind torchvision's transforms in torch's loader
scaling       imclass's step on one GPU, then on all that torchrun started processes for

The JPEGs are photographs of FOLDER enlarged to 500x375 pixels, about 110 kB each, and repeated. All contestants take
turns in one process (--rounds of --seconds); the median counts. Parts can be run one by one where time is short.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import torch

from bench import machine
from bench.gpu import peers, pictures
from bench.gpu.ours import Settings, Trainer
from bench.gpu.timing import Contestant, check_gpu, images_per_second, synchronise, take_turns
from imclass.data import open_source
from imclass.training.process_group import Processes, join

PARTS = ("step", "end-to-end", "eager", "timm", "torchvision")
FROM_FILES = ("end-to-end", "timm", "torchvision")
RESULTS = Path(__file__).parents[1] / "results" / "gpu.json"


def main() -> None:
    arguments = parse_arguments()
    check_gpu(arguments.device)
    if {"timm", "torchvision"} & set(arguments.only):
        peers.prepare_processes("bench.gpu.__main__")
    with join(arguments.device) as processes:
        if "scaling" in arguments.only:
            results = scaling(arguments, processes)
        else:
            results = {
                str(num_layers): beside_peers(arguments, processes, num_layers) for num_layers in arguments.layers
            }
        if processes.is_main:
            described = {"machine": machine.describe(processes.device), "settings": settings_in_json(arguments)}
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps({**described, "results": results}, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*PARTS, "scaling"], default=list(PARTS))
    parser.add_argument("--layers", nargs="+", type=int, default=[50])
    parser.add_argument("--network", default="resnet_v1", help="imclass's family; the peers' is resnet_v1")
    parser.add_argument("--batch", type=int, default=256, help="images of a step on each GPU")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--compile", choices=["auto", "on", "off"], default="auto", help="as the hyperparameter")
    parser.add_argument("--decoder", choices=["auto", "cpu", "hardware"], default="auto", help="imclass's of JPEGs")
    parser.add_argument("--photos", type=Path, help="folder of photographs, for what trains from files")
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=16, help="threads of imclass, processes of the peers")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if "scaling" in arguments.only and len(arguments.only) > 1:
        parser.error("scaling is measured alone: --only scaling")
    if set(FROM_FILES) & set(arguments.only) and arguments.photos is None:
        parser.error(f"{', '.join(FROM_FILES)} need --photos")
    return arguments


def settings_in_json(arguments: argparse.Namespace) -> dict[str, object]:
    """All options but paths, which belong to one machine."""
    return {name: value for name, value in vars(arguments).items() if not isinstance(value, Path)}


def settings_of(arguments: argparse.Namespace, num_layers: int, *, compile: str = "", gpus: int = 1) -> Settings:
    """What imclass trains; compiled as the options say where `compile` does not."""
    how = compile or arguments.compile
    return Settings(
        arguments.network,
        num_layers,
        arguments.batch * gpus,
        arguments.side,
        arguments.precision,
        how,
        arguments.decoder,
    )


# ---------------------------------------------------------------------------------------------------- peers


def beside_peers(arguments: argparse.Namespace, processes: Processes, num_layers: int) -> list[dict[str, object]]:
    """All parts that are asked for, for one depth."""
    print(f"{num_layers} layers, batches of {arguments.batch}, {arguments.precision}")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        jpegs = pictures.make_jpegs(arguments.photos) if set(FROM_FILES) & set(arguments.only) else []
        contestants = [
            *our_contestants(arguments, processes, num_layers, jpegs, Path(folder)),
            *peer_contestants(arguments, processes, num_layers, jpegs, Path(folder)),
        ]
        for contestant in contestants:
            stack.callback(contestant.steps.close)  # type: ignore[attr-defined]
        take_turns(contestants, arguments.rounds, arguments.seconds, processes.device)
    return table(contestants)


def our_contestants(
    arguments: argparse.Namespace, processes: Processes, num_layers: int, jpegs: list[bytes], folder: Path
) -> Iterator[Contestant]:
    if not {"step", "end-to-end"} & set(arguments.only):
        return
    source = None
    if "end-to-end" in arguments.only:
        source = open_source(pictures.write_records(jpegs, arguments.records, folder / "train.rec"))
    trainer = Trainer(settings_of(arguments, num_layers), processes, source, arguments.workers)
    facts = {"compile_seconds": trainer.compile_seconds}
    if "end-to-end" in arguments.only:
        yield Contestant("imclass from JPEGs", "end-to-end", trainer.from_records(), ahead=12, facts=facts)
    if "step" in arguments.only:
        yield Contestant("imclass, random pixels", "step", trainer.on_random_pixels(), ahead=8, facts=facts)
    if "step" in arguments.only and arguments.compile != "off":
        plain = Trainer(settings_of(arguments, num_layers, compile="off"), processes, None)
        yield Contestant("imclass, PyTorch's kernels, random pixels", "step", plain.on_random_pixels(), ahead=8)


def peer_contestants(
    arguments: argparse.Namespace, processes: Processes, num_layers: int, jpegs: list[bytes], folder: Path
) -> Iterator[Contestant]:
    asked = [part for part in ("eager", "timm", "torchvision") if part in arguments.only]
    if not asked:
        return
    device, batch, side, workers = processes.device, arguments.batch, arguments.side, arguments.workers
    plain = peers.PlainTraining(num_layers, arguments.precision, device)
    if "eager" in asked:
        yield Contestant("torch, random pixels", "eager", plain.on_random_pixels(batch, side), ahead=8)
    if asked != ["eager"]:
        files = pictures.write_folders(jpegs, arguments.records, folder / "train")
    ahead = peers.AHEAD_OF_A_WORKER * workers + 2
    if "timm" in asked:
        loader = peers.timm_loader(files, batch, side, workers, device)
        yield Contestant("timm's loader, torch", "timm", plain.from_loader(loader), ahead)
    if "torchvision" in asked:
        loader = peers.torchvision_loader(files, batch, side, workers, device)
        yield Contestant("torchvision's transforms, torch", "torchvision", plain.from_loader(loader), ahead)


def table(contestants: list[Contestant]) -> list[dict[str, object]]:
    """Print medians and their ratios to the first contestant; the same for JSON."""
    rows: list[dict[str, object]] = []
    first = statistics.median(contestants[0].rates)
    for contestant in contestants:
        rate = statistics.median(contestant.rates)
        spread = f"{min(contestant.rates):,.0f} to {max(contestant.rates):,.0f}"
        print(f"{contestant.name:<40}{rate:>10,.0f} images/s {rate / first:>7.3f} of {contestants[0].name}   {spread}")
        rows.append(
            {"name": contestant.name, "images_per_second": rate, "rounds": contestant.rates, **contestant.facts}
        )
    return rows


# -------------------------------------------------------------------------------------------------- scaling


def scaling(arguments: argparse.Namespace, processes: Processes) -> dict[str, dict[str, float]]:
    """Images/s of the first GPU alone while the others rest, and of all together."""
    results: dict[str, dict[str, float]] = {}
    for num_layers in arguments.layers:
        alone = 0.0
        if processes.is_main:
            one = Processes(0, 1, 0, 1, processes.device)
            steps = Trainer(settings_of(arguments, num_layers), one, None).on_random_pixels()
            next(steps)
            alone = images_per_second(steps, arguments.seconds * arguments.rounds, processes.device)
            del steps
        alone = processes.gather(alone)[0]
        settings = settings_of(arguments, num_layers, gpus=processes.world_size)
        steps = Trainer(settings, processes, None).on_random_pixels()
        # Each step waits for all processes, so all have to take the same number of them.
        count = max(10, round(arguments.seconds * arguments.rounds * alone / arguments.batch))
        together = sum(processes.gather(speed_of(steps, count, processes.device)))
        if processes.is_main:
            ratio = together / alone
            print(
                f"{num_layers} layers: one {alone:,.0f}, {processes.world_size} {together:,.0f} images/s: {ratio:.3f}"
            )
            results[str(num_layers)] = {"one": alone, "all": together, "ratio": ratio}
    return results


def speed_of(steps: Iterator[int], count: int, device: torch.device) -> float:
    """Images per second of this process over `count` steps, after some that do not count."""
    for _ in range(10):
        next(steps)
    synchronise(device)
    began = time.perf_counter()
    images = sum(next(steps) for _ in range(count))
    synchronise(device)
    return images / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
