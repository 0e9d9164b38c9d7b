"""A source of nothing but labels, for tests."""

import numpy as np

from imclass.data import Sample


class Labelled:
    """A source of nothing but labels."""

    name = "labels"

    def __init__(self, labels: list[list[float]], class_names: tuple[str, ...] | None = None) -> None:
        self.labels = np.array(labels, np.float32)
        self.class_names = class_names

    def __len__(self) -> int:
        return len(self.labels)

    def key(self, index: int) -> str:
        return f"sample {index}"

    def __getitem__(self, index: int) -> Sample:
        return Sample(self.key(index), b"", self.labels[index])
