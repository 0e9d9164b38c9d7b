"""An HTTP client for load: in closed loop (so many clients) and in open loop (so many requests a second)."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

TIMEOUT = 90.0


class Connection:
    """One connection, which posts one body after the other."""

    def __init__(self, host: str, port: int, path: str, content_type: str = "image/jpeg") -> None:
        self.host = host
        self.port = port
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\nContent-Length: ".encode()
        )
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.drop()

    def head(self, length: int) -> bytes:
        """Request line and headers of a body."""
        return self._head + str(length).encode() + b"\r\n\r\n"

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer; connects when there is no connection, or the server has closed it."""
        if self._streams is not None and self._streams[0].at_eof():
            self.drop()
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.host, self.port)
        reader, writer = self._streams
        writer.write(self.head(len(body)) + body)
        async with asyncio.timeout(TIMEOUT):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            content = await reader.readexactly(length)
        if b"connection: close" in head:
            self.drop()
        return int(head.split(b" ", 2)[1]), content

    def drop(self) -> None:
        """End the connection at once."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


@dataclass
class Result:
    """What came of a load: seconds that it lasted, seconds of each good answer, answers by status."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def images_per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """In milliseconds."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def row(self) -> dict[str, object]:
        return {
            "images_per_second": round(self.images_per_second, 2),
            "p50_ms": round(self.percentile(0.5), 1),
            "p99_ms": round(self.percentile(0.99), 1),
            "statuses": dict(self.statuses),
        }


async def closed_loop(
    connect: Callable[[], Connection], bodies: Sequence[bytes], clients: int, seconds: float
) -> Result:
    """Every client sends its next request when it has the answer to the last."""
    result = Result()
    began = time.perf_counter()

    async def client(number: int) -> None:
        async with connect() as connection:
            position = number
            while time.perf_counter() - began < seconds:
                await _timed(connection, bodies[position % len(bodies)], result)
                position += clients

    await asyncio.gather(*(client(number) for number in range(clients)))
    result.seconds = time.perf_counter() - began
    return result


async def open_loop(
    connect: Callable[[], Connection], bodies: Sequence[bytes], rate: float, seconds: float, seed: int = 0
) -> Result:
    """Requests come as a Poisson process of a rate, whether others are answered or not; waiting counts."""
    generator = random.Random(seed)
    result = Result()
    idle: list[Connection] = []

    async def send(body: bytes) -> None:
        connection = idle.pop() if idle else connect()
        await _timed(connection, body, result)
        idle.append(connection)

    began = time.perf_counter()
    due, tasks = 0.0, []
    while (due := due + generator.expovariate(rate)) < seconds:
        await asyncio.sleep(max(0.0, due - (time.perf_counter() - began)))
        tasks.append(asyncio.create_task(send(bodies[len(tasks) % len(bodies)])))
    await asyncio.gather(*tasks)
    result.seconds = time.perf_counter() - began
    for connection in idle:
        connection.drop()
    return result


async def _timed(connection: Connection, body: bytes, result: Result) -> None:
    began = time.perf_counter()
    status, _ = await connection.post(body)
    result.statuses[status] += 1
    if status == 200:
        result.latencies.append(time.perf_counter() - began)


def run(load: Awaitable[Result]) -> Result:
    """Run a load in an event loop of its own."""

    async def whole() -> Result:
        return await load

    return asyncio.run(whole())
