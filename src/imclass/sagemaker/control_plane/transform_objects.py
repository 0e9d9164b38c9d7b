"""The objects of a transform job."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imclass.data.manifest_file import read_manifest_file
from imclass.errors import UserError, listing
from imclass.sagemaker.control_plane.buckets import Buckets, Place, relative_name


@dataclass(frozen=True)
class TransformObjects:
    """Objects, in order.

    Attributes:
        bucket: that they are in; of those of a manifest file that of its prefix.
        files: by key, relative to the prefix.
    """

    bucket: str
    files: Mapping[str, Path]


def objects_of(source: Mapping[str, Any], buckets: Buckets) -> TransformObjects:
    """Find the objects of an S3DataSource.

    Raises:
        UserError: there are none, or the manifest file cannot be read or names some that are not there.
    """
    place = Place.of(source["S3Uri"])
    if source["S3DataType"] == "ManifestFile":
        return _listed(place, buckets)
    files = {relative_name(each.key, place.key): each.file for each in buckets.objects(place)}
    if not files:
        raise UserError("No S3 objects found under the S3 URL given in the input data source", where=str(place))
    return TransformObjects(place.bucket, files)


def _listed(place: Place, buckets: Buckets) -> TransformObjects:
    """The objects that a manifest file names."""
    manifest = next((each for each in buckets.objects(place) if each.key == place.key), None)
    if manifest is None:
        raise UserError("there is no such manifest file", where=str(place))
    listed = read_manifest_file(manifest.file)
    prefix = listed.references[0].removesuffix(listed.names[0])
    try:
        start = Place.of(prefix)
    except ValueError as error:
        raise UserError(f"the prefix is no place in S3: {error}", where=str(place)) from error
    found = {each.key: each.file for each in buckets.objects(start)}
    missing = [name for name in listed.names if start.key + name not in found]
    if missing:
        raise UserError(f"some objects of the manifest file are not there\n{listing(missing)}", where=str(place))
    return TransformObjects(start.bucket, {name: found[start.key + name] for name in listed.names})
