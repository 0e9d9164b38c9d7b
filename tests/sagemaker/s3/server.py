"""S3's application on a free port of this machine."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from botocore.config import Config

from imclass.inference.serving.protocol import DeadlineProtocol
from imclass.sagemaker.s3.application import Verify, accept_all, create_s3_application

START_SECONDS = 10.0
PROCESS_SECONDS = 60.0
CREDENTIALS = {"aws_access_key_id": "test-key", "aws_secret_access_key": "test-secret"}

MakeClient = Callable[..., Any]


@contextmanager
def s3_application(folder: Path, verify: Verify = accept_all, region: str = "us-east-1") -> Iterator[str]:
    """Serve a folder from a thread; gives the address."""
    application = create_s3_application(folder, verify, region)
    config = uvicorn.Config(application, http=DeadlineProtocol, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as opened:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{opened.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def s3_process(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Serve a folder from a process of its own; gives the address, and the process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, "-m", "tests.sagemaker.s3.serve", str(folder), str(port)]) as process:
        try:
            deadline = time.monotonic() + PROCESS_SECONDS
            while not _answers(port):
                assert time.monotonic() < deadline, "the server did not start"
                assert process.poll() is None, "the server ended"
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.kill()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def make_client(url: str, addressing: str = "path", **config: Any) -> Any:
    """boto3's client of a server, without retries that would hide faults."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": addressing}, retries={"total_max_attempts": 1}, **config),
        **CREDENTIALS,
    )
