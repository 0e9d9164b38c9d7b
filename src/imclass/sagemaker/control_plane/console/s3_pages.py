"""The pages that look into S3."""

from dataclasses import dataclass
from typing import Any

from imclass.sagemaker.control_plane.console.rendering import address
from imclass.sagemaker.s3.listing import list_page
from imclass.sagemaker.s3.store import Store

ROWS = 200


@dataclass(frozen=True)
class Entry:
    """An object, or what many keys have in common.

    Attributes:
        name: what comes behind the prefix of the page.
        href: address of its page, or of the object.
        size: bytes; None for a prefix.
        modified: seconds since 1970; None for a prefix.
    """

    name: str
    href: str
    size: int | None = None
    modified: float | None = None


def bucket_content(store: Store, bucket: str, prefix: str, after: str) -> dict[str, Any]:
    """What the template of a bucket names.

    Args:
        prefix: of the keys, up to a slash or not.
        after: the key or common prefix behind which the page begins.

    Raises:
        S3Error: there is no such bucket.
    """
    page = list_page(store, bucket, prefix, "/", after, ROWS)
    cut = len(prefix.rpartition("/")[0]) + 1 if "/" in prefix else 0
    entries = [Entry(each[cut:], address("s3", bucket, prefix=each)) for each in page.prefixes]
    entries += [
        Entry(
            each.key[cut:] or each.key,
            address("s3", bucket, each.key),
            each.description.size,
            each.description.modified_ns / 1e9,
        )
        for each in page.objects
    ]
    return {
        "bucket": bucket,
        "prefix": prefix,
        "parents": parents_of(bucket, prefix),
        "entries": entries,
        "next": None if page.next_marker is None else address("s3", bucket, prefix=prefix, after=page.next_marker),
    }


def parents_of(bucket: str, prefix: str) -> list[tuple[str, str]]:
    """(words, address) of the bucket and of each part of a prefix."""
    parts = prefix.split("/")
    ends = [("/".join(parts[: place + 1]) + "/", part) for place, part in enumerate(parts[:-1])]
    last = [(prefix, parts[-1])] if parts[-1] else []
    return [
        (bucket, address("s3", bucket)),
        *((part, address("s3", bucket, prefix=each)) for each, part in ends + last),
    ]
