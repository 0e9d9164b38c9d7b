"""The labels of an augmented manifest: what they may look like, and the (N, L) numbers they mean.

========================  ==============================  =============================
in the line               label_format multi-hot          label_format class-id
========================  ==============================  =============================
`1` or `"1"`              class 1                         class 1
`[1, 0, 1]` or the same   classes 0 and 2 of 3            classes 0 and 1
in a string
========================  ==============================  =============================

All lines hold single numbers, or all hold lists. In class-id lines a single number beside lists means a list
of one.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from imclass.data.names import nearest
from imclass.errors import DataError, listing

LABEL_FORMATS = ("multi-hot", "class-id")
CLASS_LIMIT = 100_000
"""Class numbers from here on are taken for mistakes: each would be a column of every label."""

RawLabel = float | tuple[float, ...]
Names = dict[int, str]


def parse_label(value: object) -> RawLabel:
    """Read a label: a number, a list of numbers, or either as JSON text.

    Raises:
        ValueError: it is anything else.
    """
    if isinstance(value, str):
        text = value
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError(f"the label {text[:40]!r} is not a number or a list of numbers") from None
    if isinstance(value, list):
        return tuple(_parse_number(element) for element in value)
    return _parse_number(value)


def _parse_number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"the label {str(value)[:40]!r} is not a number or a list of numbers")
    if not abs(value) <= float(np.finfo(np.float32).max):
        raise ValueError("a label is not a finite number")
    return float(value)


def label_names(label: RawLabel, metadata: object) -> Names:
    """Return the class names in Ground Truth's metadata; metadata of another shape names nothing."""
    if not isinstance(metadata, dict):
        return {}
    names: Names = {}
    class_map = metadata.get("class-map")
    if isinstance(class_map, dict):
        numbered = ((str(key).strip(), name) for key, name in class_map.items())
        names = {int(key): name for key, name in numbered if _is_class_number(key) and isinstance(name, str)}
    name = metadata.get("class-name")
    if isinstance(name, str) and isinstance(label, float) and is_class(label):
        names[int(label)] = name
    return names


def _is_class_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6 and int(text) < CLASS_LIMIT


def is_class(value: float) -> bool:
    """Whether a number can be a class number."""
    return 0 <= value < CLASS_LIMIT and math.floor(value) == value


@dataclass
class LabelTable:
    """The labels of all lines and the class names found beside them.

    Attributes:
        where: the file, for messages.
        label_format: "multi-hot" or "class-id".
        by_line: line number -> label.
        names: class number -> name.
    """

    where: str
    label_format: str
    by_line: dict[int, RawLabel]
    names: Names = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.label_format not in LABEL_FORMATS:
            known = " or ".join(LABEL_FORMATS)
            raise DataError(
                f"the label format {self.label_format!r} is not {known}{nearest(self.label_format, LABEL_FORMATS)}"
            )

    @property
    def holds_lists(self) -> bool:
        """Whether the data set has several labels an image."""
        return any(isinstance(label, tuple) for label in self.by_line.values())

    @property
    def holds_class_ids(self) -> bool:
        """Whether lists hold class numbers."""
        return self.holds_lists and self.label_format == "class-id"

    @property
    def width(self) -> int:
        """The number L of labels an image: 1, the length of multi-hot lists, or `class_count` for class ids."""
        return self.class_count if self.holds_class_ids else len(self._rows()[0])

    @property
    def class_count(self) -> int:
        """The number of classes that labels and names together show: the highest class number + 1."""
        if self.holds_lists and not self.holds_class_ids:
            return self.width
        highest = max((max(row) for row in self._rows() if row), default=0.0)
        return max(int(highest), max(self.names, default=0)) + 1

    def _rows(self) -> list[tuple[float, ...]]:
        return [label if isinstance(label, tuple) else (label,) for label in self.by_line.values()]

    def problems(self) -> list[str]:
        """Say what is wrong in which line."""
        if self.holds_lists and not self.holds_class_ids:
            return self._list_problems()
        return [
            f"line {number}: {_short(label)} must be class numbers, whole and from 0 to {CLASS_LIMIT - 1}"
            for number, label in self.by_line.items()
            if not all(map(is_class, label if isinstance(label, tuple) else (label,)))
        ]

    def _list_problems(self) -> list[str]:
        """Check multi-hot lists: as long as the first one, and nothing but 0 and 1."""
        first_line, first = next((line, label) for line, label in self.by_line.items() if isinstance(label, tuple))
        problems = []
        for number, label in self.by_line.items():
            if not isinstance(label, tuple):
                problems.append(f"line {number}: a single label, line {first_line} has a list")
            elif len(label) != len(first) or not label:
                problems.append(f"line {number}: {len(label)} labels, line {first_line} has {len(first)}")
            elif not set(label) <= {0.0, 1.0}:
                hint = "lists of class numbers need label-format=class-id"
                problems.append(f"line {number}: {_short(label)} holds more than 0 and 1; {hint}")
        return problems

    def add_names(self, names_by_line: Iterable[tuple[int, Names]]) -> list[str]:
        """Take in the class names of each line; say which lines give a class another name than those before."""
        problems = []
        for line, names in names_by_line:
            for number, name in names.items():
                known = self.names.setdefault(number, name)
                if known != name:
                    problems.append(f"line {line}: class {number} is called {name!r}, before it was {known!r}")
        return problems

    def array(self, num_classes: int | None = None) -> NDArray[np.float32]:
        """Return the (N, L) labels.

        Raises:
            DataError: class ids that are not below `num_classes`, with their lines.
        """
        if not self.holds_class_ids:
            return np.array(self._rows(), np.float32)
        width = num_classes or self.width
        too_high = [
            f"line {number}: {_short(label)}"
            for number, label in self.by_line.items()
            if max(label if isinstance(label, tuple) else (label,), default=0) >= width
        ]
        if too_high:
            raise DataError(f"class numbers must be below num_classes={width}\n" + listing(too_high), where=self.where)
        labels = np.zeros((len(self.by_line), width), np.float32)
        for row, classes in zip(labels, self._rows(), strict=True):
            row[[int(number) for number in classes]] = 1
        return labels

    def class_names(
        self, num_classes: int | None = None, class_names: Sequence[str] | None = None
    ) -> tuple[str, ...] | None:
        """Return the names of all classes; a class without a name is called by its number.

        Args:
            num_classes: length of the table; the highest class + 1 by default.
            class_names: a table to follow; the names of this manifest must be the same.

        Raises:
            DataError: a class has another name here than in `class_names`.
        """
        if class_names is not None:
            self._check_names(class_names)
            return tuple(class_names)
        if not self.names or (self.holds_lists and not self.holds_class_ids):
            return None
        count = max(num_classes or 0, self.class_count)
        return tuple(self.names.get(number, str(number)) for number in range(count))

    def _check_names(self, class_names: Sequence[str]) -> None:
        table = dict(enumerate(class_names))
        differing = [
            f"class {number}: {name!r} here, {table.get(number, 'no such class')!r} there"
            for number, name in sorted(self.names.items())
            if table.get(number) != name
        ]
        if differing:
            raise DataError(
                "the class names differ from the known ones\n" + listing(differing),
                where=self.where,
                fix="Class numbers must mean the same in all data of a model.",
            )


def _short(label: RawLabel, limit: int = 12) -> str:
    if not isinstance(label, tuple):
        return f"{label:g}"
    more = ", ..." if len(label) > limit else ""
    return "[" + ", ".join(f"{value:g}" for value in label[:limit]) + more + "]"
