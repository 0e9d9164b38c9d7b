"""Opens the channels of the original algorithm.

==================  ==============================================================================
channel             content
==================  ==============================================================================
`train`             `.rec` files at any depth, or images that `train_lst` lists, or a manifest, or
                    whatever `open_source` knows
`validation`        the same; may be missing
`train_lst`         one `.lst`; its paths start from the `train` channel
`validation_lst`    one `.lst`; its paths start from the `validation` channel
`model`             `model.tar.gz` of an earlier run or of the original, or a folder that one was
                    unpacked to
==================  ==============================================================================

A channel is a folder or a single file. Files that are not asked for do no harm. Content types only choose
between records and a list where both are there, and carry the parameter `label-format`; unknown types and
parameters are accepted, as people use many.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from imclass.data.channel_settings import ChannelSettings, ContentType, parse_content_type
from imclass.data.image_files import printable
from imclass.data.location import local_path, shown_name
from imclass.data.manifest_labels import LABEL_FORMATS
from imclass.data.names import nearest
from imclass.data.opening import (
    Format,
    Options,
    Recognised,
    files_with_suffix,
    open_recognised,
    open_recognised_pair,
    recognise,
)
from imclass.data.pipe import DEADLINE_SECONDS, PipeChannel
from imclass.data.source import Source
from imclass.errors import DataError, listing

if TYPE_CHECKING:
    from imclass.data.location import Place

CHANNELS = ("train", "validation", "train_lst", "validation_lst", "model")
RECORDIO_TYPE = "application/x-recordio"


@dataclass(frozen=True, slots=True)
class Channels:
    """The opened channels of a run.

    Attributes:
        train: training data.
        validation: validation data, if there is such a channel. Either may be a pipe.
        model: the model file or folder to start from, if there is such a channel.
    """

    train: Source | PipeChannel
    validation: Source | PipeChannel | None
    model: Path | None


def open_channels(
    channels: "Mapping[str, Place]",
    *,
    content_types: Mapping[str, str] | None = None,
    settings: Mapping[str, ChannelSettings] | None = None,
    pipe_deadline: float = DEADLINE_SECONDS,
    image_root: str | Path | None = None,
    attribute_names: Sequence[str] | None = None,
    label_format: str = "multi-hot",
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
) -> Channels:
    """Open the channels of the original algorithm.

    Args:
        channels: folder or file of each channel.
        content_types: content type of some channels; its `label-format` goes before the argument of that
            name.
        settings: what else is known of some channels; one in Pipe mode is no folder or file, but what the names of its
            FIFOs begin with.
        pipe_deadline: longest wait in seconds for a FIFO, its writer or its next bytes.

    The other arguments are those of `imclass.data.open_source`; `image_root` is that of manifests and of
    lists inside the data channels.

    Raises:
        DataError: unknown channels, no train channel, a list without its images, or data that `open_source`
            refuses.
    """
    types = {name: parse_content_type(text) for name, text in (content_types or {}).items()}
    known = dict(settings or {})
    _check_names(channels, types, known)
    options = Options(
        image_root=local_path(image_root) if image_root is not None else None,
        attribute_names=attribute_names,
        label_format=label_format,
        num_classes=num_classes,
        class_names=tuple(class_names) if class_names is not None else None,
    )
    model = find_model(_local("model", channels)) if "model" in channels else None
    piped = {
        name: _pipe(name, _local(name, channels), known[name], types.get(name), label_format, pipe_deadline)
        for name in ("train", "validation")
        if name in channels and name in known and known[name].is_pipe
    }
    found = {
        name: _recognise_channel(name, channels, types, options)
        for name in ("train", "validation")
        if name in channels and name not in piped
    }
    if len(found) == 2:
        (train, train_options), (validation, validation_options) = found["train"], found["validation"]
        return Channels(*open_recognised_pair(train, validation, train_options, validation_options), model)
    opened = piped | {name: open_recognised(*recognised) for name, recognised in found.items()}
    return Channels(opened["train"], opened.get("validation"), model)


def _pipe(
    name: str,
    path: Path,
    settings: ChannelSettings,
    content_type: ContentType | None,
    label_format: str,
    deadline_seconds: float,
) -> PipeChannel:
    if not path.name or (path.exists() and not path.is_dir()):
        raise DataError(
            "in Pipe mode a channel is what the names of its FIFOs begin with, not a file or a folder of its own",
            where=f"channel {name}, {printable(path)}",
            fix="For FIFOs pipes/train_0, pipes/train_1, ... give pipes/train; for files use --input-mode File.",
        )
    parameters = content_type.parameters if content_type else {}
    chosen = parameters.get("label-format", label_format).lower()
    if chosen not in LABEL_FORMATS:
        known = " or ".join(LABEL_FORMATS)
        raise DataError(
            f"the label format {chosen!r} is not {known}{nearest(chosen, LABEL_FORMATS)}", where=f"channel {name}"
        )
    return PipeChannel(
        name,
        path,
        label_format=chosen,
        wrapped=settings.is_wrapped,
        is_sharded=settings.is_sharded,
        deadline_seconds=deadline_seconds,
    )


def _local(name: str, channels: "Mapping[str, Place]") -> Path:
    """The path of a channel that cannot be streamed."""
    place = channels[name]
    if not isinstance(place, str | Path):
        raise DataError("only the channels train and validation can be streamed, from files", where=f"channel {name}")
    return local_path(place)


def _check_names(
    channels: "Mapping[str, Place]", types: Mapping[str, ContentType], settings: Mapping[str, ChannelSettings]
) -> None:
    problems = [
        f"unknown channel {name!r}{nearest(name, CHANNELS)}"
        for name in dict.fromkeys([*channels, *types, *settings])
        if name not in CHANNELS
    ]
    problems += [
        f"settings for {name!r}, but no such channel is given"
        for name in settings
        if name in CHANNELS and name not in channels
    ]
    for name, one in settings.items():
        if one.is_pipe and name in CHANNELS and name not in ("train", "validation"):
            problems.append(f"the {name!r} channel cannot be a pipe, only train and validation can")
        if one.is_pipe and f"{name}_lst" in channels:
            problems.append(f"the {name!r} channel is a pipe, which carries its labels; {name}_lst does not go with it")
    problems += [
        f"a content type for {name!r}, but no such channel is given"
        for name in types
        if name in CHANNELS and name not in channels
    ]
    problems += [
        f"there is no {name!r} channel" + (f", which {name}_lst needs" if f"{name}_lst" in channels else "")
        for name in ("train", "validation")
        if name not in channels and (name == "train" or f"{name}_lst" in channels)
    ]
    if problems:
        raise DataError(
            "the channels do not fit\n" + listing(problems),
            where="channels",
            fix="Channels are: " + ", ".join(CHANNELS) + ".",
        )


def _recognise_channel(
    name: str, channels: "Mapping[str, Place]", types: Mapping[str, ContentType], options: Options
) -> tuple[Recognised, Options]:
    """Find out what a channel holds, and how to open it."""
    place = channels[name]
    content_type = types.get(name, ContentType("", {}))
    options = replace(options, label_format=content_type.parameters.get("label-format", options.label_format).lower())
    if not isinstance(place, str | Path):
        return recognise(place), options
    path = local_path(place)
    records = files_with_suffix(path, ".rec", deep=True) if path.is_dir() else []
    if f"{name}_lst" in channels and not (records and content_type.media_type == RECORDIO_TYPE):
        list_channel = _local(f"{name}_lst", channels)
        chosen = _only_file(list_channel, f"{name}_lst", ".lst")
        root = path if path.is_dir() else path.parent
        return Recognised(shown_name(list_channel), Format.LIST, (chosen,)), replace(options, image_root=root)
    if records:
        return Recognised(shown_name(path), Format.RECORDIO, tuple(records)), options
    return recognise(path), options


def _only_file(path: Path, channel: str, *suffixes: str) -> Path:
    """Return the one file of a channel that ends in one of the suffixes, at any depth."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataError("there is no such file or folder", where=f"channel {channel}, {printable(path)}")
    files = files_with_suffix(path, *suffixes, deep=True)
    if len(files) != 1:
        held = listing([printable(file.relative_to(path)) for file in files]) if files else ""
        raise DataError(
            f"one file that ends in {' or '.join(suffixes)} is needed, {len(files)} are there"
            + ("\n" + held if held else ""),
            where=f"channel {channel}, {printable(path)}",
        )
    return files[0]


def find_model(path: Path) -> Path:
    """The model of a channel: its only archive, or the folder itself when it holds an unpacked one."""
    names = [file.name for file in files_with_suffix(path, ".json")] if path.is_dir() else []
    if any(name == "model.json" or name.endswith("-symbol.json") for name in names):
        return path
    return _only_file(path, "model", ".gz", ".tgz")
