"""What the channels of a CreateTrainingJob request must fulfil beyond the constraints of their members."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.api.errors import no_objects
from imclass.sagemaker.control_plane.store.buckets import Buckets, Place

DATA_TYPES = {
    "S3Prefix": ("File", "FastFile", "Pipe"),
    "ManifestFile": ("File", "Pipe"),
    "AugmentedManifestFile": ("Pipe",),
}
"""The kinds of sources, each with the input modes that it can have."""


def channel_mode(channel: Mapping[str, Any], mode_of_job: str) -> str:
    return str(channel.get("InputMode", mode_of_job))


def channel_problems(channels: Sequence[Mapping[str, Any]], mode_of_job: str) -> Iterable[str]:
    """All that cannot be done, whatever the data is."""
    names = [channel["ChannelName"] for channel in channels]
    for name in sorted({name for name in names if names.count(name) > 1 or set(name) <= {"."}}):
        yield f"The channel name {name!r} is given twice, or cannot be a folder."
    for channel in channels:
        for problem in _problems(channel, channel_mode(channel, mode_of_job)):
            yield f"The channel {channel['ChannelName']!r} {problem}."


def _problems(channel: Mapping[str, Any], mode: str) -> Iterable[str]:
    source = channel["DataSource"].get("S3DataSource")
    if source is None:
        yield "has no S3DataSource, the only source that this server reads"
        return
    kind, attributes = source["S3DataType"], source.get("AttributeNames")
    compression, wrapper = (channel.get(member, "None") for member in ("CompressionType", "RecordWrapperType"))
    if kind not in DATA_TYPES:
        yield f"has the S3DataType {kind}; this server reads {', '.join(DATA_TYPES)}"
        return
    if mode not in DATA_TYPES[kind]:
        yield f"has the input mode {mode}, which {kind} cannot have; it can have {', '.join(DATA_TYPES[kind])}"
    for member, value in (("CompressionType", compression), ("RecordWrapperType", wrapper)):
        if value != "None" and mode != "Pipe":
            yield f"has a {member}, which has no meaning in {mode} mode"
    if kind == "AugmentedManifestFile":
        if not attributes:
            yield "needs AttributeNames: those of the image and of the label, in this order"
        if wrapper != "RecordIO":
            yield "needs RecordWrapperType RecordIO, which keeps images and labels apart"
        if compression != "None":
            yield "has a CompressionType, which an augmented manifest cannot have"
    elif attributes:
        yield f"has AttributeNames, which have no meaning with {kind}"
    if "InstanceGroupNames" in source:
        yield "names instance groups, of which there are none"
    try:
        Place.of(source["S3Uri"])
    except ValueError as error:
        yield f"cannot be read: {error}"


def check_data(channel: Mapping[str, Any], role: str, buckets: Buckets, account: Account) -> None:
    """Check that a channel without problems has data; what a manifest names is looked for when the job begins.

    Raises:
        ApiError: there is nothing.
    """
    source = channel["DataSource"]["S3DataSource"]
    place = Place.of(source["S3Uri"])
    if source["S3DataType"] == "S3Prefix":
        is_there = next(buckets.objects(place), None) is not None
    else:
        is_there = buckets.find(place) is not None
    if not is_there:
        raise no_objects(source["S3Uri"], place.bucket, role, account)


def check_channels(request: Mapping[str, Any], buckets: Buckets, account: Account) -> None:
    """Check that all channels have data.

    Raises:
        ApiError: one has none; the message is AWS's.
    """
    for channel in request.get("InputDataConfig", []):
        check_data(channel, request["RoleArn"], buckets, account)
