"""resourceconfig.json."""

import json
from pathlib import Path

import pytest

from imclass.errors import UserError
from imclass.sagemaker.cluster import Cluster, read_cluster


def write(folder: Path, content: object) -> Path:
    path = folder / "resourceconfig.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_example_of_the_contract(tmp_path: Path) -> None:
    config = {
        "current_host": "algo-2",
        "hosts": ["algo-1", "algo-3", "algo-2"],
        "network_interface_name": "eth1",
        "current_instance_type": "ml.p3.2xlarge",
    }
    cluster = read_cluster(write(tmp_path, config))
    assert cluster == Cluster("algo-2", ("algo-1", "algo-2", "algo-3"), "eth1")
    assert (cluster.leader, cluster.leads, cluster.is_alone, cluster.index) == ("algo-1", False, False, 1)


def test_one_host_is_alone_and_leads(tmp_path: Path) -> None:
    cluster = read_cluster(write(tmp_path, {"current_host": "algo-1", "hosts": ["algo-1"]}))
    assert (cluster.leads, cluster.is_alone, cluster.network_interface) == (True, True, None)


def test_addresses_of_hosts_that_nobody_resolves(tmp_path: Path) -> None:
    addresses = {"algo-1": "127.70.1.1", "algo-2": "127.70.1.2"}
    config = {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"], "addresses": addresses}
    assert read_cluster(write(tmp_path, config)).addresses == addresses
    assert read_cluster(write(tmp_path, {**config, "addresses": None})).addresses == {}
    assert [read_cluster(write(tmp_path, {**config, "port": port})).port for port in (29411, None)] == [29411, 29400]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"current_host": "algo-1", "hosts": []}, "hosts must be a list of names"),
        ({"current_host": "algo-1", "hosts": "algo-1"}, "hosts must be a list of names"),
        ({"current_host": "algo-1", "hosts": ["algo-1", 2]}, "hosts must be a list of names"),
        ({"current_host": "algo-3", "hosts": ["algo-1", "algo-2"]}, "'algo-3', which is not one of algo-1, algo-2"),
        ({"hosts": ["algo-1"]}, "current_host is None"),
        ({"current_host": "algo-1", "hosts": ["algo-1", "algo-1"]}, "names a host twice"),
        ({"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": 1}, "must be text"),
        ({"current_host": "algo-1", "hosts": ["algo-1"], "addresses": ["10.0.0.1"]}, "addresses must hold"),
        ({"current_host": "algo-1", "hosts": ["algo-1"], "addresses": {"algo-1": "10.0.0"}}, "addresses must hold"),
        ({"current_host": "algo-1", "hosts": ["algo-1"], "addresses": {"algo-1": 7}}, "addresses must hold"),
        ({"current_host": "algo-1", "hosts": ["algo-1"], "port": 70000}, "port must be a number"),
        ([], "not a JSON object"),
        ("{", "not JSON"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: object, said: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(UserError) as caught:
        read_cluster(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_cluster(tmp_path / "none.json")
