"""Pages of a list of objects, as ListObjects gives them."""

from dataclasses import dataclass

from imclass.sagemaker.s3.descriptions import Description
from imclass.sagemaker.s3.store import Store

MOST_ITEMS = 1000


@dataclass(frozen=True)
class ListedObject:
    """An object in a list."""

    key: str
    description: Description


@dataclass(frozen=True)
class Page:
    """A part of a list.

    Attributes:
        objects: in the order of their keys.
        prefixes: what many keys have in common, up to the delimiter.
        next_marker: the last of both, when more follow; else None.
    """

    objects: list[ListedObject]
    prefixes: list[str]
    next_marker: str | None


def list_page(store: Store, bucket: str, prefix: str, delimiter: str, after: str, limit: int) -> Page:
    """List objects.

    Args:
        prefix: of their keys.
        delimiter: keys that have it behind the prefix are listed as one common prefix; empty for none.
        after: keys and common prefixes behind this one.
        limit: most keys and common prefixes together.

    Raises:
        S3Error: NoSuchBucket.
    """
    objects: list[ListedObject] = []
    prefixes: list[str] = []
    last = ""
    walk = store.walk(bucket, prefix, after)
    if _common_prefix(after, prefix, delimiter) == after != "":
        walk.skip(after)
    if not limit:
        return Page(objects, prefixes, None)
    for found in walk:
        if len(objects) + len(prefixes) == limit:
            return Page(objects, prefixes, last)
        common = _common_prefix(found.key, prefix, delimiter)
        if common is not None:
            prefixes.append(common)
            walk.skip(common)
            last = common
        elif (description := store.describe(bucket, found.key, found.path)) is not None:
            objects.append(ListedObject(found.key, description))
            last = found.key
    return Page(objects, prefixes, None)


def _common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    end = key.find(delimiter, len(prefix)) if delimiter and key.startswith(prefix) else -1
    return None if end < 0 else key[: end + len(delimiter)]
