"""Tuning jobs at work: one thread for each, which starts training jobs, stops the poor ones, and knows when to end.

What a tuning job has done is in the state at any moment: a trial is written down before its training job is made, so
that after a restart each trial has one training job, and no more.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.jobs.failure_reasons import OUR_FAULT
from imclass.sagemaker.control_plane.store.log_files import LogFolder
from imclass.sagemaker.control_plane.store.state import Document, MissingError, State
from imclass.sagemaker.control_plane.training.documents import ACTIVE as ACTIVE_TRAINING
from imclass.sagemaker.control_plane.training.documents import IN_PROGRESS, ask_to_stop, new_document
from imclass.sagemaker.control_plane.training.documents import KIND as TRAINING
from imclass.sagemaker.control_plane.training.metric_curves import MetricCurve
from imclass.sagemaker.control_plane.training.metrics import LOG_GROUP
from imclass.sagemaker.control_plane.training.requests import completed
from imclass.sagemaker.control_plane.training.runs import TrainingRuns
from imclass.sagemaker.control_plane.tuning.documents import (
    ACTIVE,
    KIND,
    STOPPING,
    deleted_job,
    end,
    new_trial,
    not_improving,
    objective_of,
    own_best,
    summary_of,
    training_request,
    value_of,
)
from imclass.sagemaker.control_plane.tuning.requests import most_training_jobs, parents, searches
from imclass.tuning.search import Search
from imclass.tuning.stopping import should_stop
from imclass.tuning.trials import GIVE_UP_AFTER, Trial, TrialStatus, is_hopeless

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 0.2
JOIN_SECONDS = 30.0
GIVEN_UP = (
    f"No training job succeeded after {GIVE_UP_AFTER} attempts. Please take a look at the training job failures to get "
    "more details."
)
ALL_FAILED = "All training jobs failed. Please take a look at the training job failures to get more details."
STATUSES: dict[str, TrialStatus] = {"Completed": "Completed", "Stopped": "Stopped", "Failed": "Failed"}


@dataclass(frozen=True)
class TuningPlaces:
    """What all tuning jobs share."""

    state: State
    logs: LogFolder
    account: Account
    training_runs: TrainingRuns


class TuningRun:
    """One tuning job, to its end.

    Args:
        closing: set when the server ends.
    """

    def __init__(self, name: str, places: TuningPlaces, closing: threading.Event) -> None:
        self._name = name
        self._places = places
        self._closing = closing
        self._curves: dict[str, MetricCurve] = {}
        self._judged: dict[str, int] = {}

    def run(self) -> None:
        """Bring the job to its end, whatever happens; for a thread."""
        try:
            self._make_missing_jobs()
            while not self._has_ended():
                if self._closing.wait(LOOK_AGAIN_SECONDS):
                    return
        except Exception:
            log.exception("The tuning job %s cannot be run", self._name)
            self._stop_jobs()
            with self._places.state.changing(KIND, self._name) as document:
                document["ending"] = {"status": "Failed", "reason": OUR_FAULT}
                end(document)

    def _has_ended(self) -> bool:
        """Go one step on; True at the end."""
        self._collect()
        document = self._document
        if "ending" not in document and (ending := self._ending(document)) is not None:
            with self._places.state.changing(KIND, self._name) as document:
                document["ending"] = ending
        running = [trial for trial in document["trials"] if "summary" not in trial]
        if "ending" in document:
            self._stop_jobs()
            if not running:
                with self._places.state.changing(KIND, self._name) as document:
                    end(document)
            return not running
        self._stop_poor_jobs(document)
        self._start_jobs(document, len(running))
        return False

    def _ending(self, document: Document) -> dict[str, str] | None:
        """How the job ends, if it starts no more training jobs; those that still run are stopped then."""
        if document["status"] == STOPPING:
            return {"status": "Stopped"}
        trials = document["trials"]
        ended = [trial for trial in trials if "summary" in trial]
        best = own_best(document)
        if is_hopeless([_trial(number, trial) for number, trial in enumerate(ended)]):
            return {"status": "Failed", "reason": GIVEN_UP}
        if len(ended) == most_training_jobs(document):
            return {"status": "Completed"} if best is not None else {"status": "Failed", "reason": ALL_FAILED}
        config = document["HyperParameterTuningJobConfig"]
        if time.time() - document["CreationTime"] > config["ResourceLimits"].get("MaxRuntimeInSeconds", float("inf")):
            return {"status": "Completed" if best is not None else "Stopped"}
        criteria = config.get("TuningJobCompletionCriteria", {})
        return {"status": "Completed"} if best is not None and _is_enough(document, best, criteria) else None

    def _collect(self) -> None:
        """Write down how training jobs have ended."""
        for number, trial in enumerate(self._document["trials"]):
            if "summary" in trial:
                continue
            job = self._job(trial["name"]) or deleted_job(
                trial["name"], self._places.account.arn(TRAINING, trial["name"])
            )
            if job["status"] in ACTIVE_TRAINING:
                continue
            curve = self._curve(job)
            with self._places.state.changing(KIND, self._name) as document:
                document["trials"][number] |= {"summary": summary_of(document, trial, job), "curve": list(curve)}

    def _start_jobs(self, document: Document, running: int) -> None:
        """Start as many training jobs as may run."""
        # Optuna takes half a second to import, which a server without tuning jobs need not spend.
        from imclass.tuning.proposals import propose

        limits = document["HyperParameterTuningJobConfig"]["ResourceLimits"]
        found, most = searches(document), most_training_jobs(document)
        while running < limits["MaxParallelTrainingJobs"] and len(document["trials"]) < most:
            definition = _next_definition(document["trials"], found)
            own = self._trials(document, definition)
            values = propose(found[definition], [*self._earlier(document), *own], len(own))
            with self._places.state.changing(KIND, self._name) as document:
                if document["status"] == STOPPING:
                    return
                document["trials"].append(new_trial(document, definition, values))
            self._make_job(document, document["trials"][-1])
            running += 1

    def _make_missing_jobs(self) -> None:
        """Make the training jobs of trials that were written down when the server ended."""
        document = self._document
        for trial in document["trials"]:
            if "summary" not in trial and self._job(trial["name"]) is None:
                self._make_job(document, trial)

    def _make_job(self, document: Document, trial: Mapping[str, Any]) -> None:
        name = trial["name"]
        arn = self._places.account.arn(TRAINING, name)
        made = new_document(completed(training_request(document, trial)), arn)
        made["TuningJobArn"] = document["HyperParameterTuningJobArn"]
        tags = self._places.state.tags(made["TuningJobArn"])
        self._places.state.add(TRAINING, name, arn, IN_PROGRESS, made, tags)
        self._places.training_runs.start(name)

    def _stop_poor_jobs(self, document: Document) -> None:
        """Stop training jobs that are not worth their time."""
        for definition, search in enumerate(searches(document)):
            names = [trial["name"] for trial in document["trials"] if trial["definition"] == definition]
            trials = self._trials(document, definition)
            for name, trial in zip(names, trials, strict=True):
                if not trial.has_ended and should_stop(search, trial, trials, self._judged.get(name, 0)):
                    self._stop_job(name)
                self._judged[name] = len(trial.curve)

    def _stop_jobs(self) -> None:
        for trial in self._document["trials"]:
            if "summary" not in trial:
                self._stop_job(trial["name"])

    def _stop_job(self, name: str) -> None:
        with suppress(MissingError):
            with self._places.state.changing(TRAINING, name) as job:
                is_asked = ask_to_stop(job)
            if is_asked:
                self._places.training_runs.stop(name)

    def _trials(self, document: Document, definition: int) -> list[Trial]:
        """The trials of a definition, those that run with what they have reached."""
        own = [trial for trial in document["trials"] if trial["definition"] == definition]
        return [
            _trial(number, trial, () if "summary" in trial else self._running_curve(trial["name"]))
            for number, trial in enumerate(own)
        ]

    def _earlier(self, document: Document) -> list[Trial]:
        """What the tuning jobs have found from which this one starts."""
        found: list[Trial] = []
        for name in parents(document):
            with suppress(MissingError):  # deleted meanwhile
                trials = self._places.state.get(KIND, name)["trials"]
                found += [_trial(len(found) + number, trial) for number, trial in enumerate(trials)]
        return found

    def _running_curve(self, name: str) -> tuple[float, ...]:
        job = self._job(name)
        return () if job is None else self._curve(job)

    def _curve(self, job: Document) -> tuple[float, ...]:
        """The objective of a training job after each epoch so far."""
        if "logStream" not in job:
            return ()
        file = self._places.logs.file(LOG_GROUP, job["logStream"])
        assert file is not None
        name = job["TrainingJobName"]
        if name not in self._curves:
            self._curves[name] = MetricCurve(objective_of(self._document).metric)
        return self._curves[name].read(file)

    def _job(self, name: str) -> Document | None:
        try:
            return self._places.state.get(TRAINING, name)
        except MissingError:
            return None

    @property
    def _document(self) -> Document:
        return self._places.state.get(KIND, self._name)


def _trial(number: int, trial: Mapping[str, Any], running_curve: tuple[float, ...] = ()) -> Trial:
    if "summary" not in trial:
        return Trial(number, trial["values"], curve=running_curve)
    summary = trial["summary"]
    status = STATUSES[summary["TrainingJobStatus"]]
    return Trial(number, trial["values"], status, tuple(trial["curve"]), value_of(summary))


def _next_definition(trials: Sequence[Mapping[str, Any]], found: Sequence[Search]) -> int:
    """The definition with the fewest trials so far that has some left."""
    counts = [sum(trial["definition"] == number for trial in trials) for number in range(len(found))]
    left = [number for number, search in enumerate(found) if counts[number] < search.trials]
    return min(left, key=lambda number: counts[number])


def _is_enough(document: Document, best: Mapping[str, Any], criteria: Mapping[str, Any]) -> bool:
    """Whether a completion criterion is met."""
    objective, value = objective_of(document), value_of(best)
    assert value is not None
    target = criteria.get("TargetObjectiveMetricValue")
    if target is not None and objective.score(value) >= objective.score(target):
        return True
    patience = criteria.get("BestObjectiveNotImproving", {}).get("MaxNumberOfTrainingJobsNotImproving")
    return patience is not None and not_improving(document) >= patience


class TuningRuns:
    """All tuning jobs at work."""

    def __init__(self, places: TuningPlaces) -> None:
        self._places = places
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}

    def start(self, name: str) -> None:
        """Put a job that is in the state to work."""
        run = TuningRun(name, self._places, self._closing)
        thread = threading.Thread(target=self._work, args=(name, run), name=f"tuning-job {name}")
        with self._lock:
            self._threads[name] = thread
        thread.start()

    def _work(self, name: str, run: TuningRun) -> None:
        try:
            run.run()
        finally:
            with self._lock:
                del self._threads[name]

    def resume(self) -> None:
        """Go on with the jobs that were at work when the server ended; their training jobs are at work again."""
        for status in ACTIVE:
            for document in self._places.state.of_status(KIND, status):
                self.start(document["HyperParameterTuningJobName"])

    def close(self) -> None:
        """Leave the jobs to the next server."""
        self._closing.set()
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(JOIN_SECONDS)
