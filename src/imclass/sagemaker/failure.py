"""Why a job failed, in the words that SageMaker shows.

The platform shows the first 1024 characters of /opt/ml/output/failure as the job's FailureReason. They begin with
`ClientError: ` for what the user can put right, and with `AlgorithmError: ` for everything else.
"""

import sys
import time
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from pathlib import Path

from imclass.errors import UserError
from imclass.pending_file import PendingFile

OUT_OF_MEMORY = "Lower mini_batch_size or image_shape, or take an instance with more memory."

LONGEST_TEXT = 16 << 10  # characters


@dataclass(frozen=True)
class Failure:
    """One reason why a job failed.

    Attributes:
        what: what happened, and what to do about it.
        is_users: whether the user can put it right.
        is_consequence: whether it only shows that another process has failed.
        details: a traceback, or nothing.
        seconds: when, since 1970.
    """

    what: str
    is_users: bool = False
    is_consequence: bool = False
    details: str = ""
    seconds: float = field(default_factory=time.time)

    @property
    def exit_status(self) -> int:
        return 2 if self.is_users else 1

    @property
    def log_line(self) -> str:
        """In the original's words."""
        return f"{'Customer' if self.is_users else 'Algorithm'} Error: {self.what}"

    @property
    def reason(self) -> str:
        """The content of /opt/ml/output/failure."""
        kind = "ClientError" if self.is_users else "AlgorithmError"
        return f"{kind}: {self.what}\n" + (f"\n{self.details}" if self.details else "")

    def to_dict(self) -> dict[str, object]:
        """As JSON has it, with texts cut to what fits into one message."""
        return asdict(self) | {"what": self.what[:LONGEST_TEXT], "details": self.details[-LONGEST_TEXT:]}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "Failure":
        """Read what `to_dict` wrote.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        return cls(
            what=str(values["what"]),
            is_users=bool(values["is_users"]),
            is_consequence=bool(values["is_consequence"]),
            details=str(values["details"]),
            seconds=float(str(values["seconds"])),
        )


class JobFailedError(Exception):
    """A job failed for a reason that is known already."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.what)


def failure_of(error: Exception) -> Failure:
    """What an exception means for the job."""
    if isinstance(error, JobFailedError):
        return error.failure
    if isinstance(error, UserError):
        return Failure(str(error), is_users=True)
    if _is_torchs(error, "OutOfMemoryError"):
        return Failure(f"the GPU has no memory left: {error}\n{OUT_OF_MEMORY}", is_users=True)
    what = f"{str(error) or 'no message'} (caused by {type(error).__name__})"
    details = "".join(traceback.format_exception(error))
    return Failure(what, is_consequence=_shows_a_lost_connection(error), details=details)


def _shows_a_lost_connection(error: Exception) -> bool:
    """Whether torch says that another process went away, or hung."""
    return _is_torchs(error, "distributed.DistError") or "gloo" in str(error) or "NCCL" in str(error)


def _is_torchs(error: Exception, name: str) -> bool:
    """Whether an error is of one of PyTorch's classes: of none where PyTorch, which takes seconds, is not loaded."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, attrgetter(name)(torch))


def first_cause(failures: Iterable[Failure]) -> Failure:
    """Of all failures of a job, the one to tell: causes before consequences, the user's first, then the earliest."""
    return min(failures, key=lambda failure: (failure.is_consequence, not failure.is_users, failure.seconds))


def write_failure(path: Path, failure: Failure) -> None:
    """Write /opt/ml/output/failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with PendingFile(path) as file:
        file.write(failure.reason.encode("utf-8", "backslashreplace"))
