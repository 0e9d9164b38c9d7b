"""Memory for the steps between an encoded image and its row of a batch."""

import threading

from imclass.data.reused_memory import ReusedMemory

_MOST_KEPT = 32 << 20  # bytes of each step and thread; of what takes longer to fill, new memory costs little


class Scratch(threading.local):
    """Memory of whichever thread asks, gone when that thread ends. Nothing in it outlives the image at hand.

    Attributes:
        encoded: the image as read.
        decoded: its pixels.
        resized: its pixels after the resize.
    """

    def __init__(self) -> None:
        self.encoded = ReusedMemory(_MOST_KEPT)
        self.decoded = ReusedMemory(_MOST_KEPT)
        self.resized = ReusedMemory(_MOST_KEPT)
