"""Do a data set's labels fit the classes of a network?"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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


def check_model_width(source: Labelled, num_classes: int, multi_label: bool) -> None:
    """Check the number of label columns against a model that is there.

    Raises:
        DataError: the samples are not labelled as those that it was trained on.
    """
    width, expected = source.labels.shape[1], num_classes if multi_label else 1
    if width != expected:
        raise DataError(
            f"samples have {width} label column{'s' if width > 1 else ''}, but the model needs {expected}",
            where=source.name,
            fix="It gives each image any of its classes: give one 0/1 column a class."
            if multi_label
            else "It gives each image one of its classes: give the number of that class alone.",
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
