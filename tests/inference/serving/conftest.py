"""Fixtures for the server."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.inference.serving.browser import open_browser
from tests.inference.serving.parts import Workbench
from tests.inference.serving.sockets import in_thread
from tests.inference.serving.visits import Visit


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def workbench() -> Workbench:
    return Workbench()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def visit(browser: Any, workbench: Workbench) -> Iterator[Any]:
    """Opens the page of a server with the workbench's model, or with other services and parts."""
    with ExitStack() as stack:

        def visit(*services: Any, context: dict[str, Any] | None = None, **changes: object) -> Visit:
            port = stack.enter_context(in_thread(workbench.parts(*services, **changes)))
            opened = browser.new_context(**(context or {}))
            stack.callback(opened.close)
            return Visit(opened.new_page(), f"http://127.0.0.1:{port}/").open()

        yield visit
