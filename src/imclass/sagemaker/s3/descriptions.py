"""What S3 tells of an object beside its content: kept in a small file per key, apart from the objects.

The file is JSON, named by the SHA-256 of the key and found at METADATA/BUCKET/xx/yyyy...:

    {"key": "a/b.jpg", "descriptions": [{"size": 3, "modified_ns": 1700000000000000000, "etag": "9001...", "attributes":
     {"headers": {"content-type": "image/jpeg"}, "metadata": {"colour": "red"}, "checksum": null}}]}

A description belongs to the file of that size and time of modification, and to no other: an object that a person has
changed, or has put there, has none, and gets its ETag from its size and time. Before an object is replaced its
descriptions are the new one and the old one, so that after an end of the process in between either file has its own.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

from imclass.pending_file import PendingFile
from imclass.sagemaker.s3.checksums import Checksum

logger = logging.getLogger(__name__)

DEFAULT_TYPE = "binary/octet-stream"


@dataclass(frozen=True)
class Attributes:
    """What a client says of an object.

    Attributes:
        headers: that come back with it, by lower-case name: content-type, cache-control and so on.
        metadata: x-amz-meta-* without that prefix, by lower-case name.
        checksum: of its content, or None.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    checksum: Checksum | None = None


NO_ATTRIBUTES = Attributes()


@dataclass(frozen=True)
class Description:
    """What is known of an object.

    Attributes:
        size: bytes.
        modified_ns: nanoseconds since 1970.
        etag: without quotes.
        attributes: as its client gave them; empty for a file that a person put there.
    """

    size: int
    modified_ns: int
    etag: str
    attributes: Attributes = NO_ATTRIBUTES

    @property
    def modified(self) -> int:
        """Whole seconds since 1970, as HTTP tells times."""
        return self.modified_ns // 1_000_000_000

    @property
    def last_modified(self) -> str:
        """The time as in HTTP's headers."""
        return formatdate(self.modified, usegmt=True)


def of_file(status: os.stat_result) -> Description:
    """The description of a file that has none: its ETag changes with its size and time.

    It looks like that of an object in one part, of which no client expects the MD5 of the content.
    """
    state = f"{status.st_size} {status.st_mtime_ns}".encode()
    return Description(status.st_size, status.st_mtime_ns, hashlib.md5(state, usedforsecurity=False).hexdigest() + "-1")


class Descriptions:
    """The descriptions of all objects.

    Args:
        folder: METADATA above, which exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, bucket: str, key: str, status: os.stat_result) -> Description:
        """The description of the file of an object."""
        for description in self._read(bucket, key):
            if (description.size, description.modified_ns) == (status.st_size, status.st_mtime_ns):
                return description
        return of_file(status)

    def announce(self, bucket: str, key: str, coming: Description, present: Description | None) -> None:
        """Describe a file that is about to take the place of an object.

        Args:
            present: the description of that object, if there is one.

        Raises:
            UserError: the file cannot be written.
        """
        path = self._path(bucket, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        known = [asdict(description) for description in (coming, present) if description is not None]
        content = json.dumps({"key": key, "descriptions": known})
        with PendingFile(path, to_disk=False) as file:
            file.write(content.encode())

    def forget(self, bucket: str, key: str) -> None:
        """Remove the description of an object."""
        self._path(bucket, key).unlink(missing_ok=True)

    def _read(self, bucket: str, key: str) -> list[Description]:
        path = self._path(bucket, key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return []
        try:
            return [_description(fields) for fields in json.loads(content)["descriptions"]]
        except (ValueError, KeyError, TypeError):
            # Such as an empty file after a power failure: the object itself is there, and is described by its file.
            logger.warning("the description of s3://%s/%s is damaged: %s", bucket, key, path)
            return []

    def _path(self, bucket: str, key: str) -> Path:
        digest = hashlib.sha256(key.encode()).hexdigest()
        return self._folder / bucket / digest[:2] / digest[2:]


def _description(fields: dict[str, Any]) -> Description:
    attributes = fields["attributes"]
    checksum = attributes["checksum"] and Checksum(**attributes["checksum"])
    return Description(
        fields["size"],
        fields["modified_ns"],
        fields["etag"],
        Attributes(attributes["headers"], attributes["metadata"], checksum),
    )
