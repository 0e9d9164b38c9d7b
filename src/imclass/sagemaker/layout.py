"""Where a SageMaker container finds its input and leaves its output.

::

    /opt/ml/input/config/hyperparameters.json     in    flat JSON object of strings
    /opt/ml/input/config/inputdataconfig.json     in    settings of each channel
    /opt/ml/input/config/resourceconfig.json      in    the hosts of the job
    /opt/ml/input/data/CHANNEL/                   in    File and FastFile mode
    /opt/ml/input/data/CHANNEL_N                  in    Pipe mode, the FIFO of epoch N
    /opt/ml/model/                                out   becomes model.tar.gz
    /opt/ml/output/data/                          out   becomes output.tar.gz
    /opt/ml/output/failure                        out   why the job failed
    /opt/ml/checkpoints/                          both  kept in step with storage while the job runs
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/opt/ml")
ROOT_VARIABLE = "SAGEMAKER_BASE_DIR"


@dataclass(frozen=True)
class Layout:
    """The paths of the contract below `root`."""

    root: Path = ROOT

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Layout":
        """Below `SAGEMAKER_BASE_DIR` when that is set, else below /opt/ml."""
        return cls(Path(environment.get(ROOT_VARIABLE) or ROOT).absolute())

    @property
    def hyperparameters(self) -> Path:
        return self.root / "input/config/hyperparameters.json"

    @property
    def input_data_config(self) -> Path:
        return self.root / "input/config/inputdataconfig.json"

    @property
    def resource_config(self) -> Path:
        return self.root / "input/config/resourceconfig.json"

    def channel(self, name: str) -> Path:
        """The folder of a channel, or what the names of its FIFOs begin with."""
        return self.root / "input/data" / name

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def output_data(self) -> Path:
        return self.root / "output/data"

    @property
    def failure(self) -> Path:
        return self.root / "output/failure"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"
