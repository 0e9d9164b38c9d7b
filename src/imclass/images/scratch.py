"""Memory for the steps between an encoded image and its row of a batch."""

import threading

from imclass.data.reused_memory import ReusedMemory


class Scratch(threading.local):
    """Memory of whichever thread asks, gone when that thread ends. Nothing in it outlives the image at hand.

    Attributes:
        encoded: the image as read.
        decoded: its pixels.
        resized: its pixels after the resize.
    """

    def __init__(self) -> None:
        self.encoded = ReusedMemory()
        self.decoded = ReusedMemory()
        self.resized = ReusedMemory()
