"""The container's `serve` as a process of this machine, on a port of the loopback interface that it chooses itself.

It tells the port in its output, which is read line by line. It ends, whatever happens, with the thread that has started
it: the kernel sees to that.
"""

import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import IO, Protocol

from imclass.sagemaker.control_plane.jobs.keeper import end_group
from imclass.sagemaker.control_plane.store.log_files import LONGEST_MESSAGE

HOST = "127.0.0.1"
REACH = ("--host", HOST, "--port", "0")
"""Options of `serve` that keep it here."""
LOOK_AGAIN_SECONDS = 0.05
LISTENING = re.compile(rb"listening on http://127\.0\.0\.1:(\d{1,5})\b")
STOP_SECONDS = 30.0
"""From SIGTERM to SIGKILL, as AWS has it."""
LAST_WORDS_SECONDS = 1.0
"""For what a process that has ended wrote last, and is on its way."""
REMEMBERED_LINES = 5


class Sink(Protocol):
    """What takes lines."""

    def write(self, line: bytes, /) -> object: ...


OpenSink = Callable[[], AbstractContextManager[Sink]]


class ServerProcess:
    """One process; to be made in a thread that outlives it.

    Args:
        environment: all of it.
        open_sink: opens where its output goes, line by line; on a thread that closes it at the end.
        leads_group: whether it is in a process group of its own with all that it starts, or in ours.

    Attributes:
        port: where it listens, once it has said so.
        last_lines: that it has written and are not empty, up to `REMEMBERED_LINES`.
    """

    def __init__(self, environment: Mapping[str, str], open_sink: OpenSink, *, leads_group: bool = True) -> None:
        self.port: int | None = None
        self.last_lines: deque[str] = deque(maxlen=REMEMBERED_LINES)
        self._leads_group = leads_group
        self._process = subprocess.Popen(
            [sys.executable, "-m", "imclass.sagemaker.control_plane.contained", "serve", str(os.getpid())],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0 if leads_group else None,
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout, open_sink), daemon=True)
        self._reader.start()

    def _read(self, output: IO[bytes], open_sink: OpenSink) -> None:
        """Pass each line of output on, and find out the port."""
        with output, open_sink() as sink:
            while line := output.readline(LONGEST_MESSAGE):
                sink.write(line)
                if text := line.decode("utf-8", "replace").strip():
                    self.last_lines.append(text)
                if self.port is None and (found := LISTENING.search(line)):
                    self.port = int(found[1])

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def status(self) -> int | None:
        """Its exit status, which is negative for a signal, when it has ended; its last lines are there then."""
        status = self._process.poll()
        if status is not None:
            self._reader.join(LAST_WORDS_SECONDS)
        return status

    def terminate(self) -> None:
        """Let it answer what it has accepted, and end."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """End it, if it has not ended, and all that it has started, if they are a group."""
        if self._leads_group:
            end_group(self._process)
        else:
            self._process.kill()
            self._process.wait()
