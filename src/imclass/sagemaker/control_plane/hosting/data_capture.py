"""Requests and answers of an endpoint, kept in S3 for whoever wants to look at them later.

    <DestinationS3Uri>/ENDPOINT/VARIANT/YYYY/MM/DD/HH/MM-SS-mmm-UUID.jsonl

A line is one request with its answer::

    {"captureData": {
         "endpointInput": {"observedContentType": "image/jpeg", "mode": "INPUT", "data": "/9j/4A...",
                           "encoding": "BASE64"},
         "endpointOutput": {"observedContentType": "application/json", "mode": "OUTPUT", "data": "[0.1, 0.9]",
                            "encoding": "JSON"}},
     "eventMetadata": {"eventId": UUID, "inferenceTime": "2026-01-31T23:59:59Z"}, "eventVersion": "0"}

What was captured waits in memory until the next `write`; what a killed server had there is lost.
"""

import base64
import json
import logging
import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby

from imclass.errors import UserError
from imclass.sagemaker.control_plane.hosting.deployment import Capture
from imclass.sagemaker.control_plane.store.buckets import Buckets, Place

log = logging.getLogger(__name__)

MOST_WAITING_BYTES = 256 << 20
"""Of requests and answers that wait; while there are so many, further ones are not captured."""


@dataclass(frozen=True)
class Exchange:
    """A request with its answer.

    Attributes:
        inference_id: that the client gave.
    """

    variant: str
    input_type: str
    input: bytes
    output_type: str
    output: bytes
    inference_id: str | None = None
    when: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def size(self) -> int:
        return len(self.input) + len(self.output)


class DataCapture:
    """Captures an endpoint's requests; for any thread.

    Args:
        endpoint: its name.
        settings: which requests, and where they go.
    """

    def __init__(self, endpoint: str, settings: Capture, buckets: Buckets) -> None:
        self._settings = settings
        self._place = Place.of(settings.destination).below(endpoint)
        self._buckets = buckets
        self._lock = threading.Lock()
        self._waiting: list[Exchange] = []
        self._waiting_bytes = 0
        self._seen = 0
        self._passed_over = 0

    def take(self, exchange: Exchange) -> None:
        """Capture one exchange if it is its turn: of 100 as many as the percentage says, evenly."""
        with self._lock:
            self._seen += 1
            is_due = self._seen * self._settings.percentage // 100 > (self._seen - 1) * self._settings.percentage // 100
            if not is_due:
                return
            if self._waiting_bytes + exchange.size > MOST_WAITING_BYTES:
                self._passed_over += 1
                return
            self._waiting.append(exchange)
            self._waiting_bytes += exchange.size

    def write(self) -> None:
        """Bring what waits to S3."""
        with self._lock:
            waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
            passed_over, self._passed_over = self._passed_over, 0
        if passed_over:
            log.warning("%d requests were not captured: they came faster than they could be written", passed_over)
        waiting.sort(key=lambda exchange: (exchange.variant, exchange.when))
        for (variant, hour), exchanges in groupby(waiting, key=lambda each: (each.variant, f"{each.when:%Y/%m/%d/%H}")):
            self._write(variant, hour, list(exchanges))

    def _write(self, variant: str, hour: str, exchanges: list[Exchange]) -> None:
        first = exchanges[0].when
        name = f"{first:%M-%S}-{first.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        place = self._place.below(variant, *hour.split("/"), name)
        try:
            with self._buckets.pending(place) as file:
                for line in lines(exchanges, self._settings):
                    file.write(line)
        except (UserError, OSError) as error:
            log.warning("%d captured requests are lost: %s", len(exchanges), error)


def lines(exchanges: Iterable[Exchange], settings: Capture) -> Iterable[bytes]:
    """The lines of a file."""
    for exchange in exchanges:
        data = {}
        if settings.inputs:
            data["endpointInput"] = _part("INPUT", exchange.input_type, exchange.input, settings)
        if settings.outputs:
            data["endpointOutput"] = _part("OUTPUT", exchange.output_type, exchange.output, settings)
        metadata = {"eventId": str(uuid.uuid4()), "inferenceTime": f"{exchange.when:%Y-%m-%dT%H:%M:%SZ}"}
        if exchange.inference_id is not None:
            metadata["inferenceId"] = exchange.inference_id
        event = {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}
        yield json.dumps(event).encode() + b"\n"


def _part(mode: str, content_type: str, content: bytes, settings: Capture) -> Mapping[str, str]:
    name = content_type.partition(";")[0].strip().lower()
    encodings = {"JSON": settings.json_types, "CSV": settings.csv_types}
    encoding = next((each for each, types in encodings.items() if name in types), "BASE64")
    data = base64.b64encode(content).decode() if encoding == "BASE64" else content.decode("utf-8", "replace")
    return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}
