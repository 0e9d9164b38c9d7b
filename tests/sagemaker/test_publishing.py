"""What a finished, interrupted or ended run leaves for the platform."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from imclass import artifact
from imclass.sagemaker.layout import Layout
from imclass.sagemaker.publishing import publish_model, publish_reports
from imclass.sagemaker.worker import run_job
from tests.conftest import save_random_model
from tests.sagemaker.job_folder import HYPERPARAMETERS, metrics

MakeJob = Callable[..., Layout]
OF_THE_ORIGINAL = {"image-classification-symbol.json", "model-shapes.json"}


def names(layout: Layout) -> set[str]:
    return {path.relative_to(layout.model).as_posix() for path in layout.model.rglob("*") if path.is_file()}


def test_the_original_s_files_when_asked_for(make_job: MakeJob) -> None:
    layout = make_job(hyperparameters={**HYPERPARAMETERS, "epochs": "1", "artifact_format": "mxnet"})
    run_job(layout)
    assert publish_model(layout)
    assert names(layout) == OF_THE_ORIGINAL | {"image-classification-0001.params"}
    assert artifact.load(layout.model)[0].num_classes == 3


def test_epochs_in_between_when_asked_for(make_job: MakeJob) -> None:
    layout = make_job(hyperparameters={**HYPERPARAMETERS, "epochs": "4", "checkpoint_frequency": "2"})
    run_job(layout)
    assert publish_model(layout)
    epochs = {f"checkpoints/epoch-{epoch:04d}.safetensors" for epoch in (2, 4)}
    assert names(layout) == {"model.json", "model.safetensors"} | epochs
    assert artifact.load(layout.model, epoch=2)[0].num_classes == 3


@pytest.mark.parametrize("artifact_format", ["imclass", "both"])
def test_a_run_that_was_ended_is_recovered_from_its_checkpoint(make_job: MakeJob, artifact_format: str) -> None:
    layout = make_job(hyperparameters={**HYPERPARAMETERS, "epochs": "2", "artifact_format": artifact_format})
    run_job(layout)
    written = artifact.load(layout.checkpoints / "model.tar.gz")
    (layout.checkpoints / "model.tar.gz").unlink()
    assert publish_model(layout, recovers=True)
    description, network = artifact.load(layout.model)
    assert description == written[0]
    state = written[1].state_dict()
    assert all((tensor == state[name]).all() for name, tensor in network.state_dict().items())
    assert (names(layout) >= OF_THE_ORIGINAL) == (artifact_format == "both")


def test_nothing_to_recover(make_job: MakeJob) -> None:
    layout = make_job()
    assert not publish_model(layout, recovers=True)
    assert not layout.model.exists()


def test_reports_of_a_run_that_has_just_begun(make_job: MakeJob) -> None:
    layout = make_job()
    publish_reports(layout)
    assert list(layout.output_data.iterdir()) == []
    assert metrics(layout) == []


def test_the_first_process_of_a_container_loads_no_pytorch(tmp_path: Path) -> None:
    """It would take seconds at the beginning and the end of each job, and memory in between."""
    layout = Layout(tmp_path)
    layout.checkpoints.mkdir(parents=True)
    save_random_model(layout.checkpoints).rename(layout.checkpoints / "model.tar.gz")
    program = (
        "import pathlib, sys\n"
        "from imclass.sagemaker import container, layout, supervision\n"
        "published = supervision.publish_model(layout.Layout(pathlib.Path(sys.argv[1])))\n"
        "print(published, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True False\n"
    assert names(layout) == {"model.json", "model.safetensors"}
