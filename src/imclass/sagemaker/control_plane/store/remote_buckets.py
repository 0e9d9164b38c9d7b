"""An S3 elsewhere as jobs use it, through botocore; credentials are those of the server's environment.

Jobs need files. Objects are fetched when a job begins, and kept as CACHE/DIGEST, where the digest is that of bucket,
key and ETag, as long as jobs have links to them, and an hour longer.
"""

import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from operator import attrgetter
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from imclass.errors import UserError
from imclass.pending_file import PendingFile, remove_left_over
from imclass.sagemaker.control_plane.store.buckets import Buckets, ObjectWriter, Place, S3Object

NOT_THERE = ("404", "NoSuchKey", "NoSuchBucket", "NotFound")
UNUSED_SECONDS = 3600.0
SWEEP_SECONDS = 600.0
PIECE_BYTES = 1 << 20
RETRIES = 5
FETCHES = 16


class RemoteBuckets(Buckets):
    """The buckets of an S3 at an address.

    Args:
        endpoint: URL of the S3.
        region: that requests are signed for.
        cache: folder for objects, on the file system of the jobs; made if it is not there.
    """

    def __init__(self, endpoint: str, region: str, cache: Path) -> None:
        self._endpoint = endpoint
        config = Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": RETRIES, "mode": "standard"},
            max_pool_connections=FETCHES,
        )
        self._client: Any = get_session().create_client("s3", endpoint_url=endpoint, region_name=region, config=config)
        self._cache = cache
        self._sweeping = threading.Lock()
        self._swept: float | None = None
        cache.mkdir(parents=True, exist_ok=True)
        remove_left_over(cache)

    def exists(self, bucket: str) -> bool:
        try:
            self._client.head_bucket(Bucket=bucket)
        except ClientError:  # also of those that are somebody else's
            return False
        except BotoCoreError as error:
            raise self._out_of_reach(f"s3://{bucket}", error) from error
        return True

    def objects(self, prefix: Place) -> Iterator[S3Object]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
        try:
            for page in pages:
                for found in page.get("Contents", []):
                    place = Place(prefix.bucket, found["Key"])
                    yield S3Object(place, partial(self._fetched, place, found["ETag"]))
        except ClientError as error:
            if error.response["Error"]["Code"] not in NOT_THERE:
                raise self._out_of_reach(str(prefix), error) from error
        except BotoCoreError as error:
            raise self._out_of_reach(str(prefix), error) from error

    def find(self, place: Place) -> S3Object | None:
        if not place.key:
            return None
        try:
            found = self._client.head_object(Bucket=place.bucket, Key=place.key)
        except ClientError as error:
            if error.response["Error"]["Code"] in NOT_THERE:
                return None
            raise self._out_of_reach(str(place), error) from error
        except BotoCoreError as error:
            raise self._out_of_reach(str(place), error) from error
        return S3Object(place, partial(self._fetched, place, found["ETag"]))

    def files(self, objects: Sequence[S3Object]) -> list[Path]:
        with ThreadPoolExecutor(FETCHES) as threads:
            return list(threads.map(attrgetter("file"), objects))

    @contextmanager
    def pending(self, place: Place) -> Iterator[ObjectWriter]:
        with TemporaryFile(dir=self._cache) as file:
            yield file
            file.seek(0)
            self._put(file, place)

    def put(self, file: Path, place: Place) -> None:
        with file.open("rb") as source:
            self._put(source, place)

    def remove(self, place: Place) -> None:
        try:
            self._client.delete_object(Bucket=place.bucket, Key=place.key)
        except (ClientError, BotoCoreError) as error:
            raise self._out_of_reach(str(place), error) from error

    def _put(self, file: Any, place: Place) -> None:
        try:
            self._client.put_object(Bucket=place.bucket, Key=place.key, Body=file)
        except (ClientError, BotoCoreError) as error:
            raise self._out_of_reach(str(place), error) from error

    def _fetched(self, place: Place, etag: str) -> Path:
        """The file of an object that was found with this ETag."""
        file = self._cache / hashlib.sha256(f"{place}\n{etag}".encode()).hexdigest()
        with self._sweeping:
            self._sweep()
            with suppress(FileNotFoundError):
                os.utime(file)
                return file
        self._fetch(place, etag, file)
        return file

    def _fetch(self, place: Place, etag: str, file: Path) -> None:
        try:
            answer = self._client.get_object(Bucket=place.bucket, Key=place.key, IfMatch=etag)
            with answer["Body"] as body, PendingFile(file, to_disk=False) as pending:
                copyfileobj(body, pending.stream, PIECE_BYTES)
        except (ClientError, BotoCoreError) as error:
            raise self._out_of_reach(str(place), error) from error

    def _sweep(self) -> None:
        """Remove what no job has had for an hour."""
        if self._swept is not None and time.monotonic() - self._swept < SWEEP_SECONDS:
            return
        self._swept = time.monotonic()
        oldest = time.time() - UNUSED_SECONDS
        for file in self._cache.iterdir():
            with suppress(FileNotFoundError):  # one that was being fetched has just got its name
                status = file.stat()
                if status.st_nlink == 1 and status.st_mtime < oldest:
                    file.unlink()

    def _out_of_reach(self, where: str, error: Exception) -> UserError:
        return UserError(f"the S3 at {self._endpoint} cannot do this: {error}", where=where)
