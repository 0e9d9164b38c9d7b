"""Results that go to a bucket: what is written there, what is done again, and what users do wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imclass.errors import DataError, UserError
from imclass.inference.transform import Format, Request, Shard, Summary, transform
from tests.inference.transform.conftest import CPU, relative_files, write_photos
from tests.remote_servers import Bucket

DEADLINE = 120.0
PREFIX = "job/output/"


class Silent:
    def begin(self, images: int, already: int) -> None: ...

    def advance(self, images: int) -> None: ...


def run(request: Request, **changes: object) -> Summary:
    return transform(request, Silent(), **changes)  # type: ignore[arg-type]


@pytest.fixture
def request_of(model: Path, photos: Path, bucket: Bucket) -> Callable[..., Request]:
    def make(**changes: object) -> Request:
        return replace(Request(model, photos, bucket.address("job/output/"), computing=CPU), **changes)  # type: ignore[arg-type]

    return make


def names_in(bucket: Bucket) -> list[str]:
    """Of all objects: what stands behind the prefix."""
    pages = bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix="job/output")
    keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
    assert all(key.startswith(PREFIX) for key in keys)
    return [key.removeprefix(PREFIX) for key in keys]


def objects(bucket: Bucket) -> dict[str, bytes]:
    """Content of each object, by its name."""
    return {
        name: bucket.client.get_object(Bucket=bucket.name, Key=PREFIX + name)["Body"].read()
        for name in names_in(bucket)
    }


def changed_at(bucket: Bucket, name: str) -> object:
    return bucket.client.head_object(Bucket=bucket.name, Key=PREFIX + name)["LastModified"]


@pytest.mark.parametrize("format", list(Format))
def test_objects_are_the_files_of_a_folder_and_nothing_else(
    request_of: Callable[..., Request], photos: Path, bucket: Bucket, tmp_path: Path, format: Format
) -> None:
    if format is Format.PARQUET:
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    (photos / "a" / "ü 2%20#?+.png").write_bytes((photos / "a" / "0000.png").read_bytes())
    (photos / "b" / "broken.png").write_bytes(b"no image")
    run(request_of(format=format, output=tmp_path / "here"))
    summary = run(request_of(format=format))
    assert [failure.key for failure in summary.failures] == ["b/broken.png"]
    here = {name: (tmp_path / "here" / name).read_bytes() for name in relative_files(tmp_path / "here")}
    assert objects(bucket) == here
    assert len(here) == (152 if format is Format.OUT else 2)
    assert [path for path in request_of().work_folder.rglob("*") if path.name == "upload"] == []


def test_what_is_in_the_bucket_is_not_done_again(request_of: Callable[..., Request], bucket: Bucket) -> None:
    request = request_of()
    run(request)
    before = objects(bucket)
    bucket.delete("job/output/a/0000.png.out")
    bucket.put("job/output/b/0001.png.out", b"")
    kept = changed_at(bucket, "b/deep/0002.png.out")
    assert run(request).predicted == 2
    assert objects(bucket) == before
    assert changed_at(bucket, "b/deep/0002.png.out") == kept


def test_an_image_that_was_mended_is_no_longer_listed(
    request_of: Callable[..., Request], photos: Path, bucket: Bucket
) -> None:
    content = (photos / "a/0000.png").read_bytes()
    (photos / "a/0000.png").write_bytes(b"no image")
    run(request_of())
    assert json.loads(objects(bucket)["failed.jsonl"])["key"] == "a/0000.png"
    (photos / "a/0000.png").write_bytes(content)
    assert run(request_of()).predicted == 1
    assert "failed.jsonl" not in objects(bucket)


def test_a_single_file_is_made_again_when_it_was_removed(request_of: Callable[..., Request], bucket: Bucket) -> None:
    request = request_of(format=Format.JSONL)
    run(request)
    content = objects(bucket)
    assert run(request).predicted == 0
    bucket.delete("job/output/predictions.jsonl")
    assert run(request).predicted == 150
    assert objects(bucket) == content


def test_results_of_unknown_origin_are_refused_and_replaced_when_asked(
    request_of: Callable[..., Request], bucket: Bucket, tmp_path: Path
) -> None:
    bucket.put("job/output/a/0000.png.out", b"of another model")
    with pytest.raises(UserError, match="there are results already") as caught:
        run(request_of())
    assert bucket.address("job/output/a") in str(caught.value)
    assert objects(bucket) == {"a/0000.png.out": b"of another model"}
    assert run(request_of(), restart=True).predicted == 150
    assert objects(bucket)["a/0000.png.out"].startswith(b'{"prediction": ')


def test_shards_share_a_work_folder(request_of: Callable[..., Request], bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder in common"):
        run(request_of(), shard=Shard(0, 2))
    request = request_of(format=Format.CSV, work_dir=tmp_path / "shared")
    assert run(request, shard=Shard(1, 2)).waiting_pieces == 2
    assert objects(bucket) == {}
    assert run(request, shard=Shard(0, 2)).waiting_pieces == 0
    assert list(objects(bucket)) == ["predictions.csv"]


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("s3://no-such-bucket-here/results", "there is no such bucket"),
        ("https://example.org/results", "on a web server, and a folder or a bucket is needed"),
        ("s3:///results", "the address names no bucket"),
    ],
)
def test_places_that_take_no_results(model: Path, photos: Path, bucket: Bucket, output: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        run(Request(model, photos, output, computing=CPU))


def test_a_bucket_that_may_not_be_written_to(
    request_of: Callable[..., Request], bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    from obstore import exceptions

    def refuse(*_: object) -> None:
        raise exceptions.PermissionDeniedError("<Code>AccessDenied</Code>")

    monkeypatch.setattr("imclass.data.remote.stores.obstore.put", refuse)
    with pytest.raises(DataError, match=f"{bucket.address('job/output')}.*access is denied"):
        run(request_of())


def test_a_killed_transform_goes_on_where_it_was(
    model: Path, bucket: Bucket, tmp_path: Path, pixels_of: Callable[..., np.ndarray]
) -> None:
    photos = write_photos(tmp_path / "many", 400, pixels_of)
    output = bucket.address("job/output")
    options = ["--device", "cpu", "--threads", "1", "--batch-size", "4"]
    command = [sys.executable, "-m", "imclass", "transform", str(model), str(photos), output, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + DEADLINE
    while len(names_in(bucket)) < 40:
        assert process.poll() is None
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait(DEADLINE)
    before = objects(bucket)
    assert 40 <= len(before) < 400
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=DEADLINE)
    assert f"{len(before)} of 400 images have results already" in finished.stderr
    after = objects(bucket)
    assert sorted(after) == sorted(f"{path.relative_to(photos).as_posix()}.out" for path in photos.rglob("*.png"))
    assert {name: after[name] for name in before} == before
    assert all(len(json.loads(content)["prediction"]) == 3 for content in after.values())
