"""Kills `imclass serve` and `imclass transform` while they work: was what they promise kept?

    python bench/kill_serving.py MODEL PHOTOS [--rounds 5] [--clients 16] [--seconds 5] [--json FILE]

MODEL is a model.tar.gz, PHOTOS a folder with JPEG files. In each round so many clients, each on a connection of its
own, send one request after the other:

- SIGTERM: every request that was sent at least 50 ms before the signal is answered, and right; the process ends within
  30 seconds with status 143.
- SIGKILL: no answer is wrong, and no client waits for more than 5 seconds to learn that its connection is gone; the
  next start on the same port answers (how long that takes is measured); the folder for temporary files is empty.
- SIGKILL of a transform half-way, then the same command again: what was there before stays as it is, every image has
  exactly one result, and the results are those of a transform that nobody killed. With KEY.out files and with one file.

Prints figures of all rounds; the exit status is 1 when anything was not kept.
"""

import argparse
import asyncio
import json
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from load import Connection
from serving import port_when_ready, started

ON_THE_WAY_SECONDS = 0.05
"""A request that was sent so shortly before the signal may not have reached the server."""
STOP_SECONDS = 30.0
SILENCE_SECONDS = 5.0
TOLERANCE = 1e-5
"""Between probabilities computed in batches of different sizes."""
DEADLINE = 600.0


@dataclass
class Clients:
    """What clients saw.

    Attributes:
        answers: answers by status.
        problems: promises that were not kept.
        refused: requests that got no answer, and were sent too late to have a right to one.
        learnt: seconds from the signal until each client knew that its connection was gone.
    """

    answers: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    refused: int = 0
    learnt: list[float] = field(default_factory=list)


class Load:
    """Clients on a server, a signal to it, and what became of their requests.

    Args:
        port: of the server on this machine.
        bodies: of the requests.
        expected: the right probabilities for each.
    """

    def __init__(self, port: int, bodies: Sequence[bytes], expected: Sequence[Sequence[float]]) -> None:
        self._connect = partial(Connection, "127.0.0.1", port, "/invocations")
        self._bodies = bodies
        self._expected = expected
        self.signalled_at = float("inf")
        self.seen = Clients()

    async def until_killed(
        self, process: subprocess.Popen[bytes], number: signal.Signals, clients: int, after: float
    ) -> None:
        """Load the server, send it a signal after some seconds, and go on until every client has lost it."""
        tasks = [asyncio.create_task(self._client(start, number)) for start in range(clients)]
        await asyncio.sleep(after)
        self.signalled_at = time.monotonic()
        process.send_signal(number)
        await asyncio.wait_for(asyncio.gather(*tasks), STOP_SECONDS + SILENCE_SECONDS)

    async def _client(self, position: int, number: signal.Signals) -> None:
        async with self._connect() as connection:
            while True:
                chosen = position % len(self._bodies)
                sent = time.monotonic()
                try:
                    status, content = await connection.post(self._bodies[chosen])
                except (OSError, EOFError) as error:
                    self._lost(sent, error, number)
                    return
                self._check(status, content, self._expected[chosen])
                position += 1

    def _lost(self, sent: float, error: Exception, number: signal.Signals) -> None:
        learnt = time.monotonic() - self.signalled_at
        if number is signal.SIGTERM and sent < self.signalled_at - ON_THE_WAY_SECONDS:
            self.seen.problems.append(f"no answer to a request sent {self.signalled_at - sent:.3f} s before: {error!r}")
        if number is signal.SIGKILL and learnt > SILENCE_SECONDS:
            self.seen.problems.append(f"a client waited {learnt:.1f} s for a server that was gone")
        self.seen.refused += 1
        self.seen.learnt.append(learnt)

    def _check(self, status: int, content: bytes, expected: Sequence[float]) -> None:
        self.seen.answers[status] += 1
        answer = json.loads(content)
        if status == 200 and not _is_close(answer, expected):
            self.seen.problems.append(f"a wrong answer: {answer} for {expected}")
        if status not in (200, 503):
            self.seen.problems.append(f"status {status}: {answer}")


def _is_close(answer: Sequence[float], expected: Sequence[float]) -> bool:
    return len(answer) == len(expected) and all(
        abs(one - other) <= TOLERANCE for one, other in zip(answer, expected, strict=True)
    )


class Server:
    """Starts `imclass serve`, always on the same port, with a folder of its own for temporary files."""

    def __init__(self, model: Path, folder: Path) -> None:
        self._model = model
        self._port = 0
        self.temporary = folder / "temporary"
        self.temporary.mkdir()

    @contextmanager
    def running(self) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """The process and its port."""
        command = ["env", f"TMPDIR={self.temporary}", sys.executable, "-m", "imclass", "serve", self._model]
        with started([*command, "--port", self._port, "--device", "cpu"], port_when_ready) as (process, port):
            assert isinstance(port, int)
            self._port = port
            yield process, port


async def answers_of(port: int, bodies: Sequence[bytes]) -> list[list[float]]:
    """What the server answers when nobody else asks."""
    async with Connection("127.0.0.1", port, "/invocations") as connection:
        return [json.loads((await connection.post(body))[1]) for body in bodies]


def serving_rounds(arguments: argparse.Namespace, bodies: Sequence[bytes], folder: Path) -> dict[str, object]:
    """Kill the server with both signals, in turns."""
    server = Server(arguments.model, folder)
    with server.running() as (_, port):
        expected = asyncio.run(answers_of(port, bodies))
    seen = {signal.SIGTERM: Clients(), signal.SIGKILL: Clients()}
    ends: list[float] = []
    restarts: list[float] = []
    left_over: list[str] = []
    for round_number in range(2 * arguments.rounds):
        number = (signal.SIGTERM, signal.SIGKILL)[round_number % 2]
        began = time.monotonic()
        with server.running() as (process, port):
            if asyncio.run(answers_of(port, bodies[:1])) and round_number and number is signal.SIGTERM:
                restarts.append(time.monotonic() - began)  # after the SIGKILL of the round before
            load = Load(port, bodies, expected)
            load.seen = seen[number]
            asyncio.run(load.until_killed(process, number, arguments.clients, arguments.seconds))
            status = process.wait(STOP_SECONDS)
        if number is signal.SIGTERM:
            ends.append(time.monotonic() - load.signalled_at)
        if status not in ((143, -15) if number is signal.SIGTERM else (-9,)):
            seen[number].problems.append(f"exit status {status}")
        left_over += [path.name for path in server.temporary.rglob("*")]
    stop, kill = seen[signal.SIGTERM], seen[signal.SIGKILL]
    return {
        "SIGTERM": {
            "answers": dict(stop.answers),
            "refused_after_the_signal": stop.refused,
            "seconds_to_the_end": _range(ends),
            "problems": stop.problems,
        },
        "SIGKILL": {
            "answers": dict(kill.answers),
            "connections_closed": kill.refused,
            "seconds_until_clients_knew": _range(kill.learnt),
            "seconds_to_the_first_answer_of_the_next_start": _range(restarts),
            "left_over": left_over,
            "problems": kill.problems + [f"left over: {name}" for name in left_over],
        },
    }


def _range(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {"median": round(statistics.median(values), 3), "largest": round(max(values), 3)}


class Transform:
    """One command, which is killed and started again."""

    def __init__(self, model: Path, photos: Path, folder: Path, format: str) -> None:
        self._options = [model, photos, folder / format, "--format", format, "--device", "cpu", "--batch-size", 8]
        self.output = folder / format
        self.work_folder = folder / f".{format}.transform"

    def start(self) -> subprocess.Popen[str]:
        """The process."""
        command = [sys.executable, "-m", "imclass", "transform", *map(str, self._options)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self) -> str:
        """Do all that is missing; what the command printed."""
        process = self.start()
        said, _ = process.communicate(timeout=DEADLINE)
        if process.returncode:
            raise RuntimeError(said)
        return said

    def kill_after(self, share: float, images: int) -> None:
        """Start, and kill the process once a share of the images has results."""
        process = self.start()
        deadline = time.monotonic() + DEADLINE
        while self.done(images) < share * images:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the transform ended before it could be killed, or does not get on")
            time.sleep(0.01)
        process.kill()
        process.communicate(timeout=DEADLINE)

    def done(self, images: int) -> int:
        """Images with results, as far as files tell."""
        pieces = [*self.work_folder.rglob("*.done")]
        return len(self.results()) or min(images, 64 * len(pieces))

    def results(self) -> dict[str, tuple[int, int]]:
        """Inode and time of change of all result files."""
        return {
            path.relative_to(self.output).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in self.output.rglob("*.out")
        }

    def content(self) -> dict[str, bytes]:
        """All files, hidden ones too."""
        return {
            path.relative_to(self.output).as_posix(): path.read_bytes()
            for path in self.output.rglob("*")
            if path.is_file()
        }

    def remove(self) -> None:
        """Forget it all."""
        shutil.rmtree(self.output)
        shutil.rmtree(self.work_folder)


def transform_rounds(arguments: argparse.Namespace, folder: Path, format: str) -> dict[str, object]:
    """Kill transforms at different shares of the work."""
    transform = Transform(arguments.model, arguments.photos, folder, format)
    images = int(_figure("images", transform.finish()))
    whole = transform.content()
    problems: list[str] = []
    kept: list[int] = []
    for round_number in range(arguments.rounds):
        transform.remove()
        transform.kill_after((round_number + 1) / (arguments.rounds + 1), images)
        before = transform.results()
        said = transform.finish()
        predicted, after = int(_figure("predicted", said)), transform.results()
        kept.append(images - predicted)
        problems += [f"{name} was done twice" for name in before if after.get(name) != before[name]]
        if format == "out" and predicted + len(before) != images:
            problems.append(f"{predicted} of {images} images were predicted where {len(before)} had results")
        problems += _differences(transform.content(), whole)
    return {"images": images, "kept_at_each_kill": kept, "problems": problems}


def _differences(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    """Files that are missing, too many or not what they should be; of probabilities, the last digits are free."""
    problems = [f"{name} is missing" for name in expected.keys() - found.keys()]
    problems += [f"{name} should not be there" for name in found.keys() - expected.keys()]
    for name in found.keys() & expected.keys():
        ours, theirs = (list(map(json.loads, content.splitlines())) for content in (found[name], expected[name]))
        same = [one.get("key") for one in ours] == [one.get("key") for one in theirs] and all(
            _is_close(one["prediction"], other["prediction"]) for one, other in zip(ours, theirs, strict=True)
        )
        problems += [] if same else [f"{name} is not what it should be"]
    return problems


def _figure(name: str, said: str) -> str:
    found = re.search(rf"^figure\t{name}\t(\S+)$", said, re.MULTILINE)
    if found is None:
        raise RuntimeError(said)
    return found[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    bodies = [path.read_bytes() for path in sorted(arguments.photos.rglob("*.jpg"))[:64]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = serving_rounds(arguments, bodies, folder)
        rows |= {f"transform {format}": transform_rounds(arguments, folder, format) for format in ("out", "jsonl")}
    print(json.dumps(rows, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))
    return int(any(row["problems"] for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
