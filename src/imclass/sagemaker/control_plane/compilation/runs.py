"""Compilation jobs at work: what they get, and where the compiled model goes."""

import shutil
import time
from collections.abc import Mapping
from typing import ClassVar

from imclass.errors import UserError
from imclass.sagemaker.control_plane.compilation.container import CompilationFolder, CompilationOrder
from imclass.sagemaker.control_plane.compilation.documents import (
    ACTIVE,
    IN_PROGRESS,
    KIND,
    STARTING,
    artifact_place,
    target_of,
)
from imclass.sagemaker.control_plane.compilation.requests import DEFAULT_SECONDS, image_shape_of
from imclass.sagemaker.control_plane.jobs.folder import upload_folder
from imclass.sagemaker.control_plane.jobs.kept_runs import Ending, KeptRun
from imclass.sagemaker.control_plane.store.buckets import Place, link
from imclass.sagemaker.control_plane.store.state import Document


class CompilationRun(KeptRun):
    """One compilation job."""

    kind = KIND
    name_member = "CompilationJobName"
    command = "compile"
    log_group = "/aws/sagemaker/CompilationJobs"
    active = ACTIVE
    endings: ClassVar[Mapping[Ending, str]] = {"completed": "COMPLETED", "failed": "FAILED", "stopped": "STOPPED"}
    end_member = "CompilationEndTime"

    def prepare(self, document: Document) -> None:
        """As `KeptRun.prepare`."""
        config, folder = document["InputConfig"], CompilationFolder(self.folder)
        place = Place.of(config["S3Uri"])
        found = [each for each in self.places.buckets.objects(place) if each.key == place.key]
        if not found:
            raise UserError("there is no such object any more", where=str(place))
        link(found[0].file, folder.model_archive)
        shape = image_shape_of(config.get("DataInputConfig"))
        folder.write_order(CompilationOrder(target_of(document["OutputConfig"]), shape))

    def begin(self, document: Document) -> Mapping[str, str]:
        """As `KeptRun.begin`."""
        document["CompilationStartTime"] = time.time()
        if document["status"] == STARTING:
            document["status"] = IN_PROGRESS
        return {}

    def bring(self, document: Document) -> None:
        """As `KeptRun.bring`: the compiled model, when it is complete."""
        compiled = CompilationFolder(self.folder).compiled
        if compiled.is_dir():
            upload_folder(compiled, self.places.buckets, artifact_place(document))
            shutil.rmtree(compiled)

    def deadline(self, document: Document) -> float:
        """As `KeptRun.deadline`."""
        seconds: int = document["StoppingCondition"].get("MaxRuntimeInSeconds", DEFAULT_SECONDS)
        return time.time() + seconds
