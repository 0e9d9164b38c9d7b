"""`imclass tune`, told from top to bottom: trials in processes of their own, watched until all have ended."""

import fcntl
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from imclass.errors import UserError
from imclass.hyperparameters import parse
from imclass.hyperparameters.fields import TUNING_OBJECTIVE
from imclass.pending_file import PendingFile, remove_left_over
from imclass.tuning.places import Place
from imclass.tuning.proposals import propose
from imclass.tuning.results import write_results
from imclass.tuning.running import STOP_SECONDS, Running
from imclass.tuning.search import Search
from imclass.tuning.stopping import should_stop
from imclass.tuning.study_file import StudyFile
from imclass.tuning.trial_folder import Order, TrialFolder
from imclass.tuning.trials import Trial, best_trial, is_hopeless
from imclass.tuning.words import shown

log = logging.getLogger(__name__)

STUDY = "study.sqlite"
LOCK = "study.lock"
MODEL = "model.tar.gz"
LOOK_AGAIN_SECONDS = 0.5


@dataclass(frozen=True)
class Tuned:
    """What a search gave.

    Attributes:
        output: its folder.
        trials: all of them, by number.
        best: the best of them.
        model_path: its model.
    """

    output: Path
    trials: list[Trial]
    best: Trial
    model_path: Path


def tune(
    search: Search,
    options: Mapping[str, Any],
    hyperparameters: Mapping[str, object],
    output: Path,
    places: Sequence[Place],
    *,
    resume: bool = False,
) -> Tuned:
    """Search for the best hyperparameters.

    Args:
        search: what is searched; its objective is one of `trial_folder.METRICS`.
        options: of `imclass.training.train`, in JSON's types: where the data is, and so on.
        hyperparameters: those that stay as they are.
        output: folder for the study, the trials, the best model, the tables and the page.
        places: where trials run, one in each at a time.
        resume: go on with the study in `output`, if there is one.

    Raises:
        UserError: the search cannot be done, the folder holds another one or is in use, or trials keep failing.
    """
    search.check()
    check_not_searched(search, hyperparameters)
    fixed = with_recipe(hyperparameters, options)
    parse(fixed)  # all that is wrong, before anything is written
    with study_folder(output, resume=resume):
        study = StudyFile(output / STUDY, search, {**options, "hyperparameters": dict(hyperparameters)})
        with Tuning(search, options, fixed, output, study) as tuning:
            tuning.run(places)
        trials = study.trials
    best = best_trial(trials, search.objective)
    if best is None:
        raise UserError(f"not one of {len(trials)} trials has a result", where=str(output / "trials"))
    return Tuned(output, trials, best, output / MODEL)


def check_not_searched(search: Search, hyperparameters: Mapping[str, object]) -> None:
    """Check that what is given is not searched as well.

    Raises:
        UserError: names all that is.
    """
    both = sorted(one.name for one in search.ranges if one.name in hyperparameters)
    if both:
        raise UserError(
            f"given a value, and searched as well: {', '.join(both)}",
            fix="Leave out the value, or give ranges without them: --ranges FILE.",
        )


def with_recipe(hyperparameters: Mapping[str, object], options: Mapping[str, Any]) -> dict[str, object]:
    """The hyperparameters with the recipe that completes them, as `imclass train` does."""
    return {"recipe": "sagemaker" if options.get("channels") else "modern", **hyperparameters}


@contextmanager
def study_folder(output: Path, *, resume: bool) -> Iterator[None]:
    """Keep the folder for this process while the block lasts.

    Raises:
        UserError: it cannot be made, is in use, or holds a study that is not to be resumed.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock: IO[bytes] = (output / LOCK).open("ab")
    except OSError as error:
        raise UserError(f"the folder cannot be used: {error.strerror}", where=str(output)) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError("another process works on this study", where=str(output)) from error
        held = [name for name in (STUDY, MODEL) if (output / name).exists()]
        if held and not (resume and STUDY in held):
            raise UserError(
                f"the folder holds results already ({', '.join(held)})",
                where=str(output),
                fix="Choose another --output, or go on with the study in it: --resume.",
            )
        remove_left_over(output)
        yield


class Tuning:
    """A search at work; its processes end with the `with` block."""

    def __init__(
        self,
        search: Search,
        options: Mapping[str, Any],
        hyperparameters: Mapping[str, object],
        output: Path,
        study: StudyFile,
    ) -> None:
        self._search = search
        self._options = dict(options)
        self._hyperparameters = dict(hyperparameters)
        self._output = output
        self._study = study
        self._running: list[Running] = []
        self._kept: int | None = None  # the trial whose model is in the folder of the study

    def __enter__(self) -> "Tuning":
        return self

    def run(self, places: Sequence[Place]) -> None:
        """Run trials until all have ended.

        Raises:
            UserError: trials fail and fail.
        """
        interrupted = [trial for trial in self._study.trials if not trial.has_ended]
        if interrupted:
            log.info("Going on with %d interrupted trial%s", len(interrupted), "s" if len(interrupted) > 1 else "")
        self._write()  # a killed search may not have come to this
        while True:
            self._collect()
            trials = self._study.trials
            if is_hopeless(trials):
                raise self._hopeless(trials)
            free = [place for place in places if all(place != running.place for running in self._running)]
            for place in free:
                if interrupted:
                    self._start(interrupted.pop(0), place)
                elif len(self._study.trials) < self._search.trials:
                    trials = self._now()
                    self._start(self._study.begin(propose(self._search, trials, len(trials))), place)
            if not self._running:
                return
            self._stop_poor_ones()
            time.sleep(LOOK_AGAIN_SECONDS)

    def _now(self) -> list[Trial]:
        """All trials, those that run with what they have reached."""
        curves = {running.trial.number: running.folder.curve for running in self._running}
        return [replace(trial, curve=curves.get(trial.number, trial.curve)) for trial in self._study.trials]

    def _start(self, trial: Trial, place: Place) -> None:
        folder = self._folder(trial)
        values = {**self._hyperparameters, **trial.values}
        values[TUNING_OBJECTIVE] = self._search.objective.metric  # training reports NaN instead of failing on it
        folder.write_order(Order({**self._options, "hyperparameters": values}, place.cores))
        self._running.append(Running.start(trial, folder, place))
        log.info("Trial %d of %d begins: %s", trial.number + 1, self._search.trials, shown(trial.values))

    def _stop_poor_ones(self) -> None:
        """End trials early that are not worth their time."""
        trials = self._now()
        for running in self._running:
            trial = trials[running.trial.number]
            if not running.is_stopping and should_stop(self._search, trial, trials, running.judged):
                log.info("Trial %d is stopped after epoch %d", trial.number + 1, len(trial.curve))
                running.stop()
            running.judged = len(trial.curve)

    def _collect(self) -> None:
        """Write down the trials whose processes have ended."""
        for running in [running for running in self._running if running.has_ended]:
            self._running.remove(running)
            (trial, reason), seconds = running.outcome(), running.seconds
            facts = {"seconds": round(seconds, 3), "reason": reason}
            self._study.end(trial, facts)
            running.folder.remove_checkpoints()
            self._tell(trial, seconds, reason)
            self._write()

    def _write(self) -> None:
        """Keep what is in the folder of the study in step with the trials."""
        trials = self._study.trials
        best = best_trial(trials, self._search.objective)
        if best is not None and best.number != self._kept:
            with self._folder(best).model.open("rb") as source, PendingFile(self._output / MODEL) as target:
                shutil.copyfileobj(source, target.stream)
            self._kept = best.number
        facts = [self._study.facts(each.number) for each in trials]
        write_results(self._output, self._search, trials, facts, self._hyperparameters)

    def _tell(self, trial: Trial, seconds: float, reason: str) -> None:
        best = best_trial(self._study.trials, self._search.objective)
        if trial.value is None:
            log.warning("Trial %d has failed: %s", trial.number + 1, " ".join(reason.split()))
            return
        leader = "none" if best is None else f"{best.value:.4f} of trial {best.number + 1}"
        log.info(
            "Trial %d: %s %.4f after %d epochs, %.0f s; the best is %s",
            trial.number + 1, self._search.objective.metric, trial.value, len(trial.curve), seconds, leader,
        )  # fmt: skip

    def _hopeless(self, trials: Sequence[Trial]) -> UserError:
        failed = [trial for trial in trials if trial.status == "Failed"]
        last = failed[-1]
        reason = self._study.facts(last.number).get("reason", "")
        return UserError(
            f"{len(failed)} trials have failed and none has succeeded; the last one:\n{reason}",
            where=str(self._folder(last).path),
        )

    def _folder(self, trial: Trial) -> TrialFolder:
        path = self._output / "trials" / f"{trial.number + 1:04d}"
        return TrialFolder(path, self._search.objective.metric)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what still runs; it stays in the study as running, so that it goes on when the study does."""
        for running in self._running:
            running.stop()
        deadline = time.monotonic() + STOP_SECONDS
        for running in self._running:
            running.wait(deadline)
