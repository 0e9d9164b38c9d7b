"""How many processes a host gets, and what they find in their environment. test_training_job.py runs them."""

import socket

import pytest

from imclass.errors import UserError
from imclass.sagemaker.cluster import Cluster
from imclass.sagemaker.roll_call import RollCall
from imclass.sagemaker.workers import environment_of, processes_per_host


@pytest.mark.parametrize(("text", "gpus", "count"), [("", 0, 1), ("", 8, 8), ("2", 0, 2), (" 4 ", 8, 4)])
def test_one_process_a_gpu_unless_told_otherwise(text: str, gpus: int, count: int) -> None:
    assert processes_per_host({"IMCLASS_PROCESSES_PER_HOST": text}, gpus) == count


@pytest.mark.parametrize(("text", "gpus", "said"), [("two", 0, "1 or more"), ("0", 0, "1 or more"), ("9", 8, "1 to 8")])
def test_an_impossible_number_is_refused(text: str, gpus: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        processes_per_host({"IMCLASS_PROCESSES_PER_HOST": text}, gpus)


def test_a_process_finds_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "mine")
    call = RollCall()
    call.address, call.port = "10.0.0.1", 4242
    interface = socket.if_nameindex()[0][1]
    cluster = Cluster("algo-2", ("algo-1", "algo-2"), interface)
    environment = environment_of(11, 3, 8, cluster, call)
    place = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    assert [environment[name] for name in place] == ["11", "16", "3", "8", "10.0.0.1", "4242"]
    assert (environment["GLOO_SOCKET_IFNAME"], environment["NCCL_SOCKET_IFNAME"]) == (interface, "mine")


def test_an_interface_that_is_not_there_is_left_to_torch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    environment = environment_of(0, 0, 1, Cluster("a", ("a", "b"), "eth77"), RollCall())
    assert "GLOO_SOCKET_IFNAME" not in environment
    assert "no network interface eth77" in caplog.text
