"""Pipe mode: samples that arrive through FIFOs, in order and once.

`channel.PipeChannel` tells the whole; `fifo` waits for bytes, `samples` makes samples of them, `dealing` decides who
gets which, `siblings` and `messages` bring them to the other processes of a host, `prefetch` reads ahead.
"""

from imclass.data.pipe.channel import DEADLINE_SECONDS, Pass, PipeChannel
from imclass.data.pipe.dealing import Seat
from imclass.data.pipe.samples import LabelRules

__all__ = ["DEADLINE_SECONDS", "LabelRules", "Pass", "PipeChannel", "Seat"]
