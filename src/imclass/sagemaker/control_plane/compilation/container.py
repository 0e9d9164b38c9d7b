"""A compilation job inside its process: a model becomes OpenVINO's program, which has to answer as the model does.

    python -m imclass.sagemaker.control_plane.contained compile PARENT

::

    FOLDER/compile.json            the order
    FOLDER/model.tar.gz            the model, a link
    FOLDER/compiled/compiled.xml   what came of it: the graph, with a description in it
    FOLDER/compiled/compiled.bin   its weights; the folder appears when both are complete
    FOLDER/ml/output/failure       why the job failed

The exit status is 2 for what the user can put right.
"""

import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from imclass.errors import UserError
from imclass.pending_file import PendingFile
from imclass.sagemaker.control_plane.jobs.failure_file import tell_failure
from imclass.sagemaker.endpoint import COMPILED_GRAPH
from imclass.sagemaker.layout import Layout

USERS = 2


@dataclass(frozen=True)
class CompilationOrder:
    """What is to be compiled.

    Attributes:
        target: for whom, for people.
        image_shape: (channels, height, width) that the model must have; None for whatever it has.
    """

    target: str
    image_shape: tuple[int, int, int] | None


@dataclass(frozen=True)
class CompilationFolder:
    """The paths of a compilation job."""

    root: Path

    @property
    def model_archive(self) -> Path:
        return self.root / "model.tar.gz"

    @property
    def unfinished(self) -> Path:
        return self.root / "unfinished"

    @property
    def compiled(self) -> Path:
        return self.root / "compiled"

    def write_order(self, order: CompilationOrder) -> None:
        with PendingFile(self._order) as file:
            file.write(json.dumps(asdict(order)).encode())

    def read_order(self) -> CompilationOrder:
        values = json.loads(self._order.read_bytes())
        shape = values["image_shape"]
        return CompilationOrder(values["target"], None if shape is None else (shape[0], shape[1], shape[2]))

    @property
    def _order(self) -> Path:
        return self.root / "compile.json"


def main() -> None:
    """Do the job whose folder is above that of the container, and end with its exit status."""
    layout = Layout.of(os.environ)
    folder = CompilationFolder(layout.root.parent)
    try:
        compile_model(folder)
    except UserError as error:
        tell_failure(layout, f"ClientError: {str(error).replace(f'{folder.root}{os.sep}', '')}")
        sys.exit(USERS)


def compile_model(folder: CompilationFolder) -> None:
    """Compile the model in a folder.

    Raises:
        UserError: it cannot be opened, has another shape, or OpenVINO is not installed.
    """
    from imclass.inference.conversion import convert

    order = folder.read_order()
    print(f"Compiling for {order.target} with OpenVINO", flush=True)
    shutil.rmtree(folder.unfinished, ignore_errors=True)
    folder.unfinished.mkdir()
    conversion = convert(
        folder.model_archive, folder.unfinished / COMPILED_GRAPH, "openvino", image_shape=order.image_shape
    )
    print(
        f"The compiled model answers as the original does: on {conversion.images} generated images, probabilities "
        f"differ by {conversion.largest_difference:.1e} at most",
        flush=True,
    )
    folder.unfinished.rename(folder.compiled)
