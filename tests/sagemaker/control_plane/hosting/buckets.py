"""Buckets in a folder."""

from pathlib import Path

from imclass.sagemaker.control_plane.store.buckets import Buckets
from imclass.sagemaker.control_plane.store.local_buckets import LocalBuckets
from imclass.sagemaker.s3.store import Store


def buckets_in(folder: Path) -> Buckets:
    """An S3 with one bucket, `bucket`."""
    (folder / "bucket").mkdir(exist_ok=True)
    return LocalBuckets(Store(folder))
