"""Captured requests, in a folder that is a bucket."""

import base64
import itertools
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from imclass.sagemaker.control_plane.hosting import data_capture
from imclass.sagemaker.control_plane.hosting.data_capture import DataCapture, Exchange
from imclass.sagemaker.control_plane.hosting.deployment import Capture
from tests.sagemaker.control_plane.hosting.buckets import buckets_in

WHEN = datetime(2026, 1, 31, 23, 59, 58, 7000, tzinfo=UTC)


def settings(**changes: Any) -> Capture:
    values = {
        "destination": "s3://bucket/captured/",
        "percentage": 100,
        "inputs": True,
        "outputs": True,
        "csv_types": ("text/csv",),
        "json_types": ("application/json",),
    }
    return Capture(**{**values, **changes})


def exchange(number: int = 0, **changes: Any) -> Exchange:
    values = {
        "variant": "A",
        "input_type": "image/jpeg",
        "input": b"\xff\xd8%d" % number,
        "output_type": "application/json",
        "output": b"[0.5]",
        "when": WHEN,
    }
    return Exchange(**{**values, **changes})


def events(folder: Path) -> list[dict[str, Any]]:
    files = sorted((folder / "bucket").rglob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_a_line_is_a_request_with_its_answer(tmp_path: Path) -> None:
    capture = DataCapture("digits", settings(), buckets_in(tmp_path))
    capture.take(exchange(inference_id="mine"))
    capture.write()
    (file,) = (tmp_path / "bucket").rglob("*.jsonl")
    assert file.parent == tmp_path / "bucket/captured/digits/A/2026/01/31/23"
    assert file.name.startswith("59-58-007-")
    (event,) = events(tmp_path)
    assert len(event["eventMetadata"].pop("eventId")) == 36
    assert event == {
        "captureData": {
            "endpointInput": {
                "observedContentType": "image/jpeg",
                "mode": "INPUT",
                "data": base64.b64encode(b"\xff\xd80").decode(),
                "encoding": "BASE64",
            },
            "endpointOutput": {
                "observedContentType": "application/json",
                "mode": "OUTPUT",
                "data": "[0.5]",
                "encoding": "JSON",
            },
        },
        "eventMetadata": {"inferenceTime": "2026-01-31T23:59:58Z", "inferenceId": "mine"},
        "eventVersion": "0",
    }


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"outputs": False}, {"endpointInput": "BASE64"}),
        ({"inputs": False}, {"endpointOutput": "JSON"}),
        ({"json_types": ()}, {"endpointInput": "BASE64", "endpointOutput": "BASE64"}),
        ({"csv_types": ("image/jpeg",)}, {"endpointInput": "CSV", "endpointOutput": "JSON"}),
    ],
)
def test_what_is_kept_and_how(tmp_path: Path, changes: dict[str, Any], kept: dict[str, str]) -> None:
    capture = DataCapture("digits", settings(**changes), buckets_in(tmp_path))
    capture.take(exchange(output_type="Application/JSON; charset=utf-8"))
    capture.write()
    (event,) = events(tmp_path)
    assert {name: part["encoding"] for name, part in event["captureData"].items()} == kept


@pytest.mark.parametrize("percentage", [0, 1, 33, 50, 100])
def test_the_share_is_exact_and_even(tmp_path: Path, percentage: int) -> None:
    capture = DataCapture("digits", settings(percentage=percentage), buckets_in(tmp_path))
    for number in range(300):
        capture.take(exchange(number))
    capture.write()
    numbers = sorted(
        int(base64.b64decode(each["captureData"]["endpointInput"]["data"])[2:]) for each in events(tmp_path)
    )
    assert len(numbers) == 3 * percentage
    gaps = {later - earlier for earlier, later in itertools.pairwise(numbers)}
    assert gaps <= {100 // max(percentage, 1), 100 // max(percentage, 1) + 1}


def test_a_file_for_each_variant_and_hour(tmp_path: Path) -> None:
    capture = DataCapture("digits", settings(), buckets_in(tmp_path))
    capture.take(exchange())
    capture.take(exchange(variant="B"))
    capture.take(exchange(when=WHEN.replace(hour=22)))
    capture.take(exchange(1))
    capture.write()
    capture.write()  # nothing more to write
    found = sorted(file.parent.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.jsonl"))
    top = "bucket/captured/digits"
    assert found == [f"{top}/A/2026/01/31/22", f"{top}/A/2026/01/31/23", f"{top}/B/2026/01/31/23"]
    assert len(events(tmp_path)) == 4


def test_what_does_not_fit_into_memory_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(data_capture, "MOST_WAITING_BYTES", 20)
    capture = DataCapture("digits", settings(), buckets_in(tmp_path))
    for number in range(5):
        capture.take(exchange(number))
    with caplog.at_level(logging.WARNING):
        capture.write()
    assert len(events(tmp_path)) == 2
    assert "3 requests were not captured" in caplog.text


def test_a_bucket_that_is_gone_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    capture = DataCapture("digits", settings(destination="s3://gone/x"), buckets_in(tmp_path))
    capture.take(exchange())
    with caplog.at_level(logging.WARNING):
        capture.write()
    assert "1 captured requests are lost" in caplog.text
    assert not list(tmp_path.rglob("*.jsonl"))
