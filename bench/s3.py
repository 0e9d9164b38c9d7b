"""Time the embedded S3 beside moto's server: an object of 1 GiB up and down, and many small ones.

    python bench/s3.py --folder FOLDER [--megabytes 1024] [--small 2000] [--concurrency 8]

Each server runs in a process of its own and gets the same requests: whole objects and small ones through http.client,
transfers in parts through boto3. The disk is timed too: a plain file of the same size written and read.
"""

import argparse
import multiprocessing
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

PIECE = bytes(range(256)) * 4096
START_SECONDS = 60.0
# moto refuses whoever gives no name; neither server checks the signature.
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=test-key/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=none"
}


def serve_imclass(folder: Path, port: int) -> None:
    """Serve a folder."""
    import uvicorn

    from imclass.inference.serving.protocol import DeadlineProtocol
    from imclass.sagemaker.s3.application import create_s3_application

    application = create_s3_application(folder)
    uvicorn.run(
        application, port=port, http=DeadlineProtocol, loop="uvloop", lifespan="off", log_config=None, access_log=False
    )


def serve_moto(folder: Path, port: int) -> None:
    """Serve from moto's temporary files."""
    from moto.server import main

    os.environ["TMPDIR"] = str(folder)
    with Path(os.devnull).open("w") as sys.stderr:
        main(["-p", str(port)])


@contextmanager
def server(serve: Callable[[Path, int], None], folder: Path) -> Iterator[int]:
    """A server in a process; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder.mkdir(parents=True)
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(folder, port), daemon=True)
    process.start()
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.join()
        shutil.rmtree(folder)


def timed(action: Callable[[], object]) -> float:
    """Seconds that something takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def put(connection: HTTPConnection, key: str, pieces: int, piece: bytes) -> None:
    """Put an object of so many pieces."""
    connection.request(
        "PUT",
        f"/bench/{key}",
        body=(piece for _ in range(pieces)),
        headers={"Content-Length": str(pieces * len(piece)), **SIGNED},
    )
    response = connection.getresponse()
    response.read()
    assert response.status == 200, response.status


def get(connection: HTTPConnection, key: str, size: int) -> None:
    """Get an object and throw it away."""
    connection.request("GET", f"/bench/{key}", headers=SIGNED)
    response = connection.getresponse()
    assert response.status == 200, response.status
    received = 0
    while piece := response.read(1 << 20):
        received += len(piece)
    assert received == size


def many(port: int, count: int, concurrency: int, act: Callable[[HTTPConnection, int], None]) -> float:
    """Requests a second, over so many connections."""

    def work(worker: int) -> None:
        connection = HTTPConnection("127.0.0.1", port)
        for number in range(worker, count, concurrency):
            act(connection, number)
        connection.close()

    with ThreadPoolExecutor(concurrency) as pool:
        return count / timed(lambda: list(pool.map(work, range(concurrency))))


def measure(port: int, arguments: argparse.Namespace) -> dict[str, float]:
    """All figures of one server."""
    import boto3

    connection = HTTPConnection("127.0.0.1", port)
    connection.request("PUT", "/bench", headers=SIGNED)
    connection.getresponse().read()
    megabytes, size = arguments.megabytes, arguments.megabytes << 20
    figures = {"PUT, MB/s": size / 1e6 / timed(lambda: put(connection, "large", megabytes, PIECE))}
    figures["GET, MB/s"] = size / 1e6 / timed(lambda: get(connection, "large", size))
    client: Any = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test-key",
        aws_secret_access_key="test-secret",
    )
    source, target = arguments.folder / "source", arguments.folder / "target"
    figures["boto3 upload_file, MB/s"] = size / 1e6 / timed(lambda: client.upload_file(str(source), "bench", "parts"))
    figures["boto3 download_file, MB/s"] = (
        size / 1e6 / timed(lambda: client.download_file("bench", "parts", str(target)))
    )
    small, concurrency = arguments.small, arguments.concurrency
    figures["small PUTs a second"] = many(
        port, small, concurrency, lambda at, n: put(at, f"small/{n}", 1, PIECE[:4096])
    )
    figures["small GETs a second"] = many(port, small, concurrency, lambda at, n: get(at, f"small/{n}", 4096))
    return figures


def write_source(path: Path, megabytes: int) -> None:
    """A plain file."""
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(PIECE)


def read_source(path: Path) -> None:
    """Read it."""
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def main() -> None:
    """Time both and print the figures with their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="on the disk to use; must not exist")
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--small", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=8)
    arguments = parser.parse_args()
    arguments.folder.mkdir()
    try:
        source, rate = arguments.folder / "source", arguments.megabytes * (1 << 20) / 1e6
        print(f"plain file: written at {rate / timed(lambda: write_source(source, arguments.megabytes)):.0f} MB/s, "
              f"read at {rate / timed(lambda: read_source(source)):.0f} MB/s")  # fmt: skip
        figures = {}
        for name, serve in {"imclass": serve_imclass, "moto": serve_moto}.items():
            with server(serve, arguments.folder / name) as port:
                figures[name] = measure(port, arguments)
    finally:
        shutil.rmtree(arguments.folder)
    for what, ours in figures["imclass"].items():
        theirs = figures["moto"][what]
        print(f"{what:28}  imclass {ours:8.0f}   moto {theirs:8.0f}   ratio {ours / theirs:.1f}")


if __name__ == "__main__":
    main()
