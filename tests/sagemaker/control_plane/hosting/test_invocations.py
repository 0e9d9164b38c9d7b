"""InvokeEndpoint in front of small servers that do what containers do."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.api.signature import AcceptAll
from imclass.sagemaker.control_plane.hosting.http_client import HOST, Pool
from imclass.sagemaker.control_plane.hosting.instance import Instance
from imclass.sagemaker.control_plane.hosting.invocations import LARGEST_BODY, Invocations, is_of_runtime
from imclass.sagemaker.control_plane.hosting.routing import Route, RoutedVariant, Router
from imclass.sagemaker.control_plane.hosting.serving_process import ServingProcess
from imclass.sagemaker.control_plane.store.state import State

URL = "http://plane/endpoints/digits/invocations"
Work = Callable[[httpx.AsyncClient], Awaitable[None]]
OK = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: application/json\r\nX-Own: 1\r\n\r\n[0.5]"


class Container:
    """Gives one answer to each request, which it remembers; None: ends the connection; "": says nothing."""

    def __init__(self, answer: str | None = OK) -> None:
        self.answer = answer
        self.heads: list[dict[str, str]] = []
        self.bodies: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[:-1]
                head = {"": lines[0]} | dict(line.lower().split(": ", 1) for line in lines[1:])
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(int(head["content-length"])))
                if self.answer is None:
                    return
                writer.write(self.answer.encode())
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()


class StandIn:
    """What requests need of a process."""

    token = "secret"

    def __init__(self, port: int) -> None:
        self.pool = Pool(port)


def never(instance: Instance) -> ServingProcess:
    raise AssertionError("nothing is started here")


def with_endpoint(folder: Path, work: Work, *containers: Container, seconds: float = 30.0) -> None:
    """Run some work with a client of a runtime whose endpoint `digits` has these containers."""

    async def whole() -> None:
        servers = [await asyncio.start_server(container, HOST, 0) for container in containers]
        instances = []
        for server in servers:
            instance = Instance(Path("/nowhere"), 1.0, never, lambda: None)
            instance.process = cast(ServingProcess, StandIn(server.sockets[0].getsockname()[1]))
            instances.append(instance)
        router, state = Router(), State(folder)
        if instances:
            router.set("digits", Route([RoutedVariant("A", 1.0, instances)]))
        application = Invocations(router, state, Account(), AcceptAll(), answer_seconds=seconds)
        async with asyncio.timeout(60), httpx.AsyncClient(transport=httpx.ASGITransport(application)) as client:
            await work(client)
        assert [instance.requests for instance in instances] == [0] * len(instances)
        state.close()
        for server in servers:
            server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.05)

    asyncio.run(whole())


def error_of(response: httpx.Response) -> tuple[int, str, dict[str, Any]]:
    return response.status_code, response.headers["x-amzn-errortype"], json.loads(response.content)


def test_what_is_passed_on_and_back(tmp_path: Path) -> None:
    custom = "x-amzn-sagemaker-custom-attributes"
    container = Container(OK.replace("X-Own: 1", f"X-Own: 1\r\n{custom}: trace=2"))

    async def work(client: httpx.AsyncClient) -> None:
        sent = {"Content-Type": "image/png; a=b", "Accept": "application/json", custom: "trace=1", "Cookie": "c=1"}
        response = await client.post(URL, content=b"image", headers={**sent, "Authorization": "AWS4 x"})
        assert (response.status_code, response.content) == (200, b"[0.5]")
        assert response.headers["x-amzn-invoked-production-variant"] == "A"
        assert response.headers["content-type"] == "application/json"
        assert response.headers[custom] == "trace=2"
        assert "x-own" not in response.headers
        assert len(response.headers["x-amzn-requestid"]) == 36

    with_endpoint(tmp_path, work, container)
    assert container.bodies == [b"image"]
    assert container.heads == [
        {
            "": "POST /invocations HTTP/1.1",
            "host": "127.0.0.1",
            "authorization": "bearer secret",
            "content-length": "5",
            "content-type": "image/png; a=b",
            "accept": "application/json",
            custom: "trace=1",
        }
    ]


@pytest.mark.parametrize(("status", "kind"), [(400, "client"), (415, "client"), (500, "server"), (503, "server")])
def test_what_a_container_refuses(tmp_path: Path, status: int, kind: str) -> None:
    async def work(client: httpx.AsyncClient) -> None:
        code, name, members = error_of(await client.post(URL, content=b"image"))
        assert (code, name) == (424, "ModelError")
        assert members["Message"] == (
            f'Received {kind} error ({status}) from primary with message "no". See '
            "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logEventViewer:"
            "group=/aws/sagemaker/Endpoints/digits in account 000000000000 for more information."
        )
        assert (members["OriginalStatusCode"], members["OriginalMessage"]) == (status, "no")
        stream = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/sagemaker/Endpoints/digits:log-stream:A/i-"
        assert members["LogStreamArn"].startswith(stream)

    with_endpoint(tmp_path, work, Container(f"HTTP/1.1 {status} No\r\nContent-Length: 2\r\n\r\nno"))


def test_no_answer_in_time(tmp_path: Path) -> None:
    async def work(client: httpx.AsyncClient) -> None:
        code, name, members = error_of(await client.post(URL, content=b"image"))
        assert (code, name, members["OriginalStatusCode"]) == (424, "ModelError", 0)
        assert "Your invocation timed out while waiting for a response from container primary" in members["Message"]

    with_endpoint(tmp_path, work, Container(""), seconds=0.2)


def test_the_next_instance_answers_for_one_that_ends(tmp_path: Path) -> None:
    broken, healthy = Container(None), Container()

    async def work(client: httpx.AsyncClient) -> None:
        for _ in range(4):
            assert (await client.post(URL, content=b"image")).status_code == 200

    with_endpoint(tmp_path, work, broken, healthy)
    assert len(healthy.bodies) == 4
    assert broken.bodies


def test_nobody_is_left_to_ask(tmp_path: Path) -> None:
    async def work(client: httpx.AsyncClient) -> None:
        code, name, members = error_of(await client.post(URL, content=b"image"))
        assert (code, name) == (503, "ServiceUnavailable")
        assert members["Message"].startswith("No instance of endpoint digits is healthy")

    with_endpoint(tmp_path, work, Container(None), Container(None))


def test_endpoints_that_do_not_answer(tmp_path: Path) -> None:
    state = State(tmp_path)
    for name, status in (("creating", "Creating"), ("failed", "Failed"), ("back", "OutOfService")):
        state.add("endpoint", name, name, status, {}, {})
    state.close()

    async def work(client: httpx.AsyncClient) -> None:
        texts = {}
        for name in ("creating", "failed", "back", "none"):
            code, kind, members = error_of(await client.post(URL.replace("digits", name), content=b""))
            texts[name] = code, kind, members["Message"]
        account = "of account 000000000000"
        assert texts == {
            "creating": (400, "ValidationError", f"Endpoint creating {account} is in status Creating."),
            "failed": (400, "ValidationError", f"Endpoint failed {account} is in status Failed."),
            "back": (503, "ServiceUnavailable", "The instances of endpoint back are being started."),
            "none": (400, "ValidationError", f"Endpoint none {account} not found."),
        }

    with_endpoint(tmp_path, work)


def test_what_has_no_meaning_here_is_told_at_once(tmp_path: Path) -> None:
    container = Container()

    async def work(client: httpx.AsyncClient) -> None:
        headers = {"X-Amzn-SageMaker-Target-Model": "a.tar.gz", "X-Amzn-SageMaker-Session-Id": "s"}
        code, name, members = error_of(await client.post(URL, content=b"", headers=headers))
        assert (code, name) == (400, "ValidationError")
        assert "TargetModel cannot be given" in members["Message"]
        assert "SessionId cannot be given" in members["Message"]
        for path in ("async-invocations", "invocations-response-stream"):
            code, name, members = error_of(await client.post(URL.replace("invocations", path), content=b""))
            assert (code, name) == (400, "ValidationError")
            assert "is not offered; use InvokeEndpoint" in members["Message"]

    with_endpoint(tmp_path, work, container)
    assert container.bodies == []


def test_the_largest_request(tmp_path: Path) -> None:
    container = Container()

    async def work(client: httpx.AsyncClient) -> None:
        assert (await client.post(URL, content=bytes(LARGEST_BODY))).status_code == 200
        code, name, members = error_of(await client.post(URL, content=bytes(LARGEST_BODY + 1)))
        assert (code, name) == (413, "ValidationError")
        assert members["Message"] == "HTTP content length exceeded 6291456 bytes."

    with_endpoint(tmp_path, work, container)
    assert [len(body) for body in container.bodies] == [LARGEST_BODY]


def test_many_clients_at_once(tmp_path: Path) -> None:
    containers = [Container(), Container()]

    async def work(client: httpx.AsyncClient) -> None:
        for _ in range(3):
            responses = await asyncio.gather(*(client.post(URL, content=b"image") for _ in range(200)))
            assert {response.status_code for response in responses} == {200}

    with_endpoint(tmp_path, work, *containers)
    assert [len(container.bodies) for container in containers] == [300, 300]


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("POST", "/endpoints/a/invocations", b"", True),
        ("POST", "/endpoints/a/async-invocations", b"", True),
        ("POST", "/endpoints/a/invocations", b"uploads", False),
        ("PUT", "/endpoints/a/invocations", b"", False),
        ("POST", "/endpoints/a/b/invocations", b"", False),
        ("POST", "/bucket/endpoints/a/invocations", b"", False),
    ],
)
def test_a_bucket_called_endpoints_is_not_the_runtime(method: str, path: str, query: bytes, expected: bool) -> None:
    assert is_of_runtime({"method": method, "path": path, "query_string": query}) is expected
