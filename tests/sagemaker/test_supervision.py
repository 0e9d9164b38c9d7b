"""What the first process makes of how the others end. test_training_job.py has real ones."""

import time
from dataclasses import dataclass, field

import pytest

from imclass.sagemaker import supervision
from imclass.sagemaker.failure import Failure, JobFailedError
from imclass.sagemaker.supervision import wait
from imclass.training.stop_request import StopRequest

LOST = Failure("Connection closed by peer", is_consequence=True, seconds=1)
CAUSE = Failure("an image is gone", is_users=True, seconds=2)


@dataclass
class Processes:
    """Stands for Workers and RollCall: what is to be seen of them, and what they were told."""

    are_done: bool = False
    stopped_early: bool = False
    failures: list[Failure] = field(default_factory=list)
    told: list[object] = field(default_factory=list)

    def ask_to_stop(self) -> None:
        self.told.append("stop")

    def tell(self, failure: Failure) -> None:
        self.told.append(failure)


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "GATHER_SECONDS", 0.2)
    monkeypatch.setattr(supervision, "STOP_SECONDS", 0.2)
    monkeypatch.setattr(supervision, "LOOK_AGAIN_SECONDS", 0.01)


def stop(requested: bool = True) -> StopRequest:
    request = StopRequest()
    request.requested = requested
    return request


def outcome(workers: Processes, others: Processes, request: StopRequest) -> bool:
    return wait(workers, others, request)  # type: ignore[arg-type]


def test_all_end_well() -> None:
    assert outcome(Processes(are_done=True), Processes(), stop(False))


def test_a_stop_is_passed_on_once_and_not_waited_for_for_ever() -> None:
    workers = Processes()
    began = time.monotonic()
    assert not outcome(workers, Processes(), stop())
    assert workers.told == ["stop"]
    assert time.monotonic() - began < 10


def test_processes_that_had_not_begun() -> None:
    assert not outcome(Processes(stopped_early=True), Processes(), stop())
    assert not outcome(Processes(failures=[LOST]), Processes(), stop()), "its peer had not begun"


def test_the_cause_on_another_host_is_told_rather_than_its_consequence_here() -> None:
    others = Processes(failures=[CAUSE])
    with pytest.raises(JobFailedError, match="an image is gone"):
        outcome(Processes(failures=[LOST]), others, stop(False))
    assert others.told == [LOST]


def test_a_consequence_whose_cause_stays_unknown_is_told_after_a_while() -> None:
    with pytest.raises(JobFailedError, match="Connection closed"):
        outcome(Processes(failures=[LOST]), Processes(), stop(False))


def test_a_failure_is_no_less_one_because_a_stop_was_requested() -> None:
    with pytest.raises(JobFailedError, match="an image is gone"):
        outcome(Processes(failures=[CAUSE]), Processes(), stop())
