"""Where trials run: each in a place with cores, and a GPU where there are some, that no other place shares."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imclass.errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Place:
    """Room for one trial at a time.

    Attributes:
        number: from 0.
        cores: numbers of the processor's cores.
        gpu: as CUDA_VISIBLE_DEVICES names it; empty without any.
    """

    number: int
    cores: tuple[int, ...]
    gpu: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """What keeps a process to the place, beside its cores."""
        return {"OMP_NUM_THREADS": str(len(self.cores)), VISIBLE: self.gpu}


def share_out(count: int, cores: Sequence[int], gpus: Sequence[str]) -> list[Place]:
    """Divide a machine into places.

    Cores are divided evenly, neighbours together. Each place has one GPU; only if there are more places than GPUs do
    some share one, as evenly as it goes.

    Raises:
        UserError: there are not enough cores.
    """
    if count > len(cores):
        raise UserError(
            f"{count} trials at once need {count} cores, and {len(cores)} can be used",
            where="--parallel",
            fix=f"Give {len(cores)} or less.",
        )
    bounds = [number * len(cores) // count for number in range(count + 1)]
    return [
        Place(number, tuple(cores[bounds[number] : bounds[number + 1]]), gpus[number % len(gpus)] if gpus else "")
        for number in range(count)
    ]


def usable_cores() -> list[int]:
    """Numbers of the cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def usable_gpus(environment: Mapping[str, str], devices: Path = Path("/dev")) -> list[str]:
    """The GPUs that this process may use, without asking their driver, which takes seconds."""
    if VISIBLE in environment:
        return [name.strip() for name in environment[VISIBLE].split(",") if name.strip() not in ("", "-1")]
    names = (device.name.removeprefix("nvidia") for device in devices.glob("nvidia*"))
    return sorted((name for name in names if name.isdecimal()), key=int)
