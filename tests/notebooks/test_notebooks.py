"""What Amazon's eight sample notebooks for the algorithm call, from their first cell to their last, with the SageMaker
SDK, boto3 and the AWS CLI against a control plane; only when asked (`make test-notebooks`), as the SDK needs an
environment of its own.

The scripts are ours. They make the calls of the notebooks in their order and with their members, on less data.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
from safetensors.torch import save

from imclass import models
from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.api.client_settings import write_metadata
from tests.models.hub_server import hub
from tests.notebooks.data import write_examples
from tests.sagemaker.control_plane.server import control_plane

PYTHON = os.environ.get("IMCLASS_NOTEBOOKS_PYTHON")
PHOTOS = os.environ.get("IMCLASS_NOTEBOOKS_PHOTOS")
FOLDER = Path(__file__).parent
SCRIPTS = (
    "fulltraining",
    "lst_format",
    "transfer_learning",
    "fulltraining_highlevel",
    "incremental_highlevel",
    "lst_format_highlevel",
    "transfer_highlevel",
    "multilabel_highlevel",
    "command_line",
)
NUM_LAYERS = 18
SECONDS = 1500

pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="IMCLASS_NOTEBOOKS_PYTHON does not name a Python that has the SageMaker SDK"),
    pytest.mark.timeout(SECONDS + 60),
]


@dataclass(frozen=True)
class Notebooks:
    """What scripts need.

    Attributes:
        environment: all of it.
        metadata: the file from which the SDK takes the role.
    """

    environment: dict[str, str]
    metadata: Path

    def run(self, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a script to its end in a folder."""
        assert PYTHON is not None
        command = [PYTHON, str(FOLDER / "launch.py"), str(FOLDER / "scripts" / f"{script}.py"), str(self.metadata)]
        return subprocess.run(
            command, env=self.environment, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )


@pytest.fixture(scope="module")
def hub_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the Hugging Face hub with random weights where the public ones would be."""
    network = models.build("resnet_v1", NUM_LAYERS, (3, 224, 224), 1000)
    models.initialise(network, torch.Generator().manual_seed(1))
    weights = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    home, public = tmp_path_factory.mktemp("hub"), models.PRETRAINED[NUM_LAYERS]
    with hub({f"{public.repository}/{public.filename}": weights}) as (endpoint, _):
        variables = {**os.environ, "HF_HOME": str(home), "HF_ENDPOINT": endpoint, "NO_PROXY": "*"}
        command = f"from imclass.models import download_pretrained; download_pretrained({NUM_LAYERS})"
        subprocess.run([sys.executable, "-c", command], env=variables, check=True, capture_output=True, timeout=120)
    return home


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory, hub_cache: Path) -> Iterator[Notebooks]:
    data = tmp_path_factory.mktemp("plane")
    examples = write_examples(data / "s3", None if PHOTOS is None else Path(PHOTOS))
    settings = {
        "num_layers": NUM_LAYERS,
        "image_shape": "3,40,40",
        "num_classes": examples.num_classes,
        "num_training_samples": examples.num_training_samples,
        "epochs": 1,
    }
    metadata = data / "metadata/resource-metadata.json"
    write_metadata(Account(), metadata)
    with control_plane(data, "--slots", "2", HF_HOME=str(hub_cache), HF_HUB_OFFLINE="1") as server:
        port = str(urlsplit(server.url).port)
        command = [sys.executable, "-m", "imclass", "control-plane", "env", "--port", port, "--data", str(data)]
        exports = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
        variables = dict(word.split("=", 1) for word in shlex.split(exports) if word != "export")
        environment = {"PATH": os.environ["PATH"], "HOME": str(data), "NOTEBOOK_SETTINGS": json.dumps(settings)}
        yield Notebooks(environment | variables, metadata)


@pytest.mark.parametrize("script", SCRIPTS)
def test_notebook(notebooks: Notebooks, script: str, tmp_path: Path) -> None:
    done = notebooks.run(script, tmp_path)
    assert done.returncode == 0, f"{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
