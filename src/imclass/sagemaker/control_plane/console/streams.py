"""The log streams of a thing."""

from pathlib import Path

from imclass.sagemaker.control_plane.console.sections import Section
from imclass.sagemaker.control_plane.store.log_files import LogFolder


def streams_of(logs: LogFolder, section: Section, name: str, created: float) -> list[str]:
    """Names of the streams of a thing, those of its first host first.

    Args:
        created: seconds since 1970; an earlier thing of the same name, deleted since, has left streams too.
    """
    if section.log_group is None:
        return []
    if "{name}" in section.log_group:
        return logs.streams(group_of(section, name))
    if file_of(logs, section, name, name) is not None:
        return [name]
    found = logs.streams(group_of(section, name), f"{name}/")
    return [stream for stream in found if (started := _started(stream)) is None or started >= int(created)]


def _started(stream: str) -> int | None:
    """The seconds since 1970 with which a stream's name ends, as algo-1-1769817600."""
    text = stream.rpartition("-")[2]
    return int(text) if text.isdecimal() else None


def latest(streams: list[str]) -> str | None:
    """The stream that people want to see first: the last one of the first host."""
    if not streams:
        return None
    host = streams[0].rpartition("-")[0]
    return [stream for stream in streams if stream.rpartition("-")[0] == host][-1]


def group_of(section: Section, name: str) -> str:
    """The log group of a thing."""
    assert section.log_group is not None
    return section.log_group.format(name=name)


def file_of(logs: LogFolder, section: Section, name: str, stream: str) -> Path | None:
    """The file of one of the streams of a thing; None if there is none."""
    file = logs.file(group_of(section, name), stream)
    return file if file is not None and file.exists() else None
