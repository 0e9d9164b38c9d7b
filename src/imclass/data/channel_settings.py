"""What a platform says about a channel, as in SageMaker's `inputdataconfig.json`.

::

    {"train": {"ContentType": "application/x-recordio", "TrainingInputMode": "Pipe",
               "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}}

All keys may be missing, and keys of newer platforms do no harm.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from imclass.data.names import nearest
from imclass.errors import DataError, listing

INPUT_MODES = ("File", "Pipe", "FastFile")
CHOICES = {
    "TrainingInputMode": INPUT_MODES,
    "S3DistributionType": ("FullyReplicated", "ShardedByS3Key"),
    "RecordWrapperType": ("None", "RecordIO"),
}

_FORM = 'Write an object for each channel, for example {"train": {"TrainingInputMode": "Pipe"}}.'

Config = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class ContentType:
    """A content type in parts: `application/x-recordio; label-format=class-id`.

    Attributes:
        media_type: in lower case.
        parameters: names in lower case, values without quotes.
    """

    media_type: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """What is known of a channel beside its path.

    Attributes:
        content_type: as text; None when not said.
        input_mode: "File", "Pipe" or "FastFile", which is a file system like any other.
        distribution: "FullyReplicated": every host has all data; "ShardedByS3Key": each has a part of its own.
        record_wrapper: "RecordIO" where a platform wraps an augmented manifest, "None" where records are sent as they
            are stored; None when not said.
    """

    content_type: str | None = None
    input_mode: str = "File"
    distribution: str = "FullyReplicated"
    record_wrapper: str | None = None

    @property
    def is_pipe(self) -> bool:
        return self.input_mode == "Pipe"

    @property
    def is_sharded(self) -> bool:
        return self.distribution == "ShardedByS3Key"

    @property
    def is_wrapped(self) -> bool | None:
        """Whether the stream is a wrapped manifest; None when not said."""
        return None if self.record_wrapper is None else self.record_wrapper == "RecordIO"


def parse_content_type(text: str) -> ContentType:
    """Take a content type apart as MIME does; anything is accepted."""
    message = Message()
    message["Content-Type"] = " ".join(text.split())
    (media_type, _), *parameters = message.get_params(failobj=[("", "")])
    return ContentType(media_type.strip().lower(), {name.lower(): value for name, value in parameters})


def read_input_data_config(path: Path) -> Config:
    """Read a file with an object of settings for each channel; `parse_input_data_config` looks into them.

    Raises:
        DataError: no such file, or it holds something else.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"this is not JSON: {error}", where=str(path), fix=_FORM) from error
    if not isinstance(config, dict) or not all(isinstance(value, dict) for value in config.values()):
        raise DataError("this is not an object of objects", where=str(path), fix=_FORM)
    return config


def parse_input_data_config(
    config: Mapping[str, object], where: str = "input data config"
) -> dict[str, ChannelSettings]:
    """Read the settings of all channels.

    Args:
        config: channel -> key -> value, as in `inputdataconfig.json`.
        where: names it in errors.

    Raises:
        DataError: all values that are not known.
    """
    settings, problems = {}, []
    for channel, values in config.items():
        if not isinstance(values, Mapping):
            problems.append(f"{channel}: an object with keys such as TrainingInputMode is needed")
            continue
        for key, choices in CHOICES.items():
            value = values.get(key)
            if value is not None and value not in choices:
                hint = nearest(str(value), choices)
                problems.append(f"{channel}: {key} is {value!r}, not one of {', '.join(choices)}{hint}")
        content_type = values.get("ContentType")
        settings[channel] = ChannelSettings(
            content_type=None if content_type is None else str(content_type),
            input_mode=str(values.get("TrainingInputMode") or "File"),
            distribution=str(values.get("S3DistributionType") or "FullyReplicated"),
            record_wrapper=values.get("RecordWrapperType"),
        )
    if problems:
        raise DataError(f"the settings of channels cannot be understood:\n{listing(problems)}", where=where)
    return settings
