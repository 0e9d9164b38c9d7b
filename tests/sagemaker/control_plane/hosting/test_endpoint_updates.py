"""Endpoints that change, and servers that end, while clients go on asking."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.control_plane.hosting.endpoints import (
    ask,
    create_config,
    create_endpoint,
    create_model,
    processes_of,
    variant,
    wait_for_processes,
    wait_for_status,
    wait_until,
    write_models,
)
from tests.sagemaker.control_plane.server import DEADLINE, Server, control_plane

pytestmark = pytest.mark.timeout(900)  # several processes that import PyTorch, on perhaps two cores


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("plane")
    write_models(data)
    with control_plane(data) as running:
        for name in ("three", "four"):
            create_model(running.client("sagemaker"), name, name)
            create_config(running.client("sagemaker"), name, variant(name))
        yield running
    assert processes_of(running) == []


PAUSE_SECONDS = 0.01
"""Between two requests of a client, which leaves the processes that start some of the machine."""


class Clients:
    """Ask an endpoint over and over."""

    def __init__(self, server: Server, name: str, count: int) -> None:
        self.answers: Counter[int] = Counter()
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(server.client("sagemaker-runtime"), name)) for _ in range(count)
        ]

    def _ask(self, runtime: Any, name: str) -> None:
        while not self._stop.is_set():
            try:
                self.answers[len(ask(runtime, name)[1])] += 1
            except Exception as error:  # noqa: BLE001  (whatever it is, the client has lost a request)
                self.failures.append(repr(error))
            time.sleep(PAUSE_SECONDS)

    @contextmanager
    def asking(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(DEADLINE)


def test_an_update_loses_no_request(server: Server, sagemaker: Any, runtime: Any) -> None:
    create_endpoint(sagemaker, "moved", "three")
    (old,) = processes_of(server, "moved")
    clients = Clients(server, "moved", 3)
    with clients.asking():
        sagemaker.update_endpoint(EndpointName="moved", EndpointConfigName="four")
        moving = sagemaker.describe_endpoint(EndpointName="moved")
        assert (moving["EndpointStatus"], moving["EndpointConfigName"]) == ("Updating", "three")
        assert moving["PendingDeploymentSummary"]["EndpointConfigName"] == "four"
        with pytest.raises(ClientError, match=r'Cannot update endpoint ".*endpoint/moved" in status Updating'):
            sagemaker.update_endpoint(EndpointName="moved", EndpointConfigName="three")
        moved = wait_for_status(sagemaker, "moved", "InService")
        assert len(ask(runtime, "moved")[1]) == 4
        (new,) = wait_for_processes(server, "moved", 1)
    assert clients.failures == []
    assert set(clients.answers) == {3, 4}
    assert moved["EndpointConfigName"] == "four"
    assert "PendingDeploymentSummary" not in moved
    assert new != old
    deadline = time.monotonic() + DEADLINE
    while len(list((server.data / "endpoints/moved").iterdir())) > 1:
        assert time.monotonic() < deadline, "the folder of the old deployment stays"
        time.sleep(0.05)


def test_a_failed_update_changes_nothing(server: Server, sagemaker: Any, runtime: Any) -> None:
    (server.data / "s3/bucket/models/bad.tar.gz").write_bytes(b"not an archive")
    create_model(sagemaker, "bad", ModelDataUrl="s3://bucket/models/bad.tar.gz")
    create_config(sagemaker, "bad", variant("bad"))
    create_endpoint(sagemaker, "steady", "three")
    processes = processes_of(server, "steady")
    sagemaker.update_endpoint(EndpointName="steady", EndpointConfigName="bad")
    after = wait_for_status(sagemaker, "steady", "InService")
    assert "not a gzip file" in after["FailureReason"]
    assert after["EndpointConfigName"] == "three"
    assert len(ask(runtime, "steady")[1]) == 3
    assert processes_of(server, "steady") == processes
    sagemaker.delete_endpoint(EndpointName="steady")


def test_variants_get_their_shares_exactly(server: Server, sagemaker: Any, runtime: Any) -> None:
    variants = [variant("three", "A", InitialVariantWeight=2), variant("four", "B", InitialVariantWeight=1)]
    create_config(sagemaker, "split", *variants, variant("three", "C", InitialVariantWeight=0))
    create_endpoint(sagemaker, "split", "split")
    answers = [ask(runtime, "split") for _ in range(30)]
    assert Counter(name for name, _ in answers) == {"A": 20, "B": 10}
    assert {(name, len(probabilities)) for name, probabilities in answers} == {("A", 3), ("B", 4)}
    assert ask(runtime, "split", TargetVariant="C")[0] == "C"
    with pytest.raises(ClientError, match="Endpoint split has no variant 'D'; it has A, B, C"):
        ask(runtime, "split", TargetVariant="D")
    sagemaker.delete_endpoint(EndpointName="split")


def test_weights_and_counts_change_without_a_new_process(server: Server, sagemaker: Any, runtime: Any) -> None:
    create_config(sagemaker, "scaled", variant("three", "A"), variant("four", "B"))
    create_endpoint(sagemaker, "scaled", "scaled")
    first = set(processes_of(server, "scaled"))
    clients = Clients(server, "scaled", 2)

    def change(**members: Any) -> dict[str, Any]:
        wanted = [{"VariantName": "A", **members}, {"VariantName": "B", "DesiredWeight": 0}]
        sagemaker.update_endpoint_weights_and_capacities(EndpointName="scaled", DesiredWeightsAndCapacities=wanted)
        return wait_for_status(sagemaker, "scaled", "InService")

    with clients.asking():
        summaries = change(DesiredInstanceCount=2, DesiredWeight=5)["ProductionVariants"]
        grown = set(wait_for_processes(server, "scaled", 3))
        assert first < grown
        change(DesiredInstanceCount=1)
        assert first == set(wait_for_processes(server, "scaled", 2))
    assert clients.failures == []
    assert [(each["CurrentWeight"], each["CurrentInstanceCount"]) for each in summaries] == [(5, 2), (0, 1)]
    assert {ask(runtime, "scaled")[0] for _ in range(5)} == {"A"}
    with pytest.raises(ClientError, match="has no variant 'Z'; it has A, B") as caught:
        sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="scaled",
            DesiredWeightsAndCapacities=[
                {"VariantName": "Z", "DesiredInstanceCount": 0},
                {"VariantName": "A", "DesiredWeight": 0},
            ],
        )
    assert "must be at least 1" in caught.value.response["Error"]["Message"]
    assert "At least one variant must have a weight above 0" in caught.value.response["Error"]["Message"]
    create_config(sagemaker, "scaled-four", variant("four", "A", count=2, InitialVariantWeight=7))
    sagemaker.update_endpoint(
        EndpointName="scaled",
        EndpointConfigName="scaled-four",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredInstanceCount"}],
    )
    (retained,) = wait_for_status(sagemaker, "scaled", "InService")["ProductionVariants"]
    assert (retained["CurrentWeight"], retained["DesiredInstanceCount"]) == (5, 2)
    sagemaker.delete_endpoint(EndpointName="scaled")


def test_other_ways_of_updating_are_refused(sagemaker: Any) -> None:
    canary = {
        "Type": "CANARY",
        "WaitIntervalInSeconds": 60,
        "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1},
    }
    with pytest.raises(ClientError, match="DeploymentConfig: this server starts the new instances"):
        sagemaker.create_endpoint(
            EndpointName="canary",
            EndpointConfigName="three",
            DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": canary}},
        )


def test_endpoints_come_back_after_a_kill(tmp_path: Path) -> None:
    write_models(tmp_path)
    with control_plane(tmp_path) as server:
        sagemaker = server.client("sagemaker")
        for name in ("three", "four"):
            create_model(sagemaker, name, name)
            create_config(sagemaker, name, variant(name))
        create_endpoint(sagemaker, "back", "three")
        create_endpoint(sagemaker, "moving", "three")
        sagemaker.update_endpoint(EndpointName="moving", EndpointConfigName="four")
        sagemaker.create_endpoint(EndpointName="coming", EndpointConfigName="four")
        create_endpoint(sagemaker, "going", "three")
        wait_for_status(sagemaker, "going", "InService")
        sagemaker.delete_endpoint(EndpointName="going")
        server.kill()
        wait_for_processes(server, "", 0)
    with control_plane(tmp_path) as server:
        sagemaker, runtime = server.client("sagemaker"), server.client("sagemaker-runtime")
        assert sagemaker.describe_endpoint(EndpointName="back")["EndpointStatus"] in ("OutOfService", "InService")
        sizes = {}
        for name in ("back", "moving", "coming"):
            wait_for_status(sagemaker, name, "InService")
            sizes[name] = len(ask(runtime, name)[1])
        assert sizes == {"back": 3, "moving": 4, "coming": 4}
        sagemaker.get_waiter("endpoint_deleted").wait(
            EndpointName="going", WaiterConfig={"Delay": 0.1, "MaxAttempts": 2400}
        )
        wait_for_processes(server, "", 3)
    assert processes_of(server) == []


def test_a_process_that_hangs_is_no_obstacle(server: Server, sagemaker: Any, runtime: Any) -> None:
    """The other instance answers; what was sent to the one that hangs is told when its time is over."""
    create_config(sagemaker, "pair", variant("three", count=2))
    create_endpoint(sagemaker, "pair", "pair")
    stuck, _ = processes_of(server, "pair")
    os.kill(stuck, signal.SIGSTOP)
    try:
        hanging = threading.Thread(target=lambda: ask(server.client("sagemaker-runtime"), "pair"), daemon=True)
        hanging.start()
        other = threading.Thread(target=lambda: ask(server.client("sagemaker-runtime"), "pair"), daemon=True)
        other.start()
        wait_until(sagemaker, "pair", lambda _: not (hanging.is_alive() and other.is_alive()))
        for _ in range(5):  # the instance with the fewest requests is never the one that hangs
            assert len(ask(runtime, "pair")[1]) == 3
    finally:
        os.kill(stuck, signal.SIGCONT)
    hanging.join(DEADLINE)
    other.join(DEADLINE)
    sagemaker.delete_endpoint(EndpointName="pair")
