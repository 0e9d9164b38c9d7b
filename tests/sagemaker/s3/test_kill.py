"""The server killed while it writes: what was acknowledged is there, whole and with its description."""

import hashlib
import random
import threading
import time
from contextlib import suppress

from botocore.exceptions import BotoCoreError, ClientError

from tests.sagemaker.s3.server import make_client, s3_process

ROUNDS = 4
WRITERS = 3


class Writer(threading.Thread):
    """Writes its own keys over and over, and remembers what was acknowledged and what was under way."""

    def __init__(self, url: str, number: int, contents: dict[str, list[bytes]], acknowledged: set[str]) -> None:
        super().__init__()
        self._client = make_client(url, connect_timeout=5, read_timeout=5)
        self._generator = random.Random(time.time_ns() + number)
        self._keys = [f"writer{number}/{name}" for name in ("a", "b", "a/b")]
        self._contents = contents
        self._acknowledged = acknowledged

    def run(self) -> None:
        with suppress(BotoCoreError, ClientError):
            while True:
                key = self._generator.choice(self._keys)
                content = self._generator.randbytes(self._generator.choice([10, 3_000_000]))
                self._contents.setdefault(key, []).append(content)
                self._client.put_object(Bucket="photos", Key=key, Body=content, Metadata={"size": str(len(content))})
                self._contents[key] = [content]
                self._acknowledged.add(key)
        self._client.close()


def test_what_was_acknowledged_survives_kills(tmp_path):
    folder = tmp_path / "s3"
    possible: dict[str, list[bytes]] = {}
    acknowledged: set[str] = set()
    generator = random.Random(0)
    for _ in range(ROUNDS):
        with s3_process(folder) as (url, server):
            client = make_client(url)
            with suppress(client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket="photos")
            check(client, possible, acknowledged)
            client.close()
            writers = [Writer(url, number, possible, acknowledged) for number in range(WRITERS)]
            for writer in writers:
                writer.start()
            time.sleep(generator.uniform(0.3, 1.0))
            server.kill()
            for writer in writers:
                writer.join()
    assert acknowledged
    with s3_process(folder) as (url, _):
        client = make_client(url)
        check(client, possible, acknowledged)
        listed = {found["Key"] for found in client.list_objects_v2(Bucket="photos").get("Contents", [])}
        assert listed <= set(possible)
        client.close()
    assert list((folder / ".imclass/staging").iterdir()) == []


def check(client, possible: dict[str, list[bytes]], acknowledged: set[str]) -> None:
    """Each object is the one acknowledged last, or one that was under way; it is that from now on."""
    for key, contents in possible.items():
        try:
            got = client.get_object(Bucket="photos", Key=key)
        except client.exceptions.NoSuchKey:
            assert key not in acknowledged, key
            continue
        content = got["Body"].read()
        assert content in contents
        assert got["Metadata"] == {"size": str(len(content))}
        assert got["ETag"] == f'"{hashlib.md5(content).hexdigest()}"'
        possible[key] = [content]
        acknowledged.add(key)
