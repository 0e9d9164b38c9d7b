from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import nn

from imclass.data import open_source
from imclass.images import BadImages, Loader, Preprocessing
from imclass.training.evaluation import evaluate
from imclass.training.process_group import Processes

ALONE = Processes(0, 1, 0, 1, torch.device("cpu"))


class Brightness(nn.Module):
    """Answers from the mean of each colour: known logits for known images."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3)) / 32


@pytest.fixture
def loader(photos: Path) -> Iterator[Loader]:
    with Loader(
        open_source(photos), Preprocessing((3, 16, 16)), threads=1, device=torch.device("cpu"), bad_images=BadImages(0)
    ) as loader:
        yield loader


def everything(loader: Loader) -> tuple[torch.Tensor, torch.Tensor]:
    indices = np.arange(len(loader.source))
    (batch,) = loader.batches([(indices, np.zeros_like(indices))])
    return Brightness()(batch.images.float()), batch.labels


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_figures_do_not_depend_on_the_batch_size(loader: Loader, batch_size: int) -> None:
    logits, labels = everything(loader)
    result = evaluate(Brightness(), loader, ALONE, num_classes=3, multi_label=False, top_k=(2,), batch_size=batch_size)
    classes, answers = labels[:, 0].long(), logits.argmax(1)
    assert result.samples == 72
    assert result.accuracy == pytest.approx((answers == classes).float().mean().item())
    assert result.loss == pytest.approx(nn.functional.cross_entropy(logits, classes).item(), rel=1e-5)
    in_two = (logits.topk(2).indices == classes[:, None]).any(1).float().mean().item()
    assert result.top_k_accuracy == {2: pytest.approx(in_two)}
    assert result.confusion is not None
    assert result.confusion.sum() == 72
    assert result.confusion[1, 2] == ((classes == 1) & (answers == 2)).sum()
    assert result.actual.tolist() == [24, 24, 24]


def test_multi_label_figures(loader: Loader) -> None:
    generator = np.random.default_rng(0)
    many = (generator.random((72, 3)) < 0.4).astype(np.float32)

    class Relabelled:
        name, class_names, labels = "many", None, many

        def __len__(self) -> int:
            return 72

        def key(self, index: int) -> str:
            return loader.source.key(index)

        def __getitem__(self, index: int):
            return loader.source[index]

    model = nn.Sequential(Brightness(), nn.BatchNorm1d(3, affine=False)).train()
    model(torch.rand(64, 3, 16, 16) * 255)  # some statistics, so that logits fall on both sides of 0
    with Loader(
        Relabelled(), Preprocessing((3, 16, 16)), threads=1, device=torch.device("cpu"), bad_images=BadImages(0)
    ) as relabelled:
        result = evaluate(model, relabelled, ALONE, num_classes=3, multi_label=True)
    assert model.training, "the mode it came in"
    logits = model.eval()(everything_images(loader)).detach()
    answers = (logits > 0).numpy()
    assert result.accuracy == pytest.approx((answers == (many > 0.5)).mean())
    expected = [average_precision_score(many[:, k], logits[:, k]) for k in range(3)]
    assert result.average_precisions == pytest.approx(expected)
    assert result.mean_average_precision == pytest.approx(np.mean(expected))
    assert result.confusion is None
    assert result.predicted.tolist() == answers.sum(0).tolist()


def everything_images(loader: Loader) -> torch.Tensor:
    indices = np.arange(72)
    (batch,) = loader.batches([(indices, np.zeros_like(indices))])
    return batch.images.float()
