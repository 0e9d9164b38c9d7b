"""MLflow: parameters, curves and files on a tracking server.

Where that is comes from MLflow's own variables: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, MLFLOW_TRACKING_TOKEN and
so on. Its client is used and not its fluent functions, so that a run of the caller's own is left alone.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec

from imclass.errors import UserError
from imclass.training.trackers.choosing import not_installed
from imclass.training.trackers.tracker import Ending, Metrics, Status, TrackedRun

log = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")

EXPERIMENT = "imclass"
METRICS_OF_A_REQUEST, PARAMETERS_OF_A_REQUEST = 1000, 100  # the most that a server takes
# MLflow asks again for minutes when a server does not answer. Here what it has missed is offered again later.
RETRIES = 0
ANSWER_SECONDS, UPLOAD_SECONDS = 10, 120
STATUS: Mapping[Status, str] = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
A_CURVE_OF_EVERY_EPOCH = "validation/accuracy"


class MlflowTracker:
    """Records a run on MLflow's tracking server.

    Raises:
        UserError: MLflow is not installed, or its server does not answer.
    """

    def __init__(self) -> None:
        try:
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient, get_tracking_uri
        except ImportError as error:
            raise not_installed("mlflow", "mlflow-skinny") from error
        self._refusal: type[Exception] = MlflowException
        self._run_id = ""
        self._uri = get_tracking_uri()
        try:
            with _patience():
                self._client = MlflowClient(self._uri)
                self._experiment_id = self._experiment()
        except MlflowException as error:
            raise self._unusable(error) from error

    def _experiment(self) -> str:
        """The number of the experiment that the variables name, made if there is none of that name."""
        if number := os.environ.get("MLFLOW_EXPERIMENT_ID"):
            return self._experiment_of(number)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return self._client.create_experiment(name)
            except self._refusal:  # another run has made it meanwhile, or the question is refused as well
                found = self._client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            raise UserError(
                f"the experiment {name!r} is deleted",
                where=self._uri,
                fix="Restore it in MLflow, or choose another one: MLFLOW_EXPERIMENT_NAME=NAME.",
            )
        return str(found.experiment_id)

    def _experiment_of(self, number: str) -> str:
        try:
            return str(self._client.get_experiment(number).experiment_id)
        except self._refusal as error:
            if getattr(error, "error_code", "") != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise UserError(
                f"there is no experiment {number!r}",
                where=self._uri,
                fix="MLFLOW_EXPERIMENT_ID is the number of one. MLFLOW_EXPERIMENT_NAME=NAME makes one that is missing.",
            ) from error

    def _unusable(self, error: Exception) -> UserError:
        return UserError(
            f"MLflow's server cannot be used: {_root(error)}",
            where=self._uri,
            fix="Start it (mlflow server), or set MLFLOW_TRACKING_URI to the address of one that runs.",
        )

    def start(self, run: TrackedRun) -> str:
        try:
            with _patience():
                self._begin(run)
                self._describe(run)
                self._catch_up(run.epochs)
        except self._refusal as error:
            raise self._unusable(error) from error
        log.info("mlflow: %s", self._address())
        return self._run_id

    def _begin(self, run: TrackedRun) -> None:
        if run.reference is None:
            tags = {"mlflow.source.name": "imclass train"}
            created = self._client.create_run(self._experiment_id, run_name=run.name, tags=tags)
            self._run_id = created.info.run_id
            return
        try:
            found = self._client.get_run(run.reference).info
        except self._refusal as error:
            raise self._gone(run, _root(error)) from error
        if found.lifecycle_stage != "active":
            raise self._gone(run, "it is deleted")
        self._run_id, self._experiment_id = found.run_id, found.experiment_id
        self._client.update_run(self._run_id, status="RUNNING")

    def _gone(self, run: TrackedRun, reason: str) -> UserError:
        return UserError(
            f"the run {run.reference}, as which this one was recorded, cannot go on: {reason}",
            where=self._uri,
            fix=f"Set MLFLOW_TRACKING_URI as it was, or delete {run.output / 'trackers.json'} to record a new run.",
        )

    def _describe(self, run: TrackedRun) -> None:
        """Send hyperparameters and facts. A parameter cannot change, so what differs in a run that goes on is a tag."""
        from mlflow.entities import Param, RunTag

        known = self._client.get_run(self._run_id).data.params
        tags = {f"imclass.{name}": value for name, value in run.facts.items()}
        if run.group is not None:
            tags["imclass.group"] = run.group
        new = {name: value for name, value in run.hyperparameters.items() if name not in known}
        tags |= {
            f"imclass.resumed_with.{name}": value
            for name, value in run.hyperparameters.items()
            if known.get(name, value) != value
        }
        self._client.log_batch(self._run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        for some in _parts(list(new.items()), PARAMETERS_OF_A_REQUEST):
            self._client.log_batch(self._run_id, params=[Param(name, value) for name, value in some])

    def _catch_up(self, epochs: Sequence[Metrics]) -> None:
        """Send the epochs that the server missed before the run was interrupted."""
        if not epochs:
            return
        known = {point.step for point in self._client.get_metric_history(self._run_id, A_CURVE_OF_EVERY_EPOCH)}
        self._log([(epoch, metrics) for epoch, metrics in enumerate(epochs) if epoch not in known])

    def _address(self) -> str:
        uri = self._uri
        if not uri.startswith("http"):
            return f"run {self._run_id} in {uri}"
        return f"{uri.rstrip('/')}/#/experiments/{self._experiment_id}/runs/{self._run_id}"

    def batches(self, points: Sequence[tuple[int, Metrics]]) -> None:
        self._ask(self._log, points)

    def epoch(self, epoch: int, metrics: Metrics) -> None:
        self._ask(self._log, [(epoch, metrics)])

    def _log(self, points: Sequence[tuple[int, Metrics]]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for step, values in points for name, value in values.items()]
        for some in _parts(metrics, METRICS_OF_A_REQUEST):
            self._client.log_batch(self._run_id, metrics=some)

    def end(self, ending: Ending) -> None:
        if ending.best:
            self._ask(self._log, [(0, ending.best)])
        try:
            for path in ending.files:
                with _patience(UPLOAD_SECONDS):
                    self._client.log_artifact(self._run_id, str(path))
        finally:
            self._ask(self._client.set_terminated, self._run_id, STATUS[ending.status])

    def _ask(self, question: Callable[Arguments, object], *arguments: Arguments.args, **rest: Arguments.kwargs) -> None:
        """Ask the server, without much patience.

        Raises:
            ConnectionError: it does not answer, or it refuses.
        """
        try:
            with _patience():
                question(*arguments, **rest)
        except self._refusal as error:
            raise ConnectionError(f"{self._uri}: {_root(error)}") from error


@contextmanager
def _patience(seconds: int = ANSWER_SECONDS) -> Iterator[None]:
    """A deadline for requests, where the user has set none; MLflow knows no other way to set it. It prints nothing."""
    settings = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(RETRIES),
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }
    ours = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


def _root(error: BaseException) -> str:
    """What is wrong, without the many exceptions of HTTP clients around it: `Connection refused`."""
    bottom = error
    while (inner := _within(bottom)) is not None:
        bottom = inner
    if isinstance(bottom, OSError):
        return bottom.strerror or str(bottom)
    return str(error).partition("\n")[0]


def _within(error: BaseException) -> BaseException | None:
    """The exception that led to another one; requests and urllib3 keep it in arguments or as `reason`."""
    places = (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args)
    return next((one for one in places if isinstance(one, BaseException)), None)


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
