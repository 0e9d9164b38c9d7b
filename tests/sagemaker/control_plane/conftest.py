"""A control plane that the tests of a module share, and its clients. Modules that need other data make a `server`."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sagemaker.control_plane.server import Server, control_plane, write_bucket


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With what a small training job needs, places for two, and a secret that no job may see."""
    data = tmp_path_factory.mktemp("plane")
    write_bucket(data)
    with control_plane(data, "--slots", "2", AWS_SECRET_ACCESS_KEY="the-server's-own") as running:
        yield running


@pytest.fixture(scope="module")
def sagemaker(server: Server) -> Any:
    return server.client("sagemaker")


@pytest.fixture(scope="module")
def runtime(server: Server) -> Any:
    return server.client("sagemaker-runtime")


@pytest.fixture(scope="module")
def logs(server: Server) -> Any:
    return server.client("logs")
