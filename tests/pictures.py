"""Small pictures for tests: three classes that a network can tell apart, drawn from a seed."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

CLASSES = ("bars", "dots", "rings")


def picture(kind: int, number: int, side: int = 16) -> NDArray[np.uint8]:
    """One RGB picture (side, side, 3) of class `kind`, with random colours and place."""
    generator = np.random.default_rng([kind, number])
    canvas = generator.integers(0, 90, (side, side, 3)).astype(np.uint8)
    colour = tuple(int(value) for value in generator.integers(140, 255, 3))
    x, y = (int(value) for value in generator.integers(side // 3, 2 * side // 3, 2))
    if kind == 0:
        cv2.rectangle(canvas, (x - 1, 0), (x + 1, side), colour, -1)
    elif kind == 1:
        cv2.circle(canvas, (x, y), side // 6, colour, -1)
    else:
        cv2.circle(canvas, (x, y), side // 3, colour, 1)
    return canvas


def write_class_folders(root: Path, per_class: int, side: int = 16, first: int = 0) -> Path:
    """`root/<class>/NNN.png`, `per_class` pictures of each class, numbered from `first`."""
    for kind, name in enumerate(CLASSES):
        folder = root / name
        folder.mkdir(parents=True)
        for number in range(first, first + per_class):
            written = cv2.imwrite(str(folder / f"{number:03d}.png"), picture(kind, number, side)[:, :, ::-1])
            assert written
    return root
