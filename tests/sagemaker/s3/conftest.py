from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from imclass.sagemaker.s3.store import Store
from tests.sagemaker.s3.server import make_client, s3_application


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the buckets are."""
    return tmp_path / "s3"


@pytest.fixture
def store(folder: Path) -> Store:
    """A store with one bucket."""
    store = Store(folder)
    store.create_bucket("photos")
    return store


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    """The address of a server."""
    with s3_application(folder) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    """boto3's client of the server, which has the bucket `photos`."""
    with closing(make_client(url)) as client:
        client.create_bucket(Bucket="photos")
        yield client
