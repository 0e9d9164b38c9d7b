"""The data of a run, from what a person typed."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from imclass.data import (
    ChannelSettings,
    PipeChannel,
    Source,
    check_stream,
    find_split_folders,
    local_path,
    located,
    open_channels,
    open_pair,
    open_source,
    parse_input_data_config,
    split,
)
from imclass.data.pipe import DEADLINE_SECONDS
from imclass.data.remote.addresses import is_remote
from imclass.errors import DataError, UserError, listing

if TYPE_CHECKING:
    from imclass.data.location import Place

log = logging.getLogger(__name__)

DEFAULT_VALIDATION_SPLIT = 0.2


@dataclass(frozen=True)
class DataRequest:
    """What was typed about the data; `start.train` explains each."""

    source: "Place | None"
    validation: "Place | None"
    validation_split: float | None
    channels: "Mapping[str, Place]"
    content_types: Mapping[str, str]
    channel_settings: Mapping[str, ChannelSettings]
    pipe_deadline: float
    image_root: str | Path | None
    validation_image_root: str | Path | None
    attribute_names: tuple[str, str] | None
    label_format: str
    stream: bool = False

    @classmethod
    def of(
        cls,
        *,
        source: "Place | None" = None,
        validation: "Place | None" = None,
        validation_split: float | None = None,
        channels: "Mapping[str, Place] | None" = None,
        content_types: Mapping[str, str] | None = None,
        input_data_config: Mapping[str, Mapping[str, str]] | None = None,
        pipe_deadline: float = DEADLINE_SECONDS,
        image_root: str | Path | None = None,
        validation_image_root: str | Path | None = None,
        attribute_names: tuple[str, str] | None = None,
        label_format: str = "multi-hot",
        stream: bool = False,
    ) -> "DataRequest":
        """The arguments of `start.train` that are about data, as a request.

        Raises:
            UserError: they do not go together.
        """
        settings = parse_input_data_config(input_data_config or {})
        types = {name: one.content_type for name, one in settings.items() if one.content_type is not None}
        return cls(
            source=_place(source),
            validation=_place(validation),
            validation_split=validation_split,
            channels=dict(channels or {}),
            content_types={**types, **(content_types or {})},
            channel_settings=settings,
            pipe_deadline=pipe_deadline,
            image_root=image_root,
            validation_image_root=validation_image_root,
            attribute_names=attribute_names,
            label_format=label_format,
            stream=stream,
        )

    def __post_init__(self) -> None:
        """Refuse what does not fit together.

        Raises:
            UserError: everything that would otherwise be ignored is named.
        """
        if (self.source is None) == (not self.channels):
            raise UserError("give either a source or channels", fix="A source is a folder, .rec, .lst or manifest.")
        if self.channels:
            of_sources = {
                "validation": self.validation,
                "image_root": self.image_root,
                "validation_image_root": self.validation_image_root,
            }
            unused = [f"{name} belongs to a source" for name, value in of_sources.items() if value is not None]
        else:
            unused = ["content_types belong to channels"] if self.content_types else []
            unused += ["input_data_config belongs to channels"] if self.channel_settings else []
        has_validation = self.validation is not None or "validation" in self.channels
        if has_validation and self.validation_split is not None:
            unused.append("validation_split is for data without validation images")
        if "train" in self.pipes and self.validation_split is not None:
            unused.append("validation_split divides files; a train channel in Pipe mode needs a validation channel")
        unused += [
            f"the {name} channel in Pipe mode is an address, but pipes are on this machine"
            for name in sorted(self.pipes & self.channels.keys())
            if isinstance(place := self.channels[name], str | Path) and is_remote(place)
        ]
        if not self.pipe_deadline > 0:
            unused.append(f"pipe_deadline is {self.pipe_deadline:g}, but must be above 0 seconds")
        if unused:
            raise UserError(f"these do not go together:\n{listing(unused)}", fix="Leave them out.")
        places = [self.source, self.validation, self.channels.get("train"), self.channels.get("validation")]
        check_stream(self.stream, [place for place in places if isinstance(place, str | Path)])

    def at_hand(self, quiet: bool) -> "DataRequest":
        """Fetch what is on other machines, or prepare to stream it.

        Raises:
            DataError: it cannot be had.
        """

        def here(name: str, place: "Place | None") -> "Place | None":
            if not isinstance(place, str | Path):
                return place
            return located(place, stream=self.stream and name in ("train", "validation"), quiet=quiet)

        channels = {name: here(name, place) for name, place in self.channels.items()}
        roots = [None if root is None else local_path(root, quiet=quiet) for root in self._image_roots]
        return replace(
            self,
            source=here("train", self.source),
            validation=here("validation", self.validation),
            channels={name: place for name, place in channels.items() if place is not None},
            image_root=roots[0],
            validation_image_root=roots[1],
            stream=False,
        )

    @property
    def _image_roots(self) -> tuple[str | Path | None, str | Path | None]:
        return self.image_root, self.validation_image_root

    @property
    def pipes(self) -> frozenset[str]:
        """The channels in Pipe mode."""
        return frozenset(name for name, settings in self.channel_settings.items() if settings.is_pipe)


@dataclass(frozen=True)
class Data:
    """Opened data."""

    train: Source | PipeChannel
    validation: Source | PipeChannel

    @property
    def parts(self) -> tuple[Source | PipeChannel, Source | PipeChannel]:
        return self.train, self.validation

    @property
    def sources(self) -> list[Source]:
        """The parts whose labels are known before they are used."""
        return [part for part in self.parts if not isinstance(part, PipeChannel)]


def open_data(request: DataRequest, *, class_names: tuple[str, ...] | None, num_classes: int | None, seed: int) -> Data:
    """Open training and validation data, or set a part of the training data aside for validation.

    Args:
        class_names: of the model to go on from: its class numbers are kept.
        num_classes: if it was given; manifests with class ids need it.
        seed: of the split.

    Raises:
        DataError: the data cannot be read.
    """
    if request.channels:
        return _open_channels(request, class_names, num_classes, seed)
    assert request.source is not None
    source, validation = request.source, request.validation
    looks_for_splits = validation is None and request.validation_split is None
    if looks_for_splits and isinstance(source, Path) and (folders := find_split_folders(source)):
        source, validation = folders
        log.info("Found %s and %s", source, validation)
    if validation is not None:
        pair = open_pair(
            source,
            validation,
            image_root=request.image_root,
            validation_image_root=request.validation_image_root,
            attribute_names=request.attribute_names,
            label_format=request.label_format,
            num_classes=num_classes,
            class_names=class_names,
        )
        return Data(*pair)
    whole = open_source(
        source,
        image_root=request.image_root,
        attribute_names=request.attribute_names,
        label_format=request.label_format,
        num_classes=num_classes,
        class_names=class_names,
    )
    return _split(whole, request.validation_split, seed)


def _open_channels(
    request: DataRequest, class_names: tuple[str, ...] | None, num_classes: int | None, seed: int
) -> Data:
    opened = open_channels(
        request.channels,
        content_types=request.content_types,
        settings=request.channel_settings,
        pipe_deadline=request.pipe_deadline,
        attribute_names=request.attribute_names,
        label_format=request.label_format,
        num_classes=num_classes,
        class_names=class_names,
    )
    if opened.validation is not None:
        return Data(opened.train, opened.validation)
    if request.validation_split is None or isinstance(opened.train, PipeChannel):
        raise DataError(
            "there is no validation channel",
            where="channels",
            fix="Add --channel validation=PATH, or set a part of the training images aside: --validation-split 0.2.",
        )
    return _split(opened.train, request.validation_split, seed)


def _split(whole: Source, fraction: float | None, seed: int) -> Data:
    train, validation = split(whole, DEFAULT_VALIDATION_SPLIT if fraction is None else fraction, seed)
    log.info("%d images to train on, %d set aside for validation", len(train), len(validation))
    return Data(train, validation)


def _place(place: "Place | None") -> "Place | None":
    """An address stays text; a path becomes one, so that "" is no place."""
    return Path(place) if isinstance(place, str) and "://" not in place else place
