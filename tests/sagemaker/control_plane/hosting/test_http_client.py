"""The client beside small servers that do what servers do."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from imclass.sagemaker.control_plane.hosting import http_client
from imclass.sagemaker.control_plane.hosting.http_client import Answer, Connection, Pool, ServerGoneError

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Kind: a\r\n\r\nok"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def with_server(handler: Handler, work: Callable[[int], Awaitable[None]]) -> None:
    """Run some work beside a server on a free port, which ends its connections when the work is done."""
    handling: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def whole() -> None:
            try:
                await handler(reader, writer)
            finally:
                writer.close()

        handling.append(asyncio.create_task(whole()))

    async def both() -> None:
        server = await asyncio.start_server(handle, http_client.HOST, 0)
        async with server, asyncio.timeout(30):
            await work(server.sockets[0].getsockname()[1])
            for task in handling:
                task.cancel()
            await asyncio.gather(*handling, return_exceptions=True)
            await asyncio.sleep(0.05)  # for the clients to see it

    asyncio.run(both())


async def request(reader: asyncio.StreamReader) -> bytes:
    """The body of the next request; nothing at the end of the connection."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        return await reader.readexactly(3)
    except asyncio.IncompleteReadError:
        return b""


class Counting:
    """Answers each request with a text, in pieces, and counts connections."""

    def __init__(self, answer: bytes = OK, most: int = 1000) -> None:
        self.connections = 0
        self._answer = answer
        self._most = most

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for _ in range(self._most):
            if not await request(reader):
                break
            for piece in (self._answer[:7], self._answer[7:20], self._answer[20:]):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)


def test_connections_are_used_again() -> None:
    server = Counting()

    async def work(port: int) -> None:
        pool = Pool(port)
        for _ in range(3):
            answer = await pool.exchange(HEAD, b"abc")
            assert answer == Answer(200, {"content-length": "2", "x-kind": "a"}, b"ok")
        assert server.connections == 1
        await asyncio.gather(*(pool.exchange(HEAD, b"abc") for _ in range(20)))
        assert server.connections == 20

    with_server(server, work)


def test_answers_in_chunks() -> None:
    chunked = b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"

    async def work(port: int) -> None:
        answer = await Pool(port).exchange(HEAD, b"abc")
        assert (answer.status, answer.body) == (503, b"abcde")

    with_server(Counting(chunked), work)


def test_a_connection_that_was_closed_while_idle_is_replaced() -> None:
    server = Counting(most=1)

    async def work(port: int) -> None:
        pool = Pool(port)
        for number in range(1, 4):
            assert (await pool.exchange(HEAD, b"abc")).body == b"ok"
            assert server.connections == number

    with_server(server, work)


def test_a_server_that_says_so_gets_a_new_connection() -> None:
    server = Counting(OK.replace(b"X-Kind: a", b"Connection: close"))

    async def work(port: int) -> None:
        pool = Pool(port)
        await pool.exchange(HEAD, b"abc")
        await pool.exchange(HEAD, b"abc")
        assert server.connections == 2

    with_server(server, work)


def test_idle_connections_grow_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "IDLE_SECONDS", 0.0)
    server = Counting()

    async def work(port: int) -> None:
        pool = Pool(port)
        await pool.exchange(HEAD, b"abc")
        await pool.exchange(HEAD, b"abc")
        assert server.connections == 2

    with_server(server, work)


@pytest.mark.parametrize("answer", [b"", OK[:-1], b"SSH-2.0-x\r\n\r\n"])
def test_half_an_answer_is_none(answer: bytes) -> None:
    async def work(port: int) -> None:
        with pytest.raises(ServerGoneError):
            await Pool(port).exchange(HEAD, b"abc")

    with_server(Counting(answer, most=1), work)


def test_nobody_listens() -> None:
    ports: list[int] = []

    async def remember(port: int) -> None:
        ports.append(port)

    with_server(Counting(), remember)
    with pytest.raises(ServerGoneError):
        asyncio.run(Pool(ports[0]).exchange(HEAD, b"abc"))


def test_who_gives_up_waiting_ends_the_connection() -> None:
    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        assert await reader.read() == b""
        ended.set()

    async def work(port: int) -> None:
        connection = await Connection.open(port)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await connection.exchange(HEAD, b"abc")
        assert not connection.is_open
        await ended.wait()
        with pytest.raises(ServerGoneError, match="closed"):
            await connection.exchange(HEAD, b"abc")

    with_server(silent, work)


def test_one_request_on_its_own() -> None:
    async def work(port: int) -> None:
        assert (await http_client.get(port, "/ping")).status == 204

    async def ping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /ping HTTP/1.1\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    with_server(ping, work)
