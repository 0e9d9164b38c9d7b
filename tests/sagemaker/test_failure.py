"""The failure file, and which of several failures is told."""

import json
from pathlib import Path

import pytest
import torch

from imclass.errors import DataError
from imclass.sagemaker.failure import Failure, JobFailedError, failure_of, first_cause, write_failure


def test_what_the_user_can_put_right() -> None:
    failure = failure_of(DataError("the file is empty", where="train.rec", fix="Copy it again."))
    assert failure.reason == "ClientError: train.rec: the file is empty\nCopy it again.\n"
    assert failure.log_line == "Customer Error: train.rec: the file is empty\nCopy it again."
    assert failure.exit_status == 2


def test_a_fault_says_what_it_is_first_and_where_it_was_after_that() -> None:
    with pytest.raises(KeyError) as caught:
        {}["num_classes"]
    failure = failure_of(caught.value)
    assert failure.reason.startswith("AlgorithmError: 'num_classes' (caused by KeyError)\n\nTraceback")
    assert failure.log_line == "Algorithm Error: 'num_classes' (caused by KeyError)"
    assert "test_failure.py" in failure.reason
    assert failure.exit_status == 1
    assert not failure.is_consequence


def test_a_full_gpu_is_the_users_to_put_right() -> None:
    failure = failure_of(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert failure.reason.startswith("ClientError: the GPU has no memory left: CUDA out of memory.")
    assert "Lower mini_batch_size" in failure.reason


def test_a_known_failure_is_kept() -> None:
    failure = Failure("host algo-2 is lost")
    assert failure_of(JobFailedError(failure)) is failure


def test_torch_telling_of_a_lost_process_is_a_consequence() -> None:
    gloo = RuntimeError(
        "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:544] Connection closed by peer [10.0.0.2]"
    )
    assert failure_of(gloo).is_consequence
    assert failure_of(torch.distributed.DistBackendError("NCCL communicator was aborted")).is_consequence


def test_the_first_cause_is_told() -> None:
    late_cause = Failure("an image is gone", is_users=True, seconds=9)
    cause = Failure("no space", seconds=5)
    consequence = Failure("Connection closed by peer", is_consequence=True, seconds=1)
    assert first_cause([consequence, cause]) is cause
    assert first_cause([consequence, late_cause, cause]) is late_cause
    assert first_cause([Failure("b", seconds=2), Failure("a", seconds=1)]).what == "a"


def test_a_failure_goes_from_process_to_process_and_fits_into_a_message() -> None:
    failure = Failure("x" * 100_000, is_users=True, details="y" * 100_000, seconds=1.5)
    values = json.loads(json.dumps(failure.to_dict()))
    assert len(json.dumps(values)) < 40_000
    received = Failure.from_dict(values)
    assert (received.is_users, received.is_consequence, received.seconds) == (True, False, 1.5)
    assert set(received.what) == {"x"}


def test_the_file_takes_any_text(tmp_path: Path) -> None:
    path = tmp_path / "output/failure"
    write_failure(path, Failure("k\u00e4tzchen-\udcff.jpg is damaged", is_users=True))
    assert path.read_text("utf-8") == "ClientError: k\u00e4tzchen-\\udcff.jpg is damaged\n"
