"""The processes that train on this host: started, asked to stop, and never left behind."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from imclass.errors import UserError
from imclass.sagemaker.cluster import Cluster
from imclass.sagemaker.failure import Failure
from imclass.sagemaker.roll_call import RollCall

log = logging.getLogger(__name__)

PROCESSES_VARIABLE = "IMCLASS_PROCESSES_PER_HOST"
STOPPED_EARLY = 128 + signal.SIGTERM
# How a process ends that SIGTERM reached before its run could answer it: by itself, or even before it could do that.
STOPPED_STATUSES = (STOPPED_EARLY, -signal.SIGTERM)


def processes_per_host(environment: Mapping[str, str], gpus: int) -> int:
    """How many processes train on this host: one a GPU, or one; `IMCLASS_PROCESSES_PER_HOST` says otherwise.

    Raises:
        UserError: it is no number, or more than there are GPUs.
    """
    text = environment.get(PROCESSES_VARIABLE, "").strip()
    if not text:
        return max(1, gpus)
    count = int(text) if text.isascii() and text.isdecimal() else 0
    if count < 1 or (gpus and count > gpus):
        most = f"1 to {gpus}, the number of GPUs" if gpus else "1 or more"
        raise UserError(f"{text!r} is not a number of processes, {most}", where=PROCESSES_VARIABLE)
    return count


def environment_of(rank: int, local_rank: int, processes: int, cluster: Cluster, call: RollCall) -> dict[str, str]:
    """What torch's process groups ask the environment of a process for."""
    interface = {} if cluster.is_alone else _interface(cluster)
    return {
        **os.environ,
        **interface,
        "RANK": str(rank),
        "WORLD_SIZE": str(processes * len(cluster.hosts)),
        "LOCAL_RANK": str(local_rank),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": call.address,
        "MASTER_PORT": str(call.port),
    }


def _interface(cluster: Cluster) -> dict[str, str]:
    """Keep gloo and NCCL to the interface that joins the hosts, unless they were told otherwise."""
    name = cluster.network_interface
    if name is None:
        return {}
    if name not in (known for _, known in socket.if_nameindex()):
        log.warning("There is no network interface %s, which resourceconfig.json names; gloo and NCCL choose one", name)
        return {}
    return {key: os.environ.get(key, name) for key in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")}


class Workers:
    """One process for each GPU of this host, or one; all are ended when the block ends.

    Args:
        reports: folder for a file of each process that fails.
    """

    def __init__(self, processes: int, cluster: Cluster, call: RollCall, reports: Path) -> None:
        self._reports = [reports / f"{local_rank}.json" for local_rank in range(processes)]
        first = cluster.index * processes
        self._environments = [
            environment_of(first + local_rank, local_rank, processes, cluster, call) for local_rank in range(processes)
        ]
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Workers":
        for report, environment in zip(self._reports, self._environments, strict=True):
            command = [sys.executable, "-m", "imclass.sagemaker.worker", str(report), str(os.getpid())]
            # A group of its own: Ctrl-C on a terminal reaches this process alone, which then asks the others to stop.
            self._processes.append(subprocess.Popen(command, env=environment, process_group=0))
        return self

    @property
    def are_done(self) -> bool:
        """Whether all processes have ended."""
        return all(process.poll() is not None for process in self._processes)

    @property
    def failures(self) -> list[Failure]:
        """Of the processes that have failed so far, why."""
        ended = [(process.poll(), report) for process, report in zip(self._processes, self._reports, strict=True)]
        return [_failure(status, report) for status, report in ended if status not in (None, 0, *STOPPED_STATUSES)]

    @property
    def stopped_early(self) -> bool:
        """Whether SIGTERM has ended a process that had not begun to train."""
        return any(process.poll() in STOPPED_STATUSES for process in self._processes)

    def ask_to_stop(self) -> None:
        """Let the processes finish their step, save, and end."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def _failure(status: int | None, report: Path) -> Failure:
    """Why a process failed: what it wrote, or what its exit status tells."""
    if report.exists():
        return Failure.from_dict(json.loads(report.read_bytes()))
    assert status is not None
    if status == -signal.SIGKILL:
        return Failure(
            "a training process was killed (SIGKILL), most likely because the memory of the machine ran out. "
            "Lower mini_batch_size, or take an instance with more memory."
        )
    how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    return Failure(f"a training process was {how} without saying why; the log may tell")
