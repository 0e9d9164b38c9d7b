"""Calibrated probabilities from the server: only when asked, and only where the model has a temperature."""

from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from imclass.calibration import calibrated
from imclass.errors import UserError
from imclass.inference.serving.decoding import Decoder
from imclass.inference.serving.limits import Limits
from imclass.inference.serving.metrics import Metrics
from imclass.inference.serving.opening import Computing, Opener
from tests.conftest import SaveModel
from tests.inference.serving.parts import JPEG, Workbench, encoded

TEMPERATURE = 2.5


def opener(decoder: Decoder, *, is_calibrated: bool) -> Opener:
    computing = Computing(torch.device("cpu"), calibrated=is_calibrated)
    return Opener(computing, decoder, Limits(), Metrics())


async def probabilities(workbench: Workbench, model: Path, *, is_calibrated: bool) -> np.ndarray:
    workbench.decoder = Decoder(1, 10_000)
    service = opener(workbench.decoder, is_calibrated=is_calibrated).open("model", model)
    async with workbench.client(service) as client:
        answer: httpx.Response = await client.post("/invocations", content=encoded(), headers=JPEG)
        described = (await client.get("/model")).json()
    assert described["serving"]["calibrated"] is is_calibrated
    assert described["temperature"] == TEMPERATURE
    return np.array(answer.json(), np.float32)


@pytest.mark.anyio
@pytest.mark.parametrize("multi_label", [False, True])
async def test_the_temperature_is_used_only_when_asked(
    workbench: Workbench, save_model: SaveModel, multi_label: bool
) -> None:
    model = save_model(temperature=TEMPERATURE, multi_label=multi_label)
    plain = await probabilities(workbench, model, is_calibrated=False)
    cooled = await probabilities(workbench, model, is_calibrated=True)
    wanted = calibrated(plain[np.newaxis], TEMPERATURE, multi_label=multi_label)[0]
    assert np.abs(cooled - wanted).max() < 1e-6
    assert np.abs(cooled - plain).max() > 1e-3


def test_a_model_without_a_temperature_is_refused(save_model: SaveModel) -> None:
    with pytest.raises(UserError, match="has no temperature"):
        opener(Decoder(1, 10_000), is_calibrated=True).open("model", save_model())
