"""Reads SageMaker's manifest files: names below one prefix, as its data type ManifestFile has them.

A JSON list, its first element the prefix, then the names, which are joined to it as they are::

    [{"prefix": "s3://bucket/photos/"}, "a/1.jpg", "a/2.jpg"]

The prefix is an address, a `file://` address, or a path relative to the manifest file.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from imclass.data.image_files import path_problem
from imclass.data.location import shown_name
from imclass.data.remote.addresses import is_remote
from imclass.errors import DataError, listing


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """The images of a manifest file.

    Attributes:
        names: what stands behind the prefix.
        references: path or address of each.
    """

    names: tuple[str, ...]
    references: tuple[str, ...]


def is_manifest_file(path: Path) -> bool:
    """Whether a file begins as a JSON list.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=shown_name(path)) from error


def read_manifest_file(path: Path) -> ManifestFile:
    """Read a manifest file.

    Raises:
        DataError: it cannot be read or names nothing, or it has bad elements: all of them, with their places from 0.
    """
    try:
        elements = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=shown_name(path)) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {error}", where=shown_name(path)) from error
    problems = _problems(elements)
    if problems:
        raise DataError(
            "bad elements in the manifest file\n" + listing(problems),
            where=shown_name(path),
            fix='It is a JSON list: [{"prefix": "s3://bucket/photos/"}, "a/1.jpg", ...].',
        )
    prefix, names = elements[0]["prefix"], tuple(elements[1:])
    if not names:
        raise DataError("the manifest file names no images", where=shown_name(path))
    start = prefix if is_remote(prefix) else _local_prefix(prefix, path.parent)
    return ManifestFile(names, tuple(start + name for name in names))


def _problems(elements: Sequence[object]) -> list[str]:
    first = elements[0] if elements else None
    problems = []
    if not (isinstance(first, dict) and isinstance(first.get("prefix"), str)):
        problems.append("element 0 is no object with the text prefix")
    for place, name in enumerate(elements[1:], start=1):
        problem = path_problem(name) if isinstance(name, str) else "not a text"
        if problem:
            problems.append(f"element {place}: {problem}")
    return problems


def _local_prefix(prefix: str, folder: Path) -> str:
    if prefix.startswith("file://"):
        prefix = unquote(urlsplit(prefix).path)
    return prefix if prefix.startswith("/") else f"{folder}/{prefix}"
