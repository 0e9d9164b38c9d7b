"""The objects of a transform job."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imclass.data.manifest_file import read_manifest_file
from imclass.errors import DataError, UserError, listing
from imclass.sagemaker.control_plane.store.buckets import Buckets, Place, S3Object, relative_name


@dataclass(frozen=True)
class TransformObject:
    """One object.

    Attributes:
        name: its key relative to the prefix, after which its result is called.
        place: such as bucket/key, for people.
        source: its content, which nobody may write to.
    """

    name: str
    place: str
    source: S3Object


def objects_of(source: Mapping[str, Any], buckets: Buckets) -> list[TransformObject]:
    """Find the objects of an S3DataSource, in order. Names that end with a slash, which consoles make, are left out.

    Raises:
        UserError: there are none, results would have the same name, or the manifest file cannot be read or names what
            is not there.
    """
    place = Place.of(source["S3Uri"])
    if source["S3DataType"] == "ManifestFile":
        found = _listed(place, buckets)
    else:
        found = [
            TransformObject(relative_name(each.key, place.key), f"{place.bucket}/{each.key}", each)
            for each in buckets.objects(place)
            if not each.key.endswith("/")
        ]
    if not found:
        raise UserError("No S3 objects found under the S3 URL given in the input data source", where=str(place))
    by_name = {each.name: each for each in found}
    twice = [f"{each.place} and {by_name[each.name].place}" for each in found if by_name[each.name] is not each]
    if twice:
        raise UserError(
            f"the results of some objects would have the same name\n{listing(twice)}",
            where=str(place),
            fix="Give the prefix of one folder, with a slash at its end.",
        )
    return found


def _listed(place: Place, buckets: Buckets) -> list[TransformObject]:
    """The objects that a manifest file names, each once."""
    manifest = next((each for each in buckets.objects(place) if each.key == place.key), None)
    if manifest is None:
        raise UserError("there is no such manifest file", where=str(place))
    try:
        listed = read_manifest_file(manifest.file)
    except DataError as error:
        raise DataError(error.what, where=str(place), fix=error.fix) from error
    try:
        start = Place.of(listed.references[0].removesuffix(listed.names[0]))
    except ValueError as error:
        raise UserError(
            "the prefix of the manifest file is no place in S3", where=str(place), fix="Write s3://BUCKET/PREFIX/."
        ) from error
    found = {each.key: each for each in buckets.objects(start)}
    missing = [name for name in listed.names if start.key + name not in found]
    if missing:
        raise UserError(f"some objects of the manifest file are not there\n{listing(missing)}", where=str(place))
    names = dict.fromkeys(listed.names)
    return [TransformObject(name, f"{start}{name}".removeprefix("s3://"), found[start.key + name]) for name in names]
