"""MLflow, with its own server in a process of its own."""

import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from imclass.errors import UserError
from imclass.training import train
from imclass.training.trackers.choosing import open_trackers
from imclass.training.trackers.tracking import Tracking, read_references
from tests.training.test_run import QUICK
from tests.training.trackers.mlflow_server import SILENT, Line, mlflow_server

DEADLINE = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of MLflow's server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with mlflow_server(tmp_path_factory.mktemp("mlflow"), port) as address:
        yield address


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**SILENT, "MLFLOW_EXPERIMENT_NAME": tmp_path.name}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def client(server: str, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """Asks the server, to which the variables lead."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    return MlflowClient(server)


@pytest.fixture
def line(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A line to the server that can be cut; the variables lead to it."""
    line = Line(int(server.rpartition(":")[2]))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", line.address)
    yield line
    line.cut()


def curve(client: MlflowClient, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run_id, name)]


def files(client: MlflowClient, run_id: str) -> list[str]:
    return sorted(file.path for file in client.list_artifacts(run_id))


def tell_epochs(tracking: Tracking, *epochs: int) -> None:
    for epoch in epochs:
        tracking.epoch(epoch, {"epoch": epoch, "validation_accuracy": epoch / 10})


def wait_for_failures(tracking: Tracking, number: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while tracking._senders[0].failures < number:
        assert time.monotonic() < deadline, "nothing has failed"
        time.sleep(0.01)


def test_a_run_and_its_continuation_are_one_record(
    client: MlflowClient, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for epochs in (2, 3):
        run = train(photos, output=tmp_path / "run1", hyperparameters={**QUICK, "epochs": epochs}, resume=epochs == 3,
                    trackers=["mlflow"], track_model=epochs == 3, device="cpu", threads=1)  # fmt: skip
    experiment = client.get_experiment_by_name(tmp_path.name)
    (recorded,) = client.search_runs([experiment.experiment_id])
    run_id = recorded.info.run_id
    assert read_references(run.output) == {"mlflow": run_id}
    assert (recorded.info.status, recorded.info.run_name) == ("FINISHED", "run1")
    for curve_name, name in (("train/loss", "train_loss"), ("validation/accuracy", "validation_accuracy")):
        assert curve(client, run_id, curve_name) == [(int(line["epoch"]), line[name]) for line in run.metrics]
    assert recorded.data.params == {**recorded.data.params, "learning_rate": "0.05", "num_layers": "8", "epochs": "2"}
    assert recorded.data.tags["imclass.resumed_with.epochs"] == "3"
    assert recorded.data.tags["imclass.train_samples"] == "58"
    assert recorded.data.metrics["best/validation_accuracy"] == run.best["validation_accuracy"]
    assert files(client, run_id) == ["metrics.jsonl", "model.tar.gz", "run.json"]
    told = client.download_artifacts(run_id, "metrics.jsonl", str(tmp_path))
    assert Path(told).read_text() == (run.output / "metrics.jsonl").read_text()
    printed = capsys.readouterr().out
    assert f"mlflow: {client.tracking_uri}/#/experiments/{experiment.experiment_id}/runs/{run_id}" in printed


def test_what_a_server_misses_while_it_is_away_is_sent_when_it_is_back(
    client: MlflowClient, line: Line, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Tracking(open_trackers(["mlflow"]), tmp_path) as tracking:
        tracking.start({}, {}, [], 0)
        tell_epochs(tracking, 0)
        line.cut()
        tell_epochs(tracking, 1)
        wait_for_failures(tracking, 1)
        line.join()
        tell_epochs(tracking, 2)
        tracking.complete("finished", {"epoch": 2})
    run_id = read_references(tmp_path)["mlflow"]
    assert curve(client, run_id, "validation/accuracy") == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert client.get_run(run_id).info.status == "FINISHED"
    (told,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told.startswith(f"mlflow does not record what it was told; the run goes on: {line.address}: ")


def test_a_server_that_dies_costs_its_record_and_no_more(
    client: MlflowClient, line: Line, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A record that is behind is completed when the run goes on with a server that answers."""
    with Tracking(open_trackers(["mlflow"]), tmp_path) as tracking:
        tracking.start({}, {}, [], 0)
        line.cut()
        tell_epochs(tracking, 0, 1)
        began = time.monotonic()
        tracking.complete("finished", {"epoch": 1})
    assert time.monotonic() - began < 10
    assert "mlflow has not recorded epochs 0 to 1 and the end of the run and its files" in caplog.text
    line.join()
    with Tracking(open_trackers(["mlflow"]), tmp_path, resumes=True) as tracking:
        done = [{"epoch": epoch, "validation_accuracy": epoch / 10} for epoch in range(2)]
        tracking.start({}, {}, done, 8)
        tell_epochs(tracking, 2)
        tracking.complete("interrupted", {"epoch": 2})
    run_id = read_references(tmp_path)["mlflow"]
    assert curve(client, run_id, "validation/accuracy") == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert client.get_run(run_id).info.status == "KILLED"


def test_a_run_goes_on_without_its_server(
    line: Line, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tell = Tracking.start

    def start_and_cut(tracking: Tracking, *arguments: object) -> None:
        tell(tracking, *arguments)  # type: ignore[arg-type]
        line.cut()

    monkeypatch.setattr(Tracking, "start", start_and_cut)
    run = train(photos, output=tmp_path, hyperparameters=QUICK, trackers=["mlflow"], device="cpu", threads=1)
    assert len(run.metrics) == 2
    assert run.model_path.exists()
    printed = capsys.readouterr().out
    assert printed.count("mlflow does not record what it was told; the run goes on") == 1
    assert "mlflow has not recorded epochs 0 to 1 and the end of the run and its files" in printed


def test_no_server_at_the_start_is_told_at_once(
    photos: Path, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port}")
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        train(photos, output=tmp_path / "out", hyperparameters=QUICK, trackers=["mlflow"], device="cpu", quiet=True)
    assert time.monotonic() - began < 10
    assert str(caught.value) == (
        f"http://127.0.0.1:{free_port}: MLflow's server cannot be used: Connection refused\n"
        "Start it (mlflow server), or set MLFLOW_TRACKING_URI to the address of one that runs."
    )
    assert not (tmp_path / "out").exists()


def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://x")
    with pytest.raises(UserError, match=r"nonsense://x: MLflow's server cannot be used: .*nonsense"):
        open_trackers(["mlflow"])


def test_a_server_that_never_answers_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(UserError, match="MLflow's server cannot be used: timed out"):
            open_trackers(["mlflow"])
    assert time.monotonic() - began < 10


def test_a_record_that_was_deleted_cannot_go_on(client: MlflowClient, tmp_path: Path) -> None:
    with Tracking(open_trackers(["mlflow"]), tmp_path) as tracking:
        tracking.start({}, {}, [], 0)
    run_id = read_references(tmp_path)["mlflow"]
    assert client.get_run(run_id).info.status == "KILLED", "nothing said how it ended"
    client.delete_run(run_id)
    with (
        pytest.raises(
            UserError, match=f"the run {run_id}, as which this one was recorded, cannot go on: it is deleted"
        ),
        Tracking(open_trackers(["mlflow"]), tmp_path, resumes=True) as tracking,
    ):
        tracking.start({}, {}, [], 0)


def test_the_experiment_must_not_be_deleted(client: MlflowClient, tmp_path: Path) -> None:
    number = client.create_experiment(tmp_path.name)
    client.delete_experiment(number)
    with pytest.raises(UserError, match=f"the experiment '{tmp_path.name}' is deleted"):
        open_trackers(["mlflow"])


def test_the_experiment_must_be_there(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "123456789")
    with pytest.raises(UserError, match="there is no experiment '123456789'\nMLFLOW_EXPERIMENT_ID is the number"):
        open_trackers(["mlflow"])
