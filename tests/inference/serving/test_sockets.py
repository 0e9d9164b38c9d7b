"""The server on a real socket: slow clients, those that leave, large and broken requests."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from imclass.address import Address, listening_socket
from imclass.inference.serving import protocol
from imclass.inference.serving.application import create_application
from imclass.inference.serving.limits import Limits
from imclass.inference.serving.models import Models
from imclass.inference.serving.server import Process
from imclass.inference.serving.service import Batching
from tests.inference.serving.parts import Workbench, encoded
from tests.inference.serving.sockets import DEADLINE, exchange, in_thread, metric, received, request, wait_for

TYPE = "Content-Type: image/jpeg"
ARRAY = b"[0.6257858276367188, 0.37421420216560364]"


def test_every_byte_of_an_answer(workbench: Workbench) -> None:
    with in_thread(workbench.parts()) as port:
        head, _, body = exchange(port, request(encoded(), TYPE)).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert {line.split(b":")[0] for line in lines[1:]} == {b"date", b"content-length", b"content-type", b"connection"}
    assert b"content-type: application/json" in lines
    assert body == ARRAY


def test_requests_one_after_the_other_on_a_connection(workbench: Workbench) -> None:
    sent = request(encoded(), TYPE, close=False) + request(b"bad", TYPE, close=False) + request(encoded(), TYPE)
    with in_thread(workbench.parts()) as port:
        answers = exchange(port, sent)
    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400", b"200"]


def test_a_chunked_body(workbench: Workbench) -> None:
    image = encoded()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (image[:50], image[50:], b""))
    head = f"POST /invocations HTTP/1.1\r\nHost: t\r\n{TYPE}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    with in_thread(workbench.parts()) as port:
        assert exchange(port, head.encode() + chunks).endswith(ARRAY)


def test_who_sends_too_much_gets_an_answer(workbench: Workbench) -> None:
    workbench.limits = Limits(body_bytes=1000)
    with in_thread(workbench.parts()) as port:
        answer = exchange(port, request(bytes(20 << 20), TYPE))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"1,000 bytes" in answer


def test_who_asks_before_sending_too_much_need_not_send(workbench: Workbench) -> None:
    workbench.limits = Limits(body_bytes=1000)
    with in_thread(workbench.parts()) as port:
        answer = exchange(port, request(bytes(2000), TYPE, "Expect: 100-continue")[:-2000])
        assert answer.startswith(b"HTTP/1.1 413 ")
        asked = request(encoded(), TYPE, "Expect: 100-continue")
        assert exchange(port, asked).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")


def test_a_slow_body_gets_408_and_the_connection_ends(workbench: Workbench) -> None:
    workbench.limits = Limits(body_seconds=0.3)
    with in_thread(workbench.parts()) as port:
        began = time.monotonic()
        answer = exchange(port, request(encoded(), TYPE, close=False)[:-20])
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert 0.2 < time.monotonic() - began < 10
        assert exchange(port, request(encoded(), TYPE)).endswith(ARRAY)


def test_a_body_that_comes_byte_by_byte_is_as_slow(workbench: Workbench) -> None:
    workbench.limits = Limits(body_seconds=0.3)
    with in_thread(workbench.parts()) as port, socket.create_connection(("127.0.0.1", port), DEADLINE) as connection:
        whole = request(encoded(), TYPE)
        body_at = whole.index(b"\r\n\r\n") + 4
        connection.sendall(whole[:body_at])
        # The server may close while this client is sending: then the answer is lost on the way.
        with suppress(ConnectionError):
            for position in range(body_at, body_at + 100):
                connection.sendall(whole[position : position + 1])
                time.sleep(0.01)
        assert position < body_at + 99
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: metric(url, 'imclass_requests_total{model="model",status="408"} 1.0'))


@pytest.mark.parametrize("sent", [b"", b"POST /invoc", b"POST /invocations HTTP/1.1\r\nHost: t\r\n"])
def test_slow_headers_end_the_connection(workbench: Workbench, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.2)
    with in_thread(workbench.parts()) as port:
        assert exchange(port, sent) == b""
        assert exchange(port, request(encoded(), TYPE)).endswith(ARRAY)


def test_endless_headers_end_the_connection(workbench: Workbench) -> None:
    with in_thread(workbench.parts()) as port, socket.create_connection(("127.0.0.1", port), DEADLINE) as connection:
        connection.sendall(b"GET /ping HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):
            connection.sendall(b"X-Filler: x\r\n" * 1_000_000)


def test_no_http_at_all(workbench: Workbench) -> None:
    with in_thread(workbench.parts()) as port:
        assert exchange(port, b"\x16\x03\x01 hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert exchange(port, request(encoded(), TYPE)).endswith(ARRAY)


def test_who_leaves_while_waiting_costs_the_model_nothing(workbench: Workbench) -> None:
    workbench.batching = Batching(max_batch=1)
    with in_thread(workbench.parts()) as port:
        url = f"http://127.0.0.1:{port}"
        workbench.backend.forget_warm_up()
        workbench.backend.may_go_on.clear()
        connections = [socket.create_connection(("127.0.0.1", port), DEADLINE) for _ in range(5)]
        for connection in connections:
            connection.sendall(request(encoded(), TYPE))
        wait_for(lambda: metric(url, 'imclass_queue_images{model="model"} 5.0'))
        wait_for(workbench.backend.has_begun.is_set)
        for connection in connections[1:4]:
            connection.close()
        wait_for(lambda: metric(url, 'imclass_requests_total{model="model",status="499"} 3.0') or _first_left(url))
        workbench.backend.may_go_on.set()
        assert received(connections[4]).endswith(ARRAY)
        connections[0].close()
        connections[4].close()
        assert len(workbench.backend.batches) <= 3
        wait_for(lambda: metric(url, 'imclass_queue_images{model="model"} 0.0'))


def _first_left(url: str) -> bool:
    """Of requests sent at the same time any may be the first at the model; leaving then is noticed too."""
    return metric(url, 'imclass_queue_images{model="model"} 2.0')


def test_who_leaves_within_the_body(workbench: Workbench) -> None:
    with in_thread(workbench.parts()) as port:
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as connection:
            connection.sendall(request(encoded(), TYPE)[:-20])
        wait_for(lambda: metric(f"http://127.0.0.1:{port}", 'imclass_requests_total{model="model",status="499"} 1.0'))


def test_many_at_once_share_batches(workbench: Workbench) -> None:
    workbench.batching = Batching(max_batch=16)
    with in_thread(workbench.parts()) as port:
        workbench.backend.forget_warm_up()
        workbench.backend.may_go_on.clear()
        with ThreadPoolExecutor(32) as pool:
            answers = [pool.submit(exchange, port, request(encoded(seed), TYPE)) for seed in range(32)]
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: metric(url, 'imclass_seconds_count{model="model",stage="decode"} 32.0'))
            workbench.backend.may_go_on.set()
            assert all(answer.result().endswith(ARRAY) for answer in answers)
    assert sum(workbench.backend.batches) == 32
    assert max(workbench.backend.batches) == 16


def test_what_was_accepted_is_answered_when_the_server_stops(workbench: Workbench) -> None:
    with ThreadPoolExecutor(8) as pool:
        with in_thread(workbench.parts()) as port:
            workbench.backend.may_go_on.clear()
            answers = [pool.submit(exchange, port, request(encoded(seed), TYPE)) for seed in range(8)]
            wait_for(lambda: metric(f"http://127.0.0.1:{port}", 'imclass_queue_images{model="model"} 8.0'))
            threading.Timer(0.5, workbench.backend.may_go_on.set).start()
        assert all(answer.result().endswith(ARRAY) for answer in answers)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/ping")


def test_a_model_that_does_not_work_ends_the_process(workbench: Workbench, caplog: pytest.LogCaptureFixture) -> None:
    workbench.backend.fault = RuntimeError("no memory")
    service = workbench.service()
    process = Process(Models([service]))
    parts = workbench.parts(service, on_fault=process.fail)
    address = Address("127.0.0.1", 0)
    with listening_socket(address) as opened, pytest.raises(RuntimeError, match="a model does not work"):
        process.run(create_application(parts), address, opened)
    assert "no memory" in caplog.text


def test_errors_are_json(workbench: Workbench) -> None:
    with in_thread(workbench.parts()) as port:
        for sent in (request(b"bad", TYPE), request(b"", TYPE), request(b"x", "Content-Type: text/csv")):
            head, _, body = exchange(port, sent).partition(b"\r\n\r\n")
            assert json.loads(body)["status"] == int(head.split(b" ")[1])
