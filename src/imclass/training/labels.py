"""Do a data set's labels and the names of the classes fit what is to be learnt?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from imclass import artifact
from imclass.data import Source
from imclass.errors import DataError, listing


class Labelled(Protocol):
    """Samples whose labels can be judged: a source, or a batch that came out of a pipe."""

    @property
    def name(self) -> str:
        """Where the samples came from."""
        ...

    @property
    def labels(self) -> NDArray[np.float32]:
        """(N, L) float32."""
        ...

    def key(self, index: int, /) -> str:
        """The name of a sample."""
        ...


MOST_CLASSES = 100_000  # more are believed only when num_classes says so


def count_classes(source: Source, multi_label: bool) -> int:
    """Number of classes that a source's names, label columns or largest label tell.

    Raises:
        DataError: a label that no data set has.
    """
    if multi_label:
        return int(source.labels.shape[1])
    if source.class_names is not None:
        return len(source.class_names)
    largest = float(source.labels.max())
    if not largest < MOST_CLASSES:
        index = int(source.labels[:, 0].argmax())
        raise DataError(
            f"{source.key(index)} has label {largest:g}, which would make {largest + 1:g} classes",
            where=source.name,
            fix="Mend the label, or set num_classes if it is right.",
        )
    return max(0, int(largest)) + 1


def with_class_count(hyperparameters: Mapping[str, object], class_names: Sequence[str] | None) -> dict[str, object]:
    """The given hyperparameters, with the number of classes that class names tell where num_classes is not given.

    Raises:
        DataError: a name stands for two classes.
    """
    if class_names is None:
        return dict(hyperparameters)
    twice = [name for name, count in Counter(class_names).items() if count > 1]
    if twice:
        raise DataError(
            f"several classes have the same name:\n{listing(twice)}", where="class names", fix="Give each its own."
        )
    given = {name: value for name, value in hyperparameters.items() if value is not None}
    return {"num_classes": len(class_names), **given}


def known_class_names(
    class_names: Sequence[str] | None, num_classes: int | None, model: artifact.Description | None, path: Path | None
) -> tuple[str, ...] | None:
    """The class names that are known before the data is opened: given, or those of the model to go on from.

    Args:
        class_names: as the user gave them, None if not.
        num_classes: as the hyperparameters say.
        model: to go on from, whose file is `path`.

    Raises:
        DataError: there are more or fewer names than classes, or the model calls its classes otherwise.
        ArtifactError: the model has another number of classes.
    """
    if class_names is None:
        return model.class_names if model else None
    if num_classes != len(class_names):
        raise DataError(
            f"there are {len(class_names)} class names, but num_classes is {num_classes}",
            where="class names",
            fix="Give one name for each class, or leave num_classes out: the names tell it.",
        )
    if model is not None:
        names = artifact.supplemented(model, str(path), class_names=class_names).class_names
        if model.class_names not in (None, names):
            pairs = enumerate(zip(class_names, model.class_names or (), strict=True))
            different = [f"class {number}: {new!r}, in the model {old!r}" for number, (new, old) in pairs if new != old]
            raise DataError(
                f"the class names are not those of the model:\n{listing(different)}",
                where=str(path),
                fix="Leave the class names out: those of the model count.",
            )
    return tuple(class_names)


def check_names_suffice(class_names: Sequence[str], *sources: Source) -> None:
    """Check that every class that labels show has a name.

    Raises:
        DataError: there are too few names.
    """
    for source in sources:
        classes = count_classes(source, multi_label=source.labels.shape[1] > 1)
        if classes > len(class_names):
            raise DataError(
                f"the labels show {classes} classes, but there are {len(class_names)} class names",
                where=source.name,
                fix="Give one name for each class, in the order of the class numbers, from 0 on.",
            )


def check_width(source: Labelled, num_classes: int | None, multi_label: bool) -> None:
    """Check the number of label columns.

    Raises:
        DataError: several columns for one label, or not one column a class.
    """
    width = source.labels.shape[1]
    if not multi_label and width != 1:
        raise DataError(
            f"samples have {width} label columns",
            where=source.name,
            fix=f"Set multi_label=1 and num_classes={width} to train on all of them.",
        )
    if multi_label and (width == 1 if num_classes is None else width != num_classes):
        expected = "more than one is needed" if num_classes is None else f"but num_classes is {num_classes}"
        raise DataError(
            f"samples have {width} label column{'s' if width > 1 else ''}, {expected}",
            where=source.name,
            fix="With multi_label=1 every sample has one 0/1 column a class; leave it out for one label an image.",
        )


def check_labels(source: Labelled, num_classes: int, multi_label: bool) -> None:
    """Check the labels of all samples at once; their width is right.

    Raises:
        DataError: labels out of range, or no whole numbers, each offending sample named.
    """
    labels = source.labels
    if multi_label:
        bad = ~((labels == 0) | (labels == 1)).all(axis=1)
        _refuse(source, bad, labels, "labels other than 0 and 1")
        return
    values = labels[:, 0]
    _refuse(
        source,
        (values != np.floor(values)) | ~np.isfinite(values),
        labels,
        "labels that are no whole numbers",
    )
    outside = (values < 0) | (values >= num_classes)
    _refuse(source, outside, labels, f"labels outside 0..{num_classes - 1} (num_classes is {num_classes})")


def _refuse(source: Labelled, bad: NDArray[np.bool_], labels: NDArray[np.float32], what: str) -> None:
    indices = np.flatnonzero(bad)
    if len(indices):
        shown = [f"{source.key(int(i))}: label {_text(labels[i])}" for i in indices[:20]]
        more = f"\n  ... and {len(indices) - 20} more" if len(indices) > 20 else ""
        raise DataError(
            f"{len(indices)} of {len(labels)} samples have {what}:\n{listing(shown)}{more}", where=source.name
        )


def _text(label: NDArray[np.float32]) -> str:
    return ",".join(f"{value:g}" for value in label)
