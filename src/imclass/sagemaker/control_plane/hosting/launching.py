"""How the process of an instance is started: its folder, its environment, its share of the machine."""

import os
import secrets
import shlex
from pathlib import Path

from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.hosting.deployment import Variant
from imclass.sagemaker.control_plane.hosting.serving_process import ServingProcess
from imclass.sagemaker.control_plane.jobs.folder import container_environment
from imclass.sagemaker.control_plane.jobs.server_process import REACH
from imclass.sagemaker.control_plane.jobs.slots import gpu_count
from imclass.sagemaker.endpoint import OPTIONS_VARIABLE
from imclass.sagemaker.layout import Layout

TOKEN = "token"


def launch(
    variant: Variant, *, folder: Path, model: Path, log_file: Path, account: Account, number: int, count: int
) -> ServingProcess:
    """Start a process; one that was started in this folder before has ended.

    Args:
        folder: of the instance; made when missing.
        model: the folder of the model, which no instance writes to.
        number, count: which of how many instances of the endpoint this is, from 0; they share cores and GPUs.
    """
    layout = Layout(folder / "ml")
    layout.root.mkdir(parents=True, exist_ok=True)
    if not layout.model.is_symlink():
        layout.model.symlink_to(model)
    token = secrets.token_urlsafe(24)
    token_file = folder / TOKEN
    token_file.unlink(missing_ok=True)
    with open(os.open(token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
        file.write(token)
    return ServingProcess(environment_of(variant, layout, token_file, account, number, count), log_file, token)


def environment_of(
    variant: Variant, layout: Layout, token_file: Path, account: Account, number: int, count: int
) -> dict[str, str]:
    """The environment of an instance's process; none of the server's secrets are in it.

    The variables of the model win over those of the machine. Its options of `imclass serve` too, except for those that
    say who can reach the process.
    """
    threads = max(1, len(os.sched_getaffinity(0)) // count)
    gpus = gpu_count()
    reach = [*REACH, "--token-file", str(token_file)]
    share = {"OMP_NUM_THREADS": str(threads)} | ({"CUDA_VISIBLE_DEVICES": str(number % gpus)} if gpus else {})
    options = f"--threads {threads} {variant.environment.get(OPTIONS_VARIABLE, '')} {shlex.join(reach)}"
    return container_environment({**variant.environment, OPTIONS_VARIABLE: options}, share, layout, account)
