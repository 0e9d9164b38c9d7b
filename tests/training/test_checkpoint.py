from pathlib import Path

import pytest
import torch

from imclass.errors import ArtifactError, UserError
from imclass.training import train
from tests.training.test_run import QUICK


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
