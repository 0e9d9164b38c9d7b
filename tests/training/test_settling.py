import logging

import pytest
import torch

from imclass.hyperparameters import parse
from imclass.training import settling
from imclass.training.process_group import Processes
from imclass.training.settling import settle_precision

ALONE = Processes(rank=0, world_size=1, local_rank=0, local_world_size=1, device=torch.device("cpu"))


@pytest.mark.parametrize(
    ("multiplies", "expected", "said"),
    [
        (True, "bfloat16", "precision_dtype=auto: bfloat16, because the device (cpu) multiplies bfloat16"),
        (False, "float32", "precision_dtype=auto: float32, because the device (cpu) only emulates bfloat16"),
    ],
)
def test_auto_is_what_the_device_multiplies(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, multiplies: bool, expected: str, said: str
) -> None:
    monkeypatch.setattr(settling, "multiplies_bfloat16", lambda device: multiplies)
    with caplog.at_level(logging.INFO):
        settled = settle_precision(parse({"precision_dtype": "auto", "epochs": 7}), ALONE)
    assert settled.precision_dtype == expected
    assert settled.epochs == 7
    assert caplog.messages == [said]


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_what_is_given_stays(caplog: pytest.LogCaptureFixture, name: str) -> None:
    settings = parse({"precision_dtype": name})
    with caplog.at_level(logging.INFO):
        assert settle_precision(settings, ALONE) is settings
    assert not caplog.messages
