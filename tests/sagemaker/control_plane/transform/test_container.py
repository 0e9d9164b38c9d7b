"""The parts of a transform job, without a container."""

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from imclass.errors import ArtifactError
from imclass.sagemaker.control_plane.hosting.model_archive import unpack_model
from imclass.sagemaker.control_plane.transform.container import client as client_module
from imclass.sagemaker.control_plane.transform.container.client import Client, ExecutionParameters, InvocationError
from imclass.sagemaker.control_plane.transform.container.in_order import AHEAD, in_order
from imclass.sagemaker.control_plane.transform.container.job import settings_of
from imclass.sagemaker.control_plane.transform.container.order import TransformFolder, TransformOrder
from imclass.sagemaker.control_plane.transform.container.processing import FilterError, Processing
from imclass.sagemaker.control_plane.transform.container.records import Broken, EndOfObject, Item, Record, items_of
from imclass.sagemaker.control_plane.transform.container.results import Results
from tests.loopback import serving

LARGEST = 100


def order(keys: Sequence[str] = ("a",), **members: Any) -> TransformOrder:
    return TransformOrder(list(keys), [f"bucket/{key}" for key in keys], "data.log", **members)


@pytest.fixture
def items(tmp_path: Path) -> Callable[..., list[Item]]:
    """What objects are taken apart into."""

    def take_apart(*contents: bytes, given_up: Sequence[int] = (), **members: Any) -> list[Item]:
        folder = TransformFolder(tmp_path)
        folder.inputs.mkdir()
        for number, content in enumerate(contents):
            folder.input(number).write_bytes(content)
        keys = [f"key-{number}" for number in range(len(contents))]
        found = list(items_of(order(keys, **members), folder, LARGEST, given_up))
        assert sorted(path.name for path in folder.inputs.iterdir()) == [f"{n:08d}" for n in range(len(contents))]
        return found

    return take_apart


def test_an_order_survives_its_file(tmp_path: Path) -> None:
    folder = TransformFolder(tmp_path)
    folder.write_order(order(["a", "b/ü"], max_payload_in_mb=3, input_filter="$.a"))
    assert folder.read_order() == order(["a", "b/ü"], max_payload_in_mb=3, input_filter="$.a")


def test_whole_objects(items: Callable[..., list[Item]]) -> None:
    first, end, too_large, end_of_large = items(b"x" * LARGEST, b"x" * (LARGEST + 1))
    assert first == Record(0, b"x" * LARGEST, {"key": "key-0"})
    assert (end, end_of_large) == (EndOfObject(0), EndOfObject(1))
    assert too_large == Broken(1, "a request would have 101 bytes, and MaxPayloadInMB allows 100")


def test_lines(items: Callable[..., list[Item]]) -> None:
    found = items(b"one\r\n\ntwo", b"", b"x" * 101 + b"\nlost", split_type="Line")
    bodies = [(item.object_number, item.body) for item in found if isinstance(item, Record)]
    assert bodies == [(0, b"one"), (0, b""), (0, b"two")]
    assert [type(item) for item in found[3:]] == [EndOfObject, EndOfObject, Broken, EndOfObject]


def test_the_rest_of_an_object_is_left_out_when_it_is_given_up(items: Callable[..., list[Item]]) -> None:
    found = items(b"1\n2", b"3\n4", split_type="Line", given_up=[0])
    assert [item.body for item in found if isinstance(item, Record)] == [b"3", b"4"]


def test_packed_objects(items: Callable[..., list[Item]]) -> None:
    packed = gzip.compress(b"one\ntwo")
    found = items(packed, packed[:-9], b"no gzip", split_type="Line", compression_type="Gzip")
    assert [item.body for item in found if isinstance(item, Record)] == [b"one", b"two"]
    broken = [item for item in found if isinstance(item, Broken)]
    assert [item.object_number for item in broken] == [1, 2]
    assert all("it is not gzip, or damaged" in item.reason for item in broken)


def test_files_that_hold_no_records_are_named_by_their_keys(items: Callable[..., list[Item]]) -> None:
    broken, _ = items(b"no records at all", split_type="RecordIO")
    assert isinstance(broken, Broken)
    assert broken.reason.startswith("key-0, byte 0: ")


@pytest.mark.parametrize(
    ("members", "body", "answer", "sent", "result"),
    [
        ({}, b"image", b"[0.5]", b"image", b"[0.5]"),
        ({"assemble_with": "Line"}, b"image", b"[0.5]", b"image", b"[0.5]\n"),
        ({"assemble_with": "Line"}, b"image", b"[0.5]\n", b"image", b"[0.5]\n"),
        ({"join_source": "Input"}, b"image", b"[0.5]", b"image", b'{"key": "k", "SageMakerOutput": [0.5]}'),
        (
            {"content_type": "application/json", "join_source": "Input", "input_filter": "$.a"},
            b'{"a": [1], "b": 2}',
            b'{"prediction": [0.5]}\n',
            b"[1]",
            b'{"a": [1], "b": 2, "SageMakerOutput": {"prediction": [0.5]}}\n',
        ),
        ({"content_type": "application/json; charset=utf-8", "join_source": "Input"}, b"[1]", b"2", b"[1]",
         b'{"SageMakerInput": [1], "SageMakerOutput": 2}'),
        ({"output_filter": "$.prediction[0]"}, b"image", b'{"prediction": [0.5]}\n', b"image", b"0.5\n"),
    ],
)  # fmt: skip
def test_processing(members: dict[str, str], body: bytes, answer: bytes, sent: bytes, result: bytes) -> None:
    processing, record = Processing(order(**members)), Record(0, body, {"key": "k"})
    assert processing.body(record) == sent
    assert processing.result(record, answer) == result


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"content_type": "application/json", "input_filter": "$.b"}, "the InputFilter \\$.b does not fit"),
        ({"output_filter": "$.b"}, "the OutputFilter \\$.b does not fit"),
        ({"content_type": "application/json", "input_filter": "$.a[0][0]"}, "the InputFilter"),
    ],
)
def test_filters_that_do_not_fit(members: dict[str, str], message: str) -> None:
    processing, record = Processing(order(**members)), Record(0, b'{"a": [1]}', {})
    with pytest.raises(FilterError, match=message):
        processing.result(record, processing.body(record))


def test_what_is_no_json_cannot_be_joined() -> None:
    processing = Processing(order(content_type="application/json", join_source="Input"))
    with pytest.raises(FilterError, match="the record is not JSON"):
        processing.result(Record(0, b"{", {}), b"[1]")
    with pytest.raises(FilterError, match="the answer is not JSON"):
        processing.result(Record(0, b"{}", {}), b"0.5, 0.5")


def test_answers_come_in_order_and_few_items_are_ahead() -> None:
    taken: list[int] = []
    most, at_work, lock = 0, 0, threading.Lock()

    def items() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    def work(number: int) -> int:
        nonlocal most, at_work
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.002 * (number % 3))
        with lock:
            at_work -= 1
        return number

    for expected, answer in enumerate(in_order(work, items(), threads=4)):
        assert answer == expected
        assert len(taken) <= expected + 4 * AHEAD
    assert 1 < most <= 4


def test_an_error_comes_when_it_is_the_turn_of_its_item() -> None:
    answers = in_order(lambda number: 1 // number, [2, 1, 0, 1], threads=2)
    assert [next(answers), next(answers)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(answers)


def test_results_appear_when_they_are_complete(tmp_path: Path) -> None:
    results = Results(TransformFolder(tmp_path))
    folder = TransformFolder(tmp_path)
    results.add(0, b"one")
    assert not folder.result(0).exists()
    results.add(0, b"two")
    results.end(0)
    assert folder.result(0).read_bytes() == b"onetwo"
    results.add(1, b"lost")
    results.fail(1, "why")
    results.fail(1, "later")
    results.add(1, b"lost too")
    results.end(1)
    results.end(2)
    assert folder.result(2).read_bytes() == b""
    assert results.failed == {1: "why"}
    assert results.written == 2
    results.add(3, b"unfinished")
    results.close()
    assert sorted(path.name for path in folder.results.iterdir()) == ["00000000", "00000002"]


@contextmanager
def container(*answers: tuple[int, bytes]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """A server with these answers in turn, the last for ever; gives its port and the requests so far."""
    requests: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            requests.append({"path": self.path, "body": body, "type": self.headers.get("Content-Type"),
                             "accept": self.headers.get("Accept"), "from": self.client_address})  # fmt: skip
            status, content = answers[min(len(requests), len(answers)) - 1]
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the list of requests tells it."""

    with serving(Handler) as url:
        port = urlsplit(url).port
        assert port is not None
        yield port, requests


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_PAUSE_SECONDS", 0.001)


def ask(port: int, max_retries: int) -> bytes:
    """The answer to one request."""
    with closing(Client(port, {}, 30, max_retries)) as client:
        return client.invoke(b"x")


def test_requests_share_a_connection_and_their_headers() -> None:
    with container((200, b"answer")) as (port, requests):
        headers = {"Content-Type": "application/x-image", "Accept": "application/jsonlines"}
        with closing(Client(port, headers, 30, 0)) as client:
            assert [client.invoke(b"one"), client.invoke(b"two")] == [b"answer", b"answer"]
    assert [(each["path"], each["body"]) for each in requests] == [("/invocations", b"one"), ("/invocations", b"two")]
    assert {(each["type"], each["accept"]) for each in requests} == {("application/x-image", "application/jsonlines")}
    assert len({each["from"] for each in requests}) == 1


def test_what_may_pass_is_asked_again() -> None:
    with container((503, b"busy"), (500, b"fault"), (200, b"answer")) as (port, requests):
        assert ask(port, 2) == b"answer"
        assert len(requests) == 3
    with container((503, b'{"status": 503, "error": "busy"}')) as (port, requests):
        with pytest.raises(InvocationError, match="503: busy") as caught:
            ask(port, 3)
        assert not caught.value.is_users
        assert len(requests) == 4


def test_what_the_user_did_wrong_is_not_asked_again() -> None:
    with container((415, b'{"status": 415, "error": "no such type"}')) as (port, requests):
        with pytest.raises(InvocationError, match="415: no such type") as caught:
            ask(port, 3)
        assert caught.value.is_users
        assert len(requests) == 1


def test_nobody_is_asked_again_who_is_gone(free_port: int) -> None:
    class GoneError(Exception):
        pass

    def check_alive() -> None:
        raise GoneError

    with pytest.raises(GoneError):
        Client(free_port, {}, 30, 3, check_alive).invoke(b"x")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((404, b""), ExecutionParameters()),
        ((200, b'{"MaxConcurrentTransforms": 8}'), ExecutionParameters(8, None)),
        ((200, json.dumps({"MaxConcurrentTransforms": "8", "MaxPayloadInMB": 2}).encode()), ExecutionParameters(8, 2)),
    ],
)
def test_execution_parameters(answer: tuple[int, bytes], expected: ExecutionParameters) -> None:
    with container(answer) as (port, _), closing(Client(port, {}, 30, 0)) as client:
        assert client.execution_parameters() == expected


def test_execution_parameters_that_are_none() -> None:
    with (
        container((200, b"[1]")) as (port, _),
        closing(Client(port, {}, 30, 0)) as client,
        pytest.raises(InvocationError, match="cannot be understood"),
    ):
        client.execution_parameters()


def test_the_job_s_settings_win_over_the_container_s_and_these_over_the_usual_ones() -> None:
    assert settings_of(order(), ExecutionParameters()) == (1, 6)
    assert settings_of(order(), ExecutionParameters(8, 2)) == (8, 2)
    assert settings_of(order(max_concurrent_transforms=3, max_payload_in_mb=1), ExecutionParameters(8, 2)) == (3, 1)


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside"])
def test_an_archive_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    import io
    import tarfile

    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    if name.startswith("/"):  # the leading slash is cut off
        unpack_model(tmp_path / "bad.tar.gz", tmp_path / "model")
        assert (tmp_path / "model/etc/passwd").read_bytes() == b"x"
        return
    with pytest.raises(ArtifactError, match="it cannot be unpacked"):
        unpack_model(tmp_path / "bad.tar.gz", tmp_path / "model")
    assert not (tmp_path / "outside").exists()
