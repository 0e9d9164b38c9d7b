"""What `GET /metrics` shows, in Prometheus' text format."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class ModelMetrics:
    """The figures of one model.

    Attributes:
        queue_images: images that are accepted and not yet answered.
        batch_images: images of each batch.
        queue_seconds: of each image, from its pixels to the beginning of its batch.
        decode_seconds: of each image, from its acceptance to its pixels.
        model_seconds: of each batch.
        total_seconds: of each answered request, from its whole body to its answer.
    """

    queue_images: Gauge
    batch_images: Histogram
    queue_seconds: Histogram
    decode_seconds: Histogram
    model_seconds: Histogram
    total_seconds: Histogram


class Metrics:
    """All figures of a server, in a registry of their own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "imclass_requests", "Requests for predictions.", ("model", "status"), registry=self._registry
        )
        self._queue = Gauge(
            "imclass_queue_images", "Images accepted and not yet answered.", ("model",), registry=self._registry
        )
        self._batches = Histogram(
            "imclass_batch_images", "Images of a batch.", ("model",), buckets=_IMAGES, registry=self._registry
        )
        self._seconds = Histogram(
            "imclass_seconds",
            "Seconds of a stage: decode and queue of an image, model of a batch, total of a request.",
            ("model", "stage"),
            buckets=_SECONDS,
            registry=self._registry,
        )

    def of_model(self, name: str) -> ModelMetrics:
        """The figures of the model called `name`."""
        return ModelMetrics(
            queue_images=self._queue.labels(name),
            batch_images=self._batches.labels(name),
            queue_seconds=self._seconds.labels(name, "queue"),
            decode_seconds=self._seconds.labels(name, "decode"),
            model_seconds=self._seconds.labels(name, "model"),
            total_seconds=self._seconds.labels(name, "total"),
        )

    def count_request(self, model: str, status: int) -> None:
        """Count a request that got an answer; 499 says that its client went away before."""
        self._requests.labels(model, str(status)).inc()

    def remove(self, name: str) -> None:
        """Forget the figures of a model that is no longer served, except its requests."""
        self._queue.remove(name)
        self._batches.remove(name)
        for stage in ("queue", "decode", "model", "total"):
            self._seconds.remove(name, stage)

    def text(self) -> bytes:
        """The figures now."""
        return generate_latest(self._registry)
