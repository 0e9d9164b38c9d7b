"""Turns of contestants that train on the same device."""

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from imclass.device import choose_device
from imclass.errors import UserError

STEPS_STARTED_AHEAD = 4  # of a device that computes while the host goes on
LONGEST_REST = 60.0  # seconds


@dataclass
class Contestant:
    """Something that trains step by step.

    Attributes:
        name: as the table shows it.
        part: of the benchmark; see `--only`.
        steps: endless; each item is the number of images of a step that was started.
        ahead: steps whose images are waiting ready after a pause, and which a turn therefore does not count.
        rates: images per second, one a turn.
        facts: of its making, such as the seconds that compiling took.
    """

    name: str
    part: str
    steps: Iterator[int]
    ahead: int = 4
    rates: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def check_gpu(name: str) -> None:
    """End the program with a line if there is no such device. Nothing is started on it."""
    try:
        choose_device(name)
    except UserError as problem:
        raise SystemExit(str(problem)) from None


def take_turns(contestants: Sequence[Contestant], rounds: int, seconds: float, device: torch.device) -> None:
    """Let them train one after the other, `rounds` times, so that a disturbance hits all alike."""
    for _ in range(rounds):
        for contestant in contestants:
            for _ in range(contestant.ahead):
                next(contestant.steps)
            rate = images_per_second(contestant.steps, seconds, device)
            contestant.rates.append(rate)
            print(f"  {contestant.name:<44}{rate:>10,.0f} images/s", flush=True)
            let_processes_rest()


def let_processes_rest() -> None:
    """Wait until the processes of a loader have filled its queues, which they go on with after its turn.

    Raises:
        TimeoutError: they never come to rest.
    """
    before, deadline = processor_seconds(), time.monotonic() + LONGEST_REST
    while before > 0:
        time.sleep(0.5)
        now = processor_seconds()
        if now - before < 0.05:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes of loaders are still at work after {LONGEST_REST:g} s")
        before = now


def processor_seconds() -> float:
    """What this process's children have used so far."""
    stats = [Path(f"/proc/{child.pid}/stat").read_text() for child in multiprocessing.active_children()]
    ticks = [sum(map(int, stat.rpartition(")")[2].split()[11:13])) for stat in stats]
    return sum(ticks) / os.sysconf("SC_CLK_TCK")


def images_per_second(steps: Iterator[int], seconds: float, device: torch.device) -> float:
    """Speed of steps over about so many seconds, from one rest of the device to the next."""
    started: deque[torch.cuda.Event] = deque()
    synchronise(device)
    began, images = time.perf_counter(), 0
    while images == 0 or time.perf_counter() - began < seconds:
        images += next(steps)
        if device.type == "cuda":
            started.append(torch.cuda.current_stream(device).record_event())
            if len(started) > STEPS_STARTED_AHEAD:
                started.popleft().synchronize()
    synchronise(device)
    return images / (time.perf_counter() - began)


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
