"""What the server answers is what validation measures, sample by sample."""

from collections.abc import Callable
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
import torch

from imclass import artifact
from imclass.data import open_source
from imclass.images import BadImages, Loader, Preprocessing
from imclass.inference.serving.application import Parts
from imclass.inference.serving.decoding import Decoder
from imclass.inference.serving.limits import Limits
from imclass.inference.serving.metrics import Metrics
from imclass.inference.serving.models import Models
from imclass.inference.serving.opening import Computing, Opener
from imclass.training.model_evaluation import evaluate_model
from imclass.training.sampling import evaluation_requests
from tests.inference.serving.parts import running
from tests.pictures import CLASSES, picture

pytestmark = pytest.mark.anyio


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Class folders of JPEG and PNG files of different sizes."""
    root = tmp_path / "photos"
    for kind, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for number in range(12):
            side = (16, 40, 90, 200)[number % 4]
            pixels = cv2.resize(picture(kind, number, 32), (side + number, side))
            assert cv2.imwrite(str(root / name / f"{number}.{('jpg', 'png')[number % 2]}"), pixels[:, :, ::-1])
    return root


def validated(model: Path, photos: Path) -> np.ndarray:
    """(N, num_classes) probabilities of the samples of a folder, computed as `evaluate` does."""
    description, network = artifact.load(model)
    source = open_source(photos)
    preprocessing = Preprocessing(
        description.image_shape, resize=description.resize, resize_mode=description.resize_mode
    )
    rows = []
    with (
        torch.no_grad(),
        Loader(source, preprocessing, device=torch.device("cpu"), bad_images=BadImages(0)) as loader,
    ):
        network = network.to(memory_format=torch.channels_last)
        for batch in loader.batches(evaluation_requests(len(source), 64, 0, 1)):
            logits = network(batch.images.float())
            rows.append(logits.sigmoid() if description.multi_label else logits.softmax(dim=1))
    return torch.cat(rows).numpy()


@pytest.mark.parametrize(
    "changes", [{}, {"multi_label": True}, {"resize": 24, "resize_mode": "crop"}, {"image_shape": (1, 16, 16)}]
)
async def test_served_probabilities_are_those_of_validation(
    save_model: Callable[..., Path], photos: Path, changes: dict[str, object]
) -> None:
    model = save_model(class_names=CLASSES, **changes)
    source = open_source(photos)
    files = [source[index].image for index in range(len(source))]
    metrics, decoder, limits = Metrics(), Decoder(2, Limits().pixels), Limits()
    opener = Opener(Computing(torch.device("cpu"), max_batch=8), decoder, limits, metrics)
    parts = Parts(Models([opener.open("model", model)]), decoder, metrics, limits)
    async with running(parts) as client:
        alone = [await posted(client, file) for file in files]
        forms = [("f", ("f", file)) for file in files]
        together = (await client.post("/invocations", files=forms)).json()
    expected = validated(model, photos)
    for served in (np.array(alone, np.float32), np.array(together, np.float32)):
        np.testing.assert_allclose(served, expected, atol=1e-6, rtol=0)
        np.testing.assert_array_equal(served.argmax(axis=1), expected.argmax(axis=1))
    if not changes.get("multi_label"):
        accuracy = float((np.array(alone).argmax(axis=1) == source.labels[:, 0]).mean())
        assert accuracy == pytest.approx(evaluate_model(model, photos, device="cpu").accuracy, abs=1e-12)
    assert np.ptp(expected, axis=0).max() > 0.01  # the images do differ


async def posted(client: httpx.AsyncClient, file: bytes) -> list[float]:
    response = await client.post("/invocations", content=file, headers={"content-type": "application/x-image"})
    assert response.status_code == 200
    row: list[float] = response.json()
    return row
