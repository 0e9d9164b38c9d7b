import pytest
import torch
from torch import nn

from imclass.training.averaging import MovingAverage


def test_follows_with_a_decay_that_grows_to_its_limit() -> None:
    model = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    average = MovingAverage(model, decay=0.2)
    start = model[0].weight.detach().clone()
    with torch.no_grad():
        model[0].weight.add_(1.0)
        model[1].running_mean.fill_(5.0)
        model[1].num_batches_tracked.fill_(9)
    average.update()  # decay is min(0.2, 1/10)
    assert torch.allclose(average.model[0].weight, start + 0.9)
    assert average.model[1].running_mean.item() == pytest.approx(4.5)
    assert average.model[1].num_batches_tracked.item() == 9
    for _ in range(3):
        average.update()
    before = average.model[0].weight.clone()
    average.update()  # 1 + 4 over 10 + 4 is above the limit by now
    assert torch.allclose(average.model[0].weight, before + 0.8 * (start + 1.0 - before))


def test_gets_no_gradients_and_stays_in_evaluation_mode() -> None:
    average = MovingAverage(nn.BatchNorm2d(3), 0.9)
    assert not average.model.training
    assert not any(parameter.requires_grad for parameter in average.model.parameters())
