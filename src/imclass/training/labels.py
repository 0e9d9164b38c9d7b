"""Do a data set's labels fit what is to be learnt?"""

import numpy as np
from numpy.typing import NDArray

from imclass.data import Source
from imclass.errors import DataError, listing


def count_classes(source: Source, multi_label: bool) -> int:
    """Number of classes that a source's names, label columns or largest label tell."""
    if multi_label:
        return int(source.labels.shape[1])
    if source.class_names is not None:
        return len(source.class_names)
    return int(source.labels.max()) + 1


def check_labels(source: Source, num_classes: int, multi_label: bool) -> None:
    """Check the labels of a whole source at once.

    Raises:
        DataError: labels of the wrong width, out of range, or no whole numbers, each offending sample named.
    """
    labels = source.labels
    width = labels.shape[1]
    if multi_label:
        if width != num_classes:
            raise DataError(
                f"samples have {width} label columns, but num_classes is {num_classes}",
                where=source.name,
                fix="With multi_label=1 every sample has one 0/1 column a class.",
            )
        bad = ~((labels == 0) | (labels == 1)).all(axis=1)
        _refuse(source, bad, labels, "labels other than 0 and 1")
        return
    if width != 1:
        raise DataError(
            f"samples have {width} label columns",
            where=source.name,
            fix=f"Set multi_label=1 and num_classes={width} to train on all of them.",
        )
    values = labels[:, 0]
    _refuse(
        source,
        (values != np.floor(values)) | ~np.isfinite(values),
        labels,
        "labels that are no whole numbers",
    )
    outside = (values < 0) | (values >= num_classes)
    _refuse(source, outside, labels, f"labels outside 0..{num_classes - 1} (num_classes is {num_classes})")


def _refuse(source: Source, bad: NDArray[np.bool_], labels: NDArray[np.float32], what: str) -> None:
    indices = np.flatnonzero(bad)
    if len(indices):
        shown = [f"{source.key(int(i))}: label {_text(labels[i])}" for i in indices[:20]]
        more = f"\n  ... and {len(indices) - 20} more" if len(indices) > 20 else ""
        raise DataError(
            f"{len(indices)} of {len(labels)} samples have {what}:\n{listing(shown)}{more}", where=source.name
        )


def _text(label: NDArray[np.float32]) -> str:
    return ",".join(f"{value:g}" for value in label)
