"""Buckets in a folder."""

from pathlib import Path

from imclass.sagemaker.control_plane.buckets import Buckets


def buckets_in(folder: Path) -> Buckets:
    """An S3 with one bucket, `bucket`."""
    (folder / "bucket").mkdir(exist_ok=True)
    return Buckets(folder)
