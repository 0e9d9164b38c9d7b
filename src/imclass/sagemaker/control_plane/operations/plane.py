"""What operations work on, and how one is performed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.api.errors import unknown_operation
from imclass.sagemaker.control_plane.api.service_models import check_output, service_model
from imclass.sagemaker.control_plane.api.sessions import Sessions
from imclass.sagemaker.control_plane.api.validation import parsed
from imclass.sagemaker.control_plane.compilation.runs import CompilationRun
from imclass.sagemaker.control_plane.hosting.endpoints import Endpoints
from imclass.sagemaker.control_plane.jobs.runs import JobRuns
from imclass.sagemaker.control_plane.store.buckets import Buckets
from imclass.sagemaker.control_plane.store.log_files import LogFolder
from imclass.sagemaker.control_plane.store.state import State
from imclass.sagemaker.control_plane.training.runs import TrainingRuns
from imclass.sagemaker.control_plane.transform.runs import TransformRun
from imclass.sagemaker.control_plane.tuning.runs import TuningRuns

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Plane:
    """The parts of the control plane."""

    account: Account
    state: State
    buckets: Buckets
    logs: LogFolder
    training_runs: TrainingRuns
    endpoints: Endpoints
    transform_runs: JobRuns[TransformRun]
    compilation_runs: JobRuns[CompilationRun]
    tuning_runs: TuningRuns
    sessions: Sessions


Operation = Callable[[Plane, Values], Values]
"""From the checked members of a request to those of the answer; raises ApiError."""


def perform(plane: Plane, service: str, offered: Mapping[str, Operation], name: str, request: Values) -> Values:
    """Check a request, do what it asks, and check the answer.

    Args:
        offered: the operations of the service, by name.
        request: as it came; timestamps are numbers.

    Raises:
        ApiError: the operation is not offered, or the request is refused.
    """
    if name not in offered:
        raise unknown_operation(name, list(offered))
    model = service_model(service).operation_model(name)
    answer = offered[name](plane, parsed(request, model.input_shape))
    check_output(answer, model.output_shape)
    return answer
