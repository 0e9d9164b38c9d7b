"""What the data of a channel is, by the kind of its source in S3.

::

    S3Prefix               all objects whose keys begin so
    ManifestFile           [{"prefix": "s3://bucket/folder/"}, "a.jpg", "b/c.jpg"]
    AugmentedManifestFile  a JSON object a line: {"source-ref": "s3://bucket/a.jpg", "class": "3"}

A channel is a list of items, each of one or more parts: objects, or text of an augmented manifest.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imclass.data.manifest_file import read_manifest_file
from imclass.errors import DataError, UserError
from imclass.sagemaker.control_plane.store.buckets import Buckets, Place, S3Object, relative_name

REFERENCE = "-ref"
"""How the names of attributes end whose values are objects."""

LINE_FORM = 'Each line is an object such as {"source-ref": "s3://bucket/a.jpg", "class": "3"}.'


@dataclass(frozen=True)
class ObjectItem:
    """An object of a channel.

    Attributes:
        name: in the folder of the channel.
        object: its content.
    """

    name: str
    object: S3Object


Line = Sequence[S3Object | str]
"""Of an augmented manifest: for each attribute asked for an object, or text."""


def object_items(source: Mapping[str, Any], buckets: Buckets) -> Iterator[ObjectItem]:
    """The objects of a channel whose source is S3Prefix or ManifestFile, in order.

    Raises:
        UserError: the manifest is broken, or names an object that is not there.
    """
    place = Place.of(source["S3Uri"])
    if source["S3DataType"] == "ManifestFile":
        yield from _listed(place, buckets)
    else:
        for each in buckets.objects(place):
            yield ObjectItem(relative_name(each.key, place.key), each)


def _listed(manifest: Place, buckets: Buckets) -> Iterator[ObjectItem]:
    try:
        listed = read_manifest_file(_object_at(str(manifest), buckets, "the channel").file)
    except DataError as error:
        raise DataError(error.what, where=str(manifest), fix=error.fix) from error
    for number, (name, address) in enumerate(zip(listed.names, listed.references, strict=True), 1):
        yield ObjectItem(name, _object_at(address, buckets, f"{manifest}, element {number}"))


def augmented_lines(source: Mapping[str, Any], buckets: Buckets) -> Iterator[Line]:
    """The lines of an augmented manifest; empty ones are left out.

    Raises:
        UserError: a line is broken, has not all attributes, or names an object that is not there.
    """
    manifest, names = Place.of(source["S3Uri"]), source["AttributeNames"]
    with _object_at(str(manifest), buckets, "the channel").file.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                where = f"{manifest}, line {number}"
                values = _line_values(line, where)
                yield [_part(name, values, buckets, where) for name in names]


def _line_values(line: bytes, where: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"the line is not JSON: {error}", where=where, fix=LINE_FORM) from error
    if not isinstance(values, dict):
        raise UserError("the line is not an object", where=where, fix=LINE_FORM)
    return values


def _part(name: str, values: Mapping[str, Any], buckets: Buckets, where: str) -> S3Object | str:
    """What one attribute contributes: the object that it names, or its JSON."""
    if name not in values:
        raise UserError(
            f"the line has no attribute {name!r}, only {', '.join(values)}", where=where, fix="Check AttributeNames."
        )
    value = values[name]
    if not name.endswith(REFERENCE):
        return json.dumps(value)
    if not isinstance(value, str):
        raise UserError(f"the attribute {name!r} is no address of S3", where=where, fix=LINE_FORM)
    return _object_at(value, buckets, where)


def _object_at(address: str, buckets: Buckets, where: str) -> S3Object:
    try:
        found = buckets.find(Place.of(address))
    except ValueError as error:
        raise UserError(str(error), where=where) from error
    if found is None:
        raise UserError(f"there is no object {address}", where=where)
    return found
