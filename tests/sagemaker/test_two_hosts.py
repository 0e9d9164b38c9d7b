"""Two hosts as two network namespaces, each with its own address, joined by a switch in a third."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from imclass import artifact
from imclass.sagemaker.layout import Layout
from tests.sagemaker.job_folder import (
    DEADLINE,
    HYPERPARAMETERS,
    metrics,
    running,
    wait_for_epochs,
    write_config,
    write_job,
)

pytestmark = pytest.mark.timeout(900)  # four processes that import PyTorch, on perhaps two cores

HOSTS = {"algo-1": "10.213.7.1", "algo-2": "10.213.7.2"}
INTERFACE = "eth1"
SETTINGS = {**HYPERPARAMETERS, "mini_batch_size": "6", "kv_store": "dist_sync"}


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@dataclass(frozen=True)
class Network:
    """Namespaces of the hosts, and one with the switch."""

    prefix: str

    def namespace(self, host: str) -> str:
        return f"{self.prefix}-{host}"

    @property
    def switch(self) -> str:
        return f"{self.prefix}-switch"

    def build(self) -> None:
        ip("netns", "add", self.switch)
        ip("-n", self.switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", self.switch, "link", "set", "bridge", "up")
        for host, address in HOSTS.items():
            namespace = self.namespace(host)
            ip("netns", "add", namespace)
            ip("-n", self.switch, "link", "add", host, "type", "veth", "peer", "name", INTERFACE, "netns", namespace)
            ip("-n", self.switch, "link", "set", host, "master", "bridge", "up")
            ip("-n", namespace, "addr", "add", f"{address}/24", "dev", INTERFACE)
            ip("-n", namespace, "link", "set", INTERFACE, "up")
            ip("-n", namespace, "link", "set", "lo", "up")

    def name_hosts(self) -> None:
        """Let the names of the hosts become known: `ip netns exec` lays these files over /etc/hosts."""
        lines = ["127.0.0.1 localhost", *(f"{address} {host}" for host, address in HOSTS.items())]
        self._write_hosts("\n".join(lines) + "\n")

    def forget_names(self) -> None:
        self._write_hosts("127.0.0.1 localhost\n")

    def _write_hosts(self, text: str) -> None:
        for host in HOSTS:
            self.hosts_file(host).parent.mkdir(parents=True, exist_ok=True)
            self.hosts_file(host).write_text(text)

    def hosts_file(self, host: str) -> Path:
        return Path("/etc/netns") / self.namespace(host) / "hosts"

    def set_link(self, host: str, state: str) -> None:
        """Plug the cable of a host in ("up") or out ("down") at the switch: packets are lost, and nobody is told."""
        ip("-n", self.switch, "link", "set", host, state)

    def remove(self) -> None:
        for host in HOSTS:
            self.hosts_file(host).unlink(missing_ok=True)
            if self.hosts_file(host).parent.exists():
                self.hosts_file(host).parent.rmdir()
        for namespace in (self.switch, *map(self.namespace, HOSTS)):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)


@pytest.fixture
def network() -> Iterator[Network]:
    if os.geteuid() != 0:
        pytest.skip("only root may make network namespaces")
    network = Network(f"imclass-{os.getpid()}")
    try:
        try:
            network.build()
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            pytest.skip(f"network namespaces cannot be made here: {getattr(error, 'stderr', error)}")
        yield network
    finally:
        network.remove()


def write_jobs(folder: Path, settings: dict[str, str]) -> dict[str, Layout]:
    return {
        host: write_job(
            folder / host,
            hyperparameters=settings,
            hosts=tuple(HOSTS),
            current_host=host,
            network_interface_name=INTERFACE,
        )
        for host in HOSTS
    }


def start_all(stack: ExitStack, network: Network, layouts: dict[str, Layout]) -> dict[str, "subprocess.Popen[str]"]:
    return {
        host: stack.enter_context(running("train", layout, "ip", "netns", "exec", network.namespace(host)))
        for host, layout in layouts.items()
    }


def test_a_host_that_is_cut_off_fails_the_job_in_a_minute_and_a_restart_goes_on(
    network: Network, tmp_path: Path
) -> None:
    layouts = write_jobs(tmp_path, {**SETTINGS, "epochs": "2000"})
    network.forget_names()
    with ExitStack() as stack:
        processes = start_all(stack, network, layouts)
        time.sleep(1)
        network.name_hosts()
        wait_for_epochs(processes["algo-1"], layouts["algo-1"], 2)
        network.set_link("algo-2", "down")
        cut = time.monotonic()
        outputs = {host: process.communicate(timeout=DEADLINE)[0] for host, process in processes.items()}
        assert time.monotonic() - cut < 60
    for host, other in (("algo-1", "algo-2"), ("algo-2", "algo-1")):
        assert processes[host].returncode == 1, outputs[host]
        assert "Epoch[0] Validation-accuracy=" in outputs[host], "each host logs, as the original"
        reason = layouts[host].failure.read_text()
        assert reason.startswith(f"AlgorithmError: host {other} is lost: "), reason
        assert "goes on from the last checkpoint" in reason

    network.set_link("algo-2", "up")
    done = len(metrics(layouts["algo-1"]))
    for host, layout in layouts.items():
        layout.failure.unlink()
        write_config(
            layout.root,
            {**SETTINGS, "epochs": str(done + 1)},
            hosts=tuple(HOSTS),
            current_host=host,
            network_interface_name=INTERFACE,
        )
    with ExitStack() as stack:
        processes = start_all(stack, network, layouts)
        outputs = {host: process.communicate(timeout=DEADLINE)[0] for host, process in processes.items()}
    for host, process in processes.items():
        assert process.returncode == 0, outputs[host]
        assert "2 processes on 2 machines" in outputs[host]
        assert "Resuming after epoch" in outputs[host]
    assert len(metrics(layouts["algo-1"])) == done + 1
    assert artifact.read_description(layouts["algo-1"].model).num_classes == 3
    assert not layouts["algo-2"].model.exists(), "one host writes the model"


def test_all_hosts_tell_the_error_of_one(network: Network, tmp_path: Path) -> None:
    network.name_hosts()
    layouts = write_jobs(tmp_path, {**SETTINGS, "epochs": "2000"})
    records = layouts["algo-2"].channel("train")
    (records / "train.rec").unlink()
    (records / "train.idx").unlink()
    with ExitStack() as stack:
        processes = start_all(stack, network, layouts)
        outputs = {host: process.communicate(timeout=DEADLINE)[0] for host, process in processes.items()}
    for host, process in processes.items():
        assert process.returncode == 2, outputs[host]
        reason = layouts[host].failure.read_text()
        assert reason.startswith("ClientError: "), reason
        assert str(records) in reason, "the reason is that of algo-2, on both hosts"


def test_a_stop_of_one_host_stops_all(network: Network, tmp_path: Path) -> None:
    network.name_hosts()
    layouts = write_jobs(tmp_path, {**SETTINGS, "epochs": "2000"})
    with ExitStack() as stack:
        processes = start_all(stack, network, layouts)
        wait_for_epochs(processes["algo-1"], layouts["algo-1"], 1)
        # ip netns exec has become the container's process.
        processes["algo-2"].send_signal(signal.SIGTERM)
        outputs = {host: process.communicate(timeout=DEADLINE)[0] for host, process in processes.items()}
    assert [process.returncode for process in processes.values()] == [0, 0], outputs
    assert artifact.load(layouts["algo-1"].model)[0].epoch >= 1
