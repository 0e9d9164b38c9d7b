"""Fixtures for the server."""

import pytest

from tests.inference.serving.parts import Workbench


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def workbench() -> Workbench:
    return Workbench()
