"""What a transform job is to do, and the folder in which it does it.

::

    FOLDER/transform.json      the order
    FOLDER/model.tar.gz        the model, a link
    FOLDER/input/00000012      object 12, a link
    FOLDER/results/00000012    the result of object 12, complete or not there
    FOLDER/ml/                 in place of /opt/ml

Objects have numbers here, because keys may be longer than names of files, and one may be a folder of another.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from imclass.data.json_path import EVERYTHING
from imclass.pending_file import PendingFile
from imclass.sagemaker.layout import Layout

ORDER_FILE = "transform.json"


@dataclass(frozen=True)
class TransformOrder:
    """What is to be done.

    Attributes:
        names: of the objects: keys relative to the prefix.
        places: of the objects, such as bucket/key, for messages.
        data_log: file of the stream that tells of objects.
        content_type, accept: headers of the requests; None for none.
        compression_type, split_type, assemble_with: as CreateTransformJob has them.
        max_concurrent_transforms, max_payload_in_mb: None for what the container says.
        invocations_timeout: seconds.
        invocations_max_retries: how often a request is repeated.
        input_filter, output_filter, join_source: as CreateTransformJob's DataProcessing has them.
    """

    names: Sequence[str]
    places: Sequence[str]
    data_log: str
    content_type: str | None = None
    accept: str | None = None
    compression_type: str = "None"
    split_type: str = "None"
    assemble_with: str = "None"
    max_concurrent_transforms: int | None = None
    max_payload_in_mb: int | None = None
    invocations_timeout: int = 600
    invocations_max_retries: int = 3
    input_filter: str = EVERYTHING
    output_filter: str = EVERYTHING
    join_source: str = "None"


@dataclass(frozen=True)
class TransformFolder:
    """The paths of a transform job."""

    root: Path

    @property
    def order(self) -> Path:
        return self.root / ORDER_FILE

    @property
    def model_archive(self) -> Path:
        return self.root / "model.tar.gz"

    @property
    def inputs(self) -> Path:
        return self.root / "input"

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def layout(self) -> Layout:
        return Layout(self.root / "ml")

    def input(self, number: int) -> Path:
        """The file of an object."""
        return self.inputs / f"{number:08d}"

    def result(self, number: int) -> Path:
        """The file of its result."""
        return self.results / f"{number:08d}"

    def write_order(self, order: TransformOrder) -> None:
        with PendingFile(self.order) as file:
            file.write(json.dumps(asdict(order)).encode())

    def read_order(self) -> TransformOrder:
        return TransformOrder(**json.loads(self.order.read_bytes()))
