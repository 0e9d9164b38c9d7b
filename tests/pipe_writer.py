"""A process that feeds FIFOs, as a platform does: `PREFIX_0`, `PREFIX_1`, ... in order, each with the whole data.

    python tests/pipe_writer.py DATA PREFIX FIFOS [--seconds-between 0.1] [--piece 4096]

A reader that closes a FIFO early ends that FIFO, and the next one begins. The next FIFO is made before one is written,
so that a reader never waits longer than it must. Ends after FIFOS of them.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def main() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("prefix")
    parser.add_argument("fifos", type=int)
    parser.add_argument("--seconds-between", type=float, default=0.0)
    parser.add_argument("--piece", type=int, default=1 << 16)
    arguments = parser.parse_args()
    content = arguments.data.read_bytes()
    for number in range(arguments.fifos):
        path = Path(f"{arguments.prefix}_{number}")
        if not path.exists():
            os.mkfifo(path)
        write(path, content, arguments.piece, arguments.seconds_between)
        path.unlink()


def write(path: Path, content: bytes, piece: int, seconds_between: float) -> None:
    """Write the content piece by piece until a reader has enough."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        for start in range(0, len(content), piece):
            rest = memoryview(content)[start : start + piece]
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if seconds_between:
                time.sleep(seconds_between)
    except BrokenPipeError:
        return
    finally:
        os.close(descriptor)


@contextmanager
def writing(data: Path, prefix: Path, fifos: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run this file as a process while the block lasts."""
    process = subprocess.Popen([sys.executable, __file__, str(data), str(prefix), str(fifos), *options])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
