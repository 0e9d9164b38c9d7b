"""The trackers of a run."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from imclass.errors import UserError
from imclass.pending_file import PendingFile
from imclass.training.trackers.sender import Sender
from imclass.training.trackers.tracker import Ending, Metrics, Status, TrackedRun, Tracker

log = logging.getLogger(__name__)

FILE = "trackers.json"  # in the folder of a run: what `Tracker.start` returned, by the tracker's name
BATCHES_EVERY_SECONDS = 5.0
DEADLINE_SECONDS: Mapping[Status, float] = {"finished": 600.0, "interrupted": 20.0, "failed": 20.0}
KEPT_FILES = ("run.json", "metrics.jsonl", "bad_images.jsonl")  # of those of a run, which trackers keep too
MODEL = "model.tar.gz"


class Tracking:
    """The trackers of a run. They end with its `with` block: as `complete` said, or as failed.

    Args:
        trackers: by name, as `choosing.open_trackers` gives them; empty on all processes but the first.
        output: folder of the run.
        group: see `TrackedRun`.
        keeps_model: whether trackers get the model file of a run that finishes.
        resumes: whether the run goes on where one in the folder was recorded.
    """

    def __init__(
        self,
        trackers: Mapping[str, Tracker],
        output: Path,
        *,
        group: str | None = None,
        keeps_model: bool = False,
        resumes: bool = False,
    ) -> None:
        self.trackers = trackers
        self.output = output
        self.group = group
        self.keeps_model = keeps_model
        self.resumes = resumes
        self._senders: list[Sender] = []
        self._completed: tuple[Status, Mapping[str, float], Callable[[], Sequence[Path]] | None] | None = None
        self._points: list[tuple[int, Metrics]] = []
        self._handed_over = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def start(
        self,
        hyperparameters: Mapping[str, str],
        facts: Mapping[str, str],
        epochs: Sequence[Mapping[str, float]],
        steps: int,
    ) -> None:
        """Start all trackers.

        Args:
            hyperparameters, facts, steps: see `TrackedRun`.
            epochs: lines of metrics.jsonl that are there already.

        Raises:
            UserError: one of them cannot start; those before it are ended.
        """
        if not self.trackers:
            return
        references = read_references(self.output) if self.resumes else {}
        folder = self.output.resolve().name
        run = partial(
            TrackedRun,
            output=self.output,
            name=folder if self.group is None else f"{self.group} {folder}",
            group=self.group,
            hyperparameters=hyperparameters,
            facts=facts,
            epochs=[_named(metrics) for metrics in epochs],
            steps=steps,
        )
        for name, tracker in self.trackers.items():
            reference = _started(name, tracker, run(reference=references.get(name)))
            self._senders.append(Sender(name, tracker))
            if reference is not None:
                references[name] = reference
        with PendingFile(self.output / FILE) as file:
            file.write(json.dumps(references, indent=1).encode())

    def batch(self, step: int, metrics: Metrics) -> None:
        """Means since the epoch began; `step` counts from the beginning of the run. Trackers get them in bundles."""
        if not self._senders:
            return
        self._points.append((step, {f"batch/{name}": value for name, value in metrics.items()}))
        if time.monotonic() - self._handed_over >= BATCHES_EVERY_SECONDS:
            self._hand_over()

    def _hand_over(self) -> None:
        points, self._points = self._points, []
        self._handed_over = time.monotonic()
        for sender in self._senders if points else ():
            sender.batches(points)

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """An epoch's line of metrics.jsonl."""
        self._hand_over()
        for sender in self._senders:
            sender.epoch(epoch, _named(metrics))

    def complete(
        self, status: Status, best: Mapping[str, float], last: Callable[[], Sequence[Path]] | None = None
    ) -> None:
        """The run is over.

        Args:
            best: the line of metrics.jsonl of the epoch whose weights were kept; empty if there is none.
            last: called when the `with` block ends; gives files to be kept beside those that every run has.
        """
        self._completed = status, best, last

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or self._completed is None:
            self._end("failed" if isinstance(error, Exception) else "interrupted", {}, [])
            return
        status, best, last = self._completed
        files: Sequence[Path] = []
        try:
            files = [] if last is None else last()
        finally:
            self._end(status, best, files)

    def _end(self, status: Status, best: Mapping[str, float], files: Sequence[Path]) -> None:
        """End all trackers, and say what they have not recorded."""
        self._hand_over()
        senders, self._senders = self._senders, []
        ending = Ending(status, {f"best/{name}": value for name, value in best.items()}, self._files(status, files))
        deadline = time.monotonic() + DEADLINE_SECONDS[status]
        for sender in senders:
            sender.end(ending)
        for sender in senders:
            sender.wait(deadline)
            if lost := sender.lost():
                log.warning(
                    "%s has not recorded %s (%d calls failed)", sender.name, " and ".join(lost), sender.failures
                )

    def _files(self, status: Status, files: Sequence[Path]) -> list[Path]:
        own = [*KEPT_FILES, *([MODEL] if self.keeps_model and status == "finished" else [])]
        paths = [*(self.output / name for name in own), *files]
        return [path for path in paths if path.exists() and path.stat().st_size]


def _started(name: str, tracker: Tracker, run: TrackedRun) -> str | None:
    try:
        return tracker.start(run)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"the tracker cannot start: {error!r}", where=f"tracker {name}") from error


def read_references(output: Path) -> dict[str, str]:
    """What the trackers of the run in a folder returned when it began; empty if there is nothing.

    Raises:
        UserError: the file is damaged.
    """
    path = output / FILE
    try:
        references = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"this is not JSON: {error}", where=str(path), fix=_BEGIN_ANEW) from error
    if not isinstance(references, dict) or not all(isinstance(value, str) for value in references.values()):
        raise UserError("this is no object of text", where=str(path), fix=_BEGIN_ANEW)
    return references


_BEGIN_ANEW = "Delete the file; trackers then begin a new record of the run."


def _named(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics by the names of trackers, which group curves by what stands before the slash."""
    return {_curve(name): value for name, value in metrics.items() if name != "epoch"}


def _curve(name: str) -> str:
    for group in ("train", "validation"):
        if name.startswith(f"{group}_"):
            return f"{group}/{name.removeprefix(f'{group}_')}"
    return name
