import errno
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from imclass.data import open_source
from imclass.errors import ArtifactError, UserError
from imclass.hyperparameters import parse
from imclass.training import checkpoint, train
from imclass.training.checkpoint import Checkpoints
from imclass.training.job import Job
from imclass.training.preparation import prepare
from imclass.training.process_group import Processes
from imclass.training.progress import Best, Progress
from imclass.training.step import Training
from tests.training.test_run import QUICK


@pytest.fixture
def training(photos: Path, tmp_path: Path) -> Training:
    source = open_source(photos)
    raw = {"num_classes": 3, "num_training_samples": 72, "num_layers": 8, "image_shape": "3,16,16", "ema_decay": 0.5}
    job = Job(source, source, parse(raw), "resnet_v2", None, tmp_path)
    return prepare(job, Processes(0, 1, 0, 1, torch.device("cpu")))


def fill(training: Training, value: float) -> None:
    assert training.average is not None
    with torch.no_grad():
        for model in (training.model, training.average.model):
            for parameter in model.parameters():
                parameter.fill_(value)


def test_a_checkpoint_holds_what_was_when_it_was_saved(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next epoch changes the weights while the files are written."""
    release, to_bytes = threading.Event(), checkpoint.to_bytes

    def slow_to_bytes(tensors: dict[str, torch.Tensor]) -> bytes:
        assert release.wait(20)
        return to_bytes(tensors)

    monkeypatch.setattr(checkpoint, "to_bytes", slow_to_bytes)
    with Checkpoints(tmp_path, {"epochs": "2"}, "72:0") as checkpoints:
        fill(training, 1.0)
        progress = Progress(epoch=1, best=Best(0, 0.5, "best-0001.safetensors"))
        checkpoints.save(training, progress, ["best-0001.safetensors"])
        fill(training, 2.0)
        progress.epoch = 2
        release.set()
        checkpoints.finish()
        state = torch.load(tmp_path / checkpoint.LAST, weights_only=True)
        assert state["progress"]["epoch"] == 1
        weights = load_file(tmp_path / "checkpoints/best-0001.safetensors")
        for name, _ in training.model.named_parameters():
            assert all(tensors[name].eq(1.0).all() for tensors in (state["model"], state["average"], weights))
        checkpoints.save(training, progress)
    assert torch.load(tmp_path / checkpoint.LAST, weights_only=True)["progress"]["epoch"] == 2


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"])
def test_a_damaged_checkpoint_is_an_error_that_says_what_to_do(photos: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/last.pt").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"last\.pt: the checkpoint cannot be read(.|\n)*Delete the output folder"):
        train(photos, output=tmp_path, hyperparameters=QUICK, resume=True, device="cpu", quiet=True)


def test_a_checkpoint_of_other_data_is_refused(photos: Path, more_photos: Path, tmp_path: Path) -> None:
    train(photos, output=tmp_path, hyperparameters=QUICK, device="cpu", threads=1, quiet=True)
    settings = {**QUICK, "num_training_samples": 58}
    with pytest.raises(UserError, match="the data is not what the run was started with"):
        train(
            photos, validation=more_photos, output=tmp_path, hyperparameters=settings, resume=True, device="cpu",
            quiet=True,
        )  # fmt: skip


def test_code_in_a_checkpoint_is_never_run(photos: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))  # type: ignore[return-value]

    (tmp_path / "checkpoints").mkdir()
    torch.save({"format": 1, "model": Trap()}, tmp_path / "checkpoints/last.pt")
    with pytest.raises(ArtifactError):
        train(photos, output=tmp_path, hyperparameters=QUICK, resume=True, device="cpu", quiet=True)
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_that_cannot_be_written_ends_the_run(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(state: object, stream: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", full)
    with pytest.raises(UserError, match=r"last\.pt: the file cannot be written: No space left on device"):
        train(photos, output=tmp_path, hyperparameters={**QUICK, "epochs": 1}, device="cpu", quiet=True)
    assert not (tmp_path / "model.tar.gz").exists()


def test_what_ended_the_run_counts_more_than_its_checkpoint(
    training: Training, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "checkpoints/last.pt").mkdir(parents=True)

    def failing_run() -> None:
        with Checkpoints(tmp_path, {}, "") as checkpoints:
            checkpoints.save(training, Progress())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing_run()
    assert "this is a folder" in caplog.text
