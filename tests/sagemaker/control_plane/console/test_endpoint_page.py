"""The box that sends pictures to an endpoint, in a browser; the endpoint is a function of this test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from imclass.address import Address, listening_socket
from imclass.sagemaker.control_plane.operations.training_jobs import OPERATIONS
from tests.inference.serving.browser import needs_chromium, open_browser
from tests.inference.serving.visits import as_file, picture
from tests.sagemaker.control_plane.console.answers import ENDPOINTS
from tests.sagemaker.control_plane.console.parts import House
from tests.sagemaker.control_plane.console.sights import Opened, faint_texts, nameless_controls

pytestmark = needs_chromium

DEADLINE = 60.0
NAMES = ["cat", "dog", "owl"]
PAGE = "/_console/endpoints/birds"


class Endpoint:
    """Answers invocations as the runtime does.

    Attributes:
        asked: content type, variant and first bytes of each request.
        answer: what comes next.
        status: of it.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, bytes]] = []
        self.answer: object = {"probabilities": [0.25, 0.7, 0.05], "labels": NAMES, "predicted_label": "dog"}
        self.status = 200
        self.application = Starlette(routes=[Route("/endpoints/birds/invocations", self.invoke, methods=["POST"])])

    async def invoke(self, request: Request) -> Response:
        variant = request.headers.get("x-amzn-sagemaker-target-variant")
        body = await request.body()
        self.asked.append((request.headers["content-type"], variant, body[:4]))
        headers = {"x-Amzn-Invoked-Production-Variant": variant or "blue"}
        return JSONResponse(self.answer, self.status, headers)


@contextmanager
def served(application: ASGIApp) -> Iterator[str]:
    """An application on a port of this machine, in a thread; gives its address."""
    with listening_socket(Address("127.0.0.1", 0)) as opened:
        server = uvicorn.Server(uvicorn.Config(application, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, args=([opened],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{opened.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(DEADLINE)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def seen(browser: Any, endpoint: Endpoint, tmp_path: Path) -> Iterator[Opened]:
    visitor = House(tmp_path).console({**OPERATIONS, **ENDPOINTS}, runtime=endpoint.application)
    with served(visitor.application) as url:
        context = browser.new_context()
        yield Opened(context.new_page(), url, PAGE)
        context.close()


def test_a_picture_is_answered_with_bars(seen: Opened, endpoint: Endpoint) -> None:
    seen.page.set_input_files("#picture", as_file(picture()))
    seen.see("#try-verdict", "dog")
    assert seen.page.locator("#try-bars tr").all_inner_texts() == ["dog\t\t70.0%", "cat\t\t25.0%", "owl\t\t5.0%"]
    values = seen.page.locator("#try-bars meter").evaluate_all("bars => bars.map((bar) => bar.value)")
    assert values == [0.7, 0.25, 0.05]
    assert endpoint.asked == [("application/x-image", None, b"\x89PNG")]
    assert seen.page.locator("#preview").evaluate("image => image.decode().then(() => image.naturalWidth)") == 120
    assert faint_texts(seen.page) == []
    assert nameless_controls(seen.page) == []
    assert seen.watched.complaints == []
    assert seen.outside_requests() == []


def test_the_variant_is_chosen(seen: Opened, endpoint: Endpoint) -> None:
    seen.page.get_by_label("Variant", exact=True).select_option("green")
    seen.page.set_input_files("#picture", as_file(picture()))
    seen.see("#try-verdict", "green in ")
    assert endpoint.asked[0][1] == "green"


def test_an_answer_without_names(seen: Opened, endpoint: Endpoint) -> None:
    endpoint.answer = [0.25, 0.75]
    seen.page.set_input_files("#picture", as_file(picture()))
    seen.see("#try-verdict", "class 1")


def test_an_error_is_shown_and_gone_with_the_next_picture(seen: Opened, endpoint: Endpoint) -> None:
    good = endpoint.answer
    endpoint.answer, endpoint.status = {"Message": "Received client error (400) from primary"}, 424
    seen.page.set_input_files("#picture", as_file(b"no picture", "a.txt", "text/plain"))
    seen.see("#try-problem", "Received client error (400) from primary")
    endpoint.answer, endpoint.status = good, 200
    seen.page.set_input_files("#picture", as_file(picture()))
    seen.see("#try-verdict", "dog")
    assert not seen.page.is_visible("#try-problem")


def test_a_picture_of_another_format_becomes_a_jpeg(seen: Opened, endpoint: Endpoint) -> None:
    seen.page.set_input_files("#picture", as_file(picture(suffix=".webp"), "a.webp", "image/webp"))
    seen.see("#try-verdict", "dog")
    assert endpoint.asked[0][2] == b"\xff\xd8\xff\xe0"


def test_the_keyboard_chooses_a_picture(seen: Opened) -> None:
    seen.page.locator("#picture").focus()
    with seen.page.expect_file_chooser() as chooser:
        seen.page.keyboard.press("Enter")
    chooser.value.set_files(as_file(picture()))
    seen.see("#try-verdict", "dog")
