"""Transform jobs at work: what they get, and where their results go."""

import os
import time
from collections.abc import Mapping
from typing import ClassVar

from imclass.errors import UserError
from imclass.sagemaker.control_plane.hosting.served_models import ServedModel, data_of
from imclass.sagemaker.control_plane.jobs.kept_runs import Ending, KeptRun
from imclass.sagemaker.control_plane.store.buckets import Place, link, link_objects
from imclass.sagemaker.control_plane.store.state import Document
from imclass.sagemaker.control_plane.transform.container.order import TransformFolder
from imclass.sagemaker.control_plane.transform.documents import ACTIVE, KIND
from imclass.sagemaker.control_plane.transform.objects import objects_of
from imclass.sagemaker.control_plane.transform.requests import order_of

LONGEST_SECONDS = 28 * 24 * 3600
"""That a transform job may take, as AWS has it."""
OUT = ".out"
DATA_LOG = "data-log"


class TransformRun(KeptRun):
    """One transform job."""

    kind = KIND
    name_member = "TransformJobName"
    command = "transform"
    log_group = "/aws/sagemaker/TransformJobs"
    active = ACTIVE
    endings: ClassVar[Mapping[Ending, str]] = {"completed": "Completed", "failed": "Failed", "stopped": "Stopped"}
    end_member = "TransformEndTime"

    def prepare(self, document: Document) -> None:
        """As `KeptRun.prepare`."""
        model, folder = ServedModel(**document["model"]), self._transform_folder
        objects = objects_of(document["TransformInput"]["DataSource"]["S3DataSource"], self.places.buckets)
        found = data_of(model, self.places.buckets)
        if not found:
            raise UserError("there is no model data any more", where=model.data)
        if model.is_archive:
            link(found[0].file, folder.model_archive)
        else:
            link_objects(found, Place.of(model.data).key, folder.layout.model)
        for number, each in enumerate(objects):
            link(each.source.file, folder.input(number))
        data_log = self.places.logs.file(self.log_group, f"{document['logStream']}/{DATA_LOG}")
        folder.write_order(order_of(document, objects, str(data_log)))

    def begin(self, document: Document) -> Mapping[str, str]:
        """As `KeptRun.begin`."""
        document["TransformStartTime"] = time.time()
        return {
            **document["model"]["environment"],
            **document.get("Environment", {}),
            **batch_variables(document),
            "TRANSFORM_JOB_NAME": document["TransformJobName"],
            "TRANSFORM_JOB_ARN": document["TransformJobArn"],
        }

    def bring(self, document: Document) -> None:
        """As `KeptRun.bring`: each result that is complete becomes an object."""
        folder = self._transform_folder
        if not folder.results.is_dir():
            return
        numbers = sorted(int(entry.name) for entry in os.scandir(folder.results) if entry.name.isdecimal())
        if not numbers:
            return
        names = folder.read_order().names
        place = Place.of(document["TransformOutput"]["S3OutputPath"])
        for number in numbers:
            self.places.buckets.put(folder.result(number), place.below(f"{names[number]}{OUT}"))
            folder.result(number).unlink()

    def deadline(self, document: Document) -> float:
        """As `KeptRun.deadline`."""
        return time.time() + LONGEST_SECONDS

    @property
    def _transform_folder(self) -> TransformFolder:
        return TransformFolder(self.folder)


def batch_variables(document: Document) -> dict[str, str]:
    """What tells a container of batch transform: what the job says, and nothing of what it leaves to the container."""
    variables = {"SAGEMAKER_BATCH": "true", "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD"}
    names = {
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "MaxPayloadInMB",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "MaxConcurrentTransforms",
    }
    return variables | {name: str(document[member]) for name, member in names.items() if member in document}
