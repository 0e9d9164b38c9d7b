"""What the rest of imclass sees of a data set: samples by number, and all labels at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from imclass.data.reused_memory import ReusedMemory
from imclass.errors import ImageError

Encoded = bytes | memoryview
"""An encoded image: its bytes, or the place in a `ReusedMemory` where they lie until that is used again."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its labels.

    Attributes:
        key: names the sample to a person: a path relative to the data set's root, or `train.rec:BYTEOFFSET`.
        image: the encoded JPEG or PNG.
        label: (L,) float32.
    """

    key: str
    image: bytes
    label: NDArray[np.float32]


class Source(Protocol):
    """Random access to the N samples of a data set, from any number of threads."""

    @property
    def name(self) -> str:
        """Where the data came from, as the user typed it."""
        ...

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes in the order of their numbers; None when the format has no names."""
        ...

    @property
    def labels(self) -> NDArray[np.float32]:
        """(N, L) float32, kept in memory: L = 1 holds class numbers, else one 0/1 column a class."""
        ...

    def __len__(self) -> int: ...

    def key(self, index: int) -> str:
        """Return the name of a sample without reading it."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Read one sample, 0 <= index < N.

        Raises:
            ImageError: this one image cannot be had: its file is missing or empty.
            DataError: the container is broken.
        """
        ...


@runtime_checkable
class ReadsAhead(Protocol):
    """What a source has besides that is read over a network: `imclass.data.in_advance` uses it."""

    @property
    def wants_more(self) -> bool:
        """Whether what is announced would not keep it busy."""
        ...

    def announce(self, indices: NDArray[np.int64]) -> None:
        """Say which samples will be read next, about in this order."""
        ...

    def forget(self) -> None:
        """Drop what was announced and not read."""
        ...


@runtime_checkable
class ReadsIntoMemory(Protocol):
    """What a source has besides that need not take new memory for each image: `image_reader` uses it."""

    def image_in(self, index: int, memory: ReusedMemory) -> Encoded:
        """Read one encoded image, into `memory` where that is possible; errors are those of `Source.__getitem__`."""
        ...


ImageReader = Callable[[int, ReusedMemory], Encoded]
"""Reads an encoded image of a source, like `ReadsIntoMemory.image_in`."""


def image_reader(source: Source) -> ImageReader:
    """The quickest way to a source's encoded images for who needs each only until the next."""
    if isinstance(source, Subset):
        of_whole = image_reader(source.source)
        return lambda index, memory: of_whole(source.index_in_whole(index), memory)
    if isinstance(source, ReadsIntoMemory):
        return source.image_in
    return lambda index, memory: source[index].image


def check_index(index: int, count: int) -> None:
    """Raise IndexError unless 0 <= index < count, so that a wrong number never quietly reads another sample."""
    if not 0 <= index < count:
        raise IndexError(f"sample {index} of {count}")


class Subset:
    """Some samples of a source, in the order given.

    Args:
        source: the whole.
        indices: (M,) integers, the samples taken.
        name: what the part is called; the whole's name by default.
    """

    def __init__(self, source: Source, indices: NDArray[np.int64], name: str | None = None) -> None:
        self.source = source
        self.indices = np.asarray(indices, np.int64)
        self.name = name or source.name
        self.labels = source.labels[self.indices]

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return self.source.class_names

    def __len__(self) -> int:
        return len(self.indices)

    def key(self, index: int) -> str:
        return self.source.key(self.index_in_whole(index))

    def __getitem__(self, index: int) -> Sample:
        return self.source[self.index_in_whole(index)]

    def index_in_whole(self, index: int) -> int:
        """The number that a sample has in the source that this is a part of."""
        check_index(index, len(self))
        return int(self.indices[index])


def innermost(source: Source) -> tuple[Source, NDArray[np.int64] | None]:
    """The source that a subset, or a subset of one, takes its samples from, and which samples: None for all."""
    places: NDArray[np.int64] | None = None
    while isinstance(source, Subset):
        places = source.indices if places is None else source.indices[places]
        source = source.source
    return source, places


def through(places: NDArray[np.int64] | None, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers that samples of a subset have in the source `innermost` found."""
    return indices if places is None else places[indices]


@dataclass(frozen=True)
class ArrivedSamples:
    """The samples of a batch that came out of a stream, in the order of the batch.

    Attributes:
        name: where they came from, as `Source.name`.
        indices: (n,) int64, the place of each in its pass through the stream.
        passes: (n,) int64, the number of that pass.
        samples: the n samples; all have the same number of labels.
        key_of: names a sample to a person.
    """

    name: str
    indices: NDArray[np.int64]
    passes: NDArray[np.int64]
    samples: tuple[Sample, ...]
    key_of: Callable[[Sample], str]

    @property
    def labels(self) -> NDArray[np.float32]:
        """(n, L) float32."""
        return np.stack([sample.label for sample in self.samples])

    def image(self, row: int) -> bytes:
        """Return the encoded image of a sample.

        Raises:
            ImageError: there are no bytes.
        """
        image = self.samples[row].image
        if not image:
            raise ImageError("the record holds no image bytes", where=self.samples[row].key)
        return image

    def image_in(self, row: int, memory: ReusedMemory) -> bytes:
        """As `image`; see `ReadsIntoMemory`."""
        return self.image(row)

    def key(self, row: int) -> str:
        """Return the name of a sample."""
        return self.key_of(self.samples[row])
