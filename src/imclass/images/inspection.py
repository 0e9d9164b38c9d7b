"""What there is to know of a data set before training on it: the report of `imclass inspect`."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from imclass.data import Source
from imclass.images.perceptual_hash import groups, near_pairs
from imclass.images.survey import FORMATS, Survey

MOST_CLASSES = 100_000


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class ClassCount(_Model):
    """Images of one class; `name` is None where the format has none."""

    index: int
    name: str | None
    images: int


class Extent(_Model):
    """Smallest, median and largest of a length in pixels."""

    least: int
    median: int
    most: int


class SizeCount(_Model):
    """How many images have one size."""

    width: int
    height: int
    images: int


class Unreadable(_Model):
    """An image that cannot be decoded; `truncated` if its end is missing."""

    key: str
    reason: str
    truncated: bool


class LabelProblem(_Model):
    """An image whose label cannot be."""

    key: str
    label: tuple[float, ...]
    reason: str


class Duplicates(_Model):
    """Images that are equal, or nearly; `labels_differ` if they do not all have the same label."""

    keys: tuple[str, ...]
    labels_differ: bool


class SourceReport(_Model):
    """What is in one data set.

    Attributes:
        name: as the user typed it.
        images: all of them, readable or not.
        label_columns: 1, or one for each class.
        classes: of one label an image, the images of each class number from 0 to the largest; of several, the images
            that have the label.
        label_problems: labels that are no whole number, negative, or not below the number of classes.
        widths, heights: None if no image is readable.
        sizes: the ten commonest.
        different_sizes: number of sizes that occur.
        formats, channels: number of images by format and by number of channels as stored.
        exact_duplicates: images with the same bytes.
        near_duplicates: images that look alike, without those that are equal to one another.
    """

    name: str
    images: int
    label_columns: int
    classes: tuple[ClassCount, ...]
    label_problems: tuple[LabelProblem, ...]
    unreadable: tuple[Unreadable, ...]
    widths: Extent | None
    heights: Extent | None
    sizes: tuple[SizeCount, ...]
    different_sizes: int
    formats: dict[str, int]
    channels: dict[int, int]
    exact_duplicates: tuple[Duplicates, ...]
    near_duplicates: tuple[Duplicates, ...]


class SharedImage(_Model):
    """An image of the second data set that is in the first too.

    Attributes:
        first, second: keys.
        exact: whether the bytes are equal; otherwise they look alike.
        labels_differ: whether the two have different labels.
    """

    first: str
    second: str
    exact: bool
    labels_differ: bool


def report(seen: Survey, num_classes: int | None = None) -> SourceReport:
    """Put together what a survey saw.

    Args:
        num_classes: number of classes that labels must be below; that of the source's class names by default.
    """
    source = seen.source
    sizes = Counter(zip(seen.widths[seen.readable].tolist(), seen.heights[seen.readable].tolist(), strict=True))
    formats = Counter(seen.formats[seen.readable].tolist())
    channels = Counter(seen.channels[seen.readable].tolist())
    return SourceReport(
        name=source.name,
        images=len(source),
        label_columns=source.labels.shape[1],
        classes=class_counts(source, num_classes),
        label_problems=label_problems(source, num_classes),
        unreadable=tuple(Unreadable(key=bad.key, reason=bad.reason, truncated=bad.cut_off) for bad in seen.unreadable),
        widths=_extent(seen.widths[seen.readable]),
        heights=_extent(seen.heights[seen.readable]),
        sizes=tuple(SizeCount(width=w, height=h, images=count) for (w, h), count in sizes.most_common(10)),
        different_sizes=len(sizes),
        formats={FORMATS[number]: count for number, count in sorted(formats.items())},
        channels=dict(sorted(channels.items())),
        exact_duplicates=_exact_duplicates(seen),
        near_duplicates=_near_duplicates(seen),
    )


def class_counts(source: Source, num_classes: int | None = None) -> tuple[ClassCount, ...]:
    """Count the images of each class. Labels that cannot be class numbers are not counted."""
    names = source.class_names
    if source.labels.shape[1] > 1:
        counts = (source.labels > 0.5).sum(axis=0)
    else:
        values = source.labels[:, 0]
        possible = (values >= 0) & (values == np.floor(values)) & (values < MOST_CLASSES)
        least = max(num_classes or 0, len(names or ()))
        counts = np.bincount(values[possible].astype(np.int64), minlength=least)
    return tuple(
        ClassCount(index=index, name=names[index] if names and index < len(names) else None, images=count)
        for index, count in enumerate(counts.tolist())
    )


def label_problems(source: Source, num_classes: int | None = None) -> tuple[LabelProblem, ...]:
    """Find labels that no training takes."""
    labels = source.labels
    if labels.shape[1] > 1:
        checks = [(~((labels == 0) | (labels == 1)).all(axis=1), "has values other than 0 and 1")]
        if num_classes is not None and labels.shape[1] != num_classes:
            columns = np.ones(len(labels), np.bool_)
            checks.append((columns, f"has {labels.shape[1]} columns, not {num_classes}"))
    else:
        values = labels[:, 0]
        whole = values == np.floor(values)
        if num_classes is None:
            num_classes = len(source.class_names) if source.class_names else MOST_CLASSES
        checks = [
            (~whole, "is no whole number"),
            (whole & (values < 0), "is negative"),
            (whole & (values >= num_classes), f"is not below {num_classes}, the number of classes"),
        ]
    return tuple(
        LabelProblem(key=source.key(index), label=tuple(labels[index].tolist()), reason=reason)
        for wrong, reason in checks
        for index in np.flatnonzero(wrong).tolist()
    )


def overlap(first: Survey, second: Survey) -> tuple[SharedImage, ...]:
    """Find the images of the second data set that are in the first too, in the order of the second.

    An image that is there exactly is named with its first copy; others with the first image that looks like it.
    """
    firsts = _first_places(first)
    shared = {}
    for index in np.flatnonzero(second.readable).tolist():
        copy = firsts.get(second.digests[index].tobytes())
        if copy is not None:
            shared[index] = _shared(first, copy, second, index, exact=True)
    for one, other in _look_alikes(first, second):
        if other not in shared:
            shared[other] = _shared(first, one, second, other, exact=False)
    return tuple(shared[index] for index in sorted(shared))


def untrained_classes(first: SourceReport, second: SourceReport) -> tuple[ClassCount, ...]:
    """The classes that have images in the second data set and none in the first."""
    known = {entry.index for entry in first.classes if entry.images}
    return tuple(entry for entry in second.classes if entry.images and entry.index not in known)


def _look_alikes(first: Survey, second: Survey) -> Iterator[tuple[int, int]]:
    """Yield (number in the first, number in the second) of images that look alike."""
    firsts, seconds = np.flatnonzero(first.readable), np.flatnonzero(second.readable)
    hashes = np.concatenate([first.hashes[firsts], second.hashes[seconds]])
    for alike in groups(len(hashes), near_pairs(hashes)):
        if alike[0] < len(firsts):
            for row in alike:
                if row >= len(firsts):
                    yield int(firsts[alike[0]]), int(seconds[row - len(firsts)])


def _first_places(seen: Survey) -> dict[bytes, int]:
    places: dict[bytes, int] = {}
    for index in np.flatnonzero(seen.readable).tolist():
        places.setdefault(seen.digests[index].tobytes(), index)
    return places


def _shared(first: Survey, one: int, second: Survey, other: int, *, exact: bool) -> SharedImage:
    return SharedImage(
        first=first.source.key(one),
        second=second.source.key(other),
        exact=exact,
        labels_differ=not np.array_equal(first.source.labels[one], second.source.labels[other]),
    )


def _extent(lengths: NDArray[np.int32]) -> Extent | None:
    if not len(lengths):
        return None
    return Extent(least=int(lengths.min()), median=int(np.median(lengths)), most=int(lengths.max()))


def _exact_duplicates(seen: Survey) -> tuple[Duplicates, ...]:
    rows = np.flatnonzero(seen.readable)
    return _described(seen.source, rows, groups(len(rows), near_pairs(seen.digests[rows], 0)))


def _near_duplicates(seen: Survey) -> tuple[Duplicates, ...]:
    """Of images with the same bytes only the first is compared."""
    rows = np.array(sorted(_first_places(seen).values()), np.int64)
    return _described(seen.source, rows, groups(len(rows), near_pairs(seen.hashes[rows])))


def _described(source: Source, rows: NDArray[np.int64], alike: Sequence[Sequence[int]]) -> tuple[Duplicates, ...]:
    described = []
    for group in alike:
        indices = rows[list(group)]
        labels = source.labels[indices]
        keys = tuple(source.key(int(index)) for index in indices)
        described.append(Duplicates(keys=keys, labels_differ=bool((labels != labels[0]).any())))
    return tuple(described)
