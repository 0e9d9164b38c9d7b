"""A long load on `imclass serve`, with everything that clients do wrong: is an answer lost, does memory grow?

    python bench/soak.py MODEL PHOTOS [--minutes 20] [--share 0.8] [--json FILE]

Finds the best rate with 16 clients, then sends requests at a share of it (Poisson). Of 100 requests 2 are broken
images, 1 is sent slowly, in pieces over 2 seconds, and 1 is from a client that goes away. Prints counts by kind and
status, latency, and the server's memory at the start, after a tenth of the time and at the end. Exit status 1 when an
answer was lost or wrong, any was 5xx, or memory grew by more than a tenth after the first tenth of the time.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from load import TIMEOUT, Connection, Result, closed_loop, run
from serving import port_when_ready, started

BROKEN, SLOW, LEAVING = 0.02, 0.01, 0.01
SLOW_PIECES, SLOW_SECONDS = 10, 2.0
EXPECTED = {"good": 200, "broken": 400, "slow": 200}
PEAK_CLIENTS = 16


class Soak:
    """The load and what came of it."""

    def __init__(self, connect: Callable[[], Connection], bodies: Sequence[bytes], seed: int = 0) -> None:
        self._connect = connect
        self._bodies = bodies
        self._random = random.Random(seed)
        self._idle: list[Connection] = []
        self.counts: Counter[tuple[str, int]] = Counter()
        self.lost: Counter[str] = Counter()
        self.result = Result()

    async def run(self, rate: float, seconds: float) -> None:
        """Send requests at a rate for a time, and wait for all answers."""
        began = time.perf_counter()
        due, tasks = 0.0, set()
        while (due := due + self._random.expovariate(rate)) < seconds:
            await asyncio.sleep(max(0.0, due - (time.perf_counter() - began)))
            task = asyncio.create_task(self._one(self._random.random()))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        self.result.seconds = time.perf_counter() - began

    async def _one(self, chance: float) -> None:
        body = self._random.choice(self._bodies)
        if chance < BROKEN:
            await self._posted("broken", body[: len(body) // 3])
        elif chance < BROKEN + SLOW:
            await self._slow(body)
        elif chance < BROKEN + SLOW + LEAVING:
            await self._leave(body)
        else:
            await self._posted("good", body)

    async def _posted(self, kind: str, body: bytes) -> None:
        connection = self._idle.pop() if self._idle else self._connect()
        began = time.perf_counter()
        try:
            status, content = await connection.post(body)
            json.loads(content)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self.lost[f"{kind}: {error!r}"] += 1
            connection.drop()
            return
        self.counts[kind, status] += 1
        if kind == "good" and status == 200:
            self.result.latencies.append(time.perf_counter() - began)
        self._idle.append(connection)

    async def _slow(self, body: bytes) -> None:
        """Send a body in pieces, on a connection of its own."""
        connection = self._connect()
        reader, writer = await asyncio.open_connection(connection.host, connection.port)
        try:
            writer.write(connection.head(len(body)))
            size = -(-len(body) // SLOW_PIECES)
            for start in range(0, len(body), size):
                await asyncio.sleep(SLOW_SECONDS / SLOW_PIECES)
                writer.write(body[start : start + size])
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT)
            self.counts["slow", int(head.split(b" ", 2)[1])] += 1
        except (OSError, EOFError, TimeoutError) as error:
            self.lost[f"slow: {error!r}"] += 1
        finally:
            writer.transport.abort()

    async def _leave(self, body: bytes) -> None:
        """Send a request and go away, within the body or after it."""
        connection = self._connect()
        _, writer = await asyncio.open_connection(connection.host, connection.port)
        writer.write(connection.head(len(body)) + body[: self._random.choice((len(body) // 2, len(body)))])
        await asyncio.sleep(self._random.random() * 0.2)
        writer.transport.abort()
        self.counts["leaving", 0] += 1


def resident_mebibytes(process: int) -> float:
    """Memory of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


async def sampled(load: Awaitable[None], process: int, every: float) -> list[float]:
    """The memory of a process while a load runs."""
    samples = [resident_mebibytes(process)]
    task = asyncio.ensure_future(load)
    while not task.done():
        await asyncio.wait((task,), timeout=every)
        samples.append(resident_mebibytes(process))
    task.result()
    return samples


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--share", type=float, default=0.8)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    bodies = [path.read_bytes() for path in sorted(arguments.photos.rglob("*.jpg"))[:256]]
    command = [sys.executable, "-m", "imclass", "serve", arguments.model, "--port", 0, "--device", "cpu"]
    with started(command, port_when_ready) as (process, port):
        connect = partial(Connection, "127.0.0.1", port, "/invocations")
        peak = run(closed_loop(connect, bodies, PEAK_CLIENTS, 15)).images_per_second
        print(
            f"peak {peak:.1f} images/s; now {arguments.share:.0%} of it for {arguments.minutes:g} minutes", flush=True
        )
        soak = Soak(connect, bodies)
        seconds = 60 * arguments.minutes
        memory = asyncio.run(sampled(soak.run(arguments.share * peak, seconds), process.pid, seconds / 100))
    return judged(soak, memory, arguments.json)


def judged(soak: Soak, memory: list[float], output: Path | None) -> int:
    """Print what came of it; the exit status."""
    settled, end = max(memory[: len(memory) // 10 + 1]), memory[-1]
    wrong = {key: count for key, count in soak.counts.items() if EXPECTED.get(key[0], key[1]) != key[1]}
    rows = {
        "counts": {f"{kind} {status}": count for (kind, status), count in sorted(soak.counts.items())},
        "lost": soak.lost,
        "unexpected": {f"{kind} {status}": count for (kind, status), count in wrong.items()},
        "latency": soak.result.row(),
        "memory_mib": {"start": memory[0], "settled": settled, "end": end},
        "memory_on_the_way_mib": memory[:: len(memory) // 10 or 1],
    }
    print(json.dumps(rows, indent=1))
    if output:
        output.write_text(json.dumps(rows, indent=1))
    return int(bool(soak.lost or wrong or end > 1.1 * settled))


if __name__ == "__main__":
    sys.exit(main())
