"""Two sides of a measurement in several rounds: works that are asked to go on for some seconds, and who asks them.

A contestant is a process that prepares its work, says that it is ready, and then works for as long and as often as it
is asked to. Between its turns it sleeps. So that a disturbance hits all alike, they take turns:

    begun as         python SCRIPT WORK '{"setting": value, ...}'
    then writes      ready
    reads            8.0                            seconds
    writes           {"images": 256, "seconds": 8.3, "cpu_seconds": 16.2}
    ...              until its standard input ends

Contestants that run in the environment of MXNet take `answer` from here too, so this file imports no package.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Settings = Mapping[str, Any]
Work = Callable[[float], int]

READY = "ready"


def answer(works: Mapping[str, Callable[[Settings], Work]]) -> None:
    """The side of a contestant: prepare one of `works` and carry it out whenever asked.

    Args:
        works: by name, functions from settings to a function from seconds to the number of images done.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    work = works[sys.argv[1]](json.loads(sys.argv[2]))
    print(READY, file=answers, flush=True)
    for line in sys.stdin:
        began, began_computing = time.perf_counter(), time.process_time()
        images = work(float(line))
        figures = {
            "images": images,
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - began_computing,
        }
        print(json.dumps(figures), file=answers, flush=True)


class Contestant:
    """A process that works when asked to.

    Args:
        name: as the table shows it.
        command: interpreter and script.
        work: which of its works.
        settings: of the work, for JSON.
    """

    def __init__(self, name: str, command: Sequence[object], work: str, settings: Settings) -> None:
        self.name = name
        self.rounds: list[dict[str, float]] = []
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed in __exit__)
        # imclass may be on PYTHONPATH, and must not be found by an interpreter that has other packages.
        environment = dict(os.environ)
        if command[0] != sys.executable:
            environment.pop("PYTHONPATH", None)
        self._process = subprocess.Popen(
            [*map(str, command), work, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )

    def wait_until_ready(self) -> None:
        """Wait for the end of its preparations."""
        line = self._read()
        if line != READY:
            raise RuntimeError(f"{self.name} said {line!r} instead of {READY!r}")

    def take_turn(self, seconds: float) -> None:
        """Let it work for about so many seconds, and remember what it did."""
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        self.rounds.append(json.loads(self._read()))

    @property
    def images_per_second(self) -> float:
        """Of its best round: what other work on the machine did not slow."""
        return max(one["images"] / one["seconds"] for one in self.rounds)

    @property
    def images_per_cpu_second(self) -> float:
        """Of its best round, by the time that its threads had a processor: other work counts still less."""
        return max(one["images"] / one["cpu_seconds"] for one in self.rounds)

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def _read(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"{self.name} ended: {self._log.read()[-3000:]}")
        return line.strip()
