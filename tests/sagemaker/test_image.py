"""The Dockerfile, and its steps in a clean virtual environment: no Docker engine is needed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imclass import artifact
from tests.sagemaker.job_folder import DEADLINE, metrics, write_job

ROOT = Path(__file__).parents[2]
INSTALL = "docker/install.sh /source /opt/imclass"
Instructions = list[tuple[str, str]]


def stages() -> dict[str, Instructions]:
    """The instructions of each stage of the Dockerfile, with continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    found: dict[str, Instructions] = {"": []}
    stage = ""
    for instruction, words in lines:
        if instruction == "FROM":
            stage = words.split(" AS ")[1]
            found[stage] = []
        found[stage].append((instruction, words))
    return found


def of_kind(instructions: Instructions, kind: str) -> list[str]:
    return [words for instruction, words in instructions if instruction == kind]


def copied(instructions: Instructions) -> list[str]:
    """What a stage takes from the repository."""
    copies = [words.split() for words in of_kind(instructions, "COPY") if not words.startswith("--from")]
    return [source for *sources, _ in copies for source in sources]


def test_the_build_is_the_install_script_and_nothing_else() -> None:
    assert of_kind(stages()["build"], "RUN") == [INSTALL]
    assert of_kind(stages()["installed"], "RUN") == []
    [compiler] = of_kind(stages()["sagemaker"], "RUN")
    assert re.fullmatch(r"apt-get update && apt-get install .* gcc libc6-dev && rm -rf /var/lib/apt/lists/\*", compiler)


def test_everything_that_is_copied_is_there_and_reaches_the_engine() -> None:
    names = {name for instructions in stages().values() for name in copied(instructions)}
    assert names >= {"src", "docker", "pyproject.toml", "constraints.txt"}
    assert [name for name in names if not (ROOT / name).exists()] == []
    let_in = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert {name.split("/")[0] for name in names} == set(let_in)


def test_the_platform_may_give_the_command_and_stop_it() -> None:
    found = stages()
    assert list(found)[-1] == "sagemaker", "the last stage is what docker build makes"
    for kind in ("ENTRYPOINT", "USER", "CMD"):
        assert of_kind(found["installed"] + found["sagemaker"], kind) == []


def test_serving_has_no_privilege_and_says_when_it_is_healthy() -> None:
    serving = stages()["serving"]
    assert of_kind(serving, "USER") == ["imclass"]
    assert of_kind(serving, "CMD") == ['["serve"]']
    assert of_kind(serving, "HEALTHCHECK")[0].endswith('CMD ["python", "/opt/imclass/healthcheck.py"]')


@pytest.mark.skipif(
    "IMCLASS_TEST_INSTALL" not in os.environ, reason="downloads PyTorch: make test-container, or IMCLASS_TEST_INSTALL=1"
)
@pytest.mark.timeout(3000)
def test_the_steps_of_the_build_make_an_environment_that_trains(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "imclass"
    source.mkdir()
    for name in copied(stages()["build"]):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    program, *arguments = INSTALL.replace("/source", str(source)).replace("/opt/imclass", str(target)).split()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run(
        [str(source / program), *arguments], cwd=source, env={**environment, "PYTHON": sys.executable}, check=True
    )
    shutil.rmtree(source)

    layout = write_job(tmp_path / "ml")
    container = {**environment, "PATH": f"{target}/bin:{environment['PATH']}", "SAGEMAKER_BASE_DIR": str(layout.root)}
    subprocess.run(["train"], env=container, check=True, timeout=DEADLINE, executable=target / "bin/train")
    assert len(metrics(layout)) == 3
    assert artifact.read_description(layout.model).num_classes == 3

    container["SAGEMAKER_BIND_TO_PORT"] = "18087"
    server = subprocess.Popen(["serve"], env=container, executable=target / "bin/serve")
    try:
        deadline = time.monotonic() + DEADLINE
        while not is_healthy(target, container):
            assert server.poll() is None
            assert time.monotonic() < deadline
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=DEADLINE)


def is_healthy(target: Path, environment: dict[str, str]) -> bool:
    command = [str(target / "bin/python"), str(ROOT / "docker/healthcheck.py")]
    return subprocess.run(command, env=environment, check=False, timeout=DEADLINE).returncode == 0
