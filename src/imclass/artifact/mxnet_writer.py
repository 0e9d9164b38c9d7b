"""Writes a model as the original does, so that endpoints of the original and MXNet itself can use it.

gzip (no name, time 0)
+-- tar, plain POSIX headers, in this order
    +-- image-classification-0012.params     arrays after epoch 12, float32
    +-- model-shapes.json                    [{"shape": [1, 3, 224, 224], "name": "data"}]
    +-- image-classification-symbol.json     the network

Before anything is put in place, the network is rebuilt from the very bytes, and must answer as the model does.
"""

import gzip
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from imclass.artifact.description import Description
from imclass.artifact.mxnet import NETWORK, SHAPES_MEMBER, parse_shapes
from imclass.artifact.writer import COMPRESSION_LEVEL, add
from imclass.errors import ArtifactError
from imclass.models import ResNet, build, layout_of
from imclass.models.mxnet import (
    Head,
    arrays_of,
    read_params,
    read_symbol,
    recognise,
    state_of,
    write_params,
    write_symbol,
)
from imclass.pending_file import PendingFile

PREFIX: Final = "image-classification"
SYMBOL: Final = f"{PREFIX}-symbol.json"
BATCH_SIZE: Final = 16
TOLERANCE: Final = 1e-5  # largest difference of a probability, and of a logit as a share of it


def save_mxnet(path: str | Path, description: Description, state: Mapping[str, Tensor], images: Tensor) -> float:
    """Write a model as SageMaker's own algorithm does; a file that is already there is replaced in one step.

    Args:
        path: the file, usually called `model.tar.gz`, in a folder that exists.
        description: what the weights are of.
        state: `state_dict()` of the network described, on the CPU.
        images: (N, C, H, W) float32, 0 to 255, to compare the answers on.

    Returns:
        The largest difference of a probability between the model and what was written.

    Raises:
        ArtifactError: the network is of a family that the original does not have, the file cannot be written, or the
            answers differ by more than `TOLERANCE`.
    """
    files = mxnet_files(description, state)
    probability, logit = largest_differences(description, state, files, images)
    if not (probability <= TOLERANCE and logit <= TOLERANCE):  # so written, NaN fails too
        raise ArtifactError(
            f"the model as MXNet would have it answers otherwise: probabilities differ by {probability:.1e}, logits by "
            f"{logit:.1e} of their size; at most {TOLERANCE:.0e} is allowed, and nothing is written",
            where=str(path),
            fix="This is a fault of imclass; please report it with the model.",
        )
    with (
        PendingFile(Path(path), ArtifactError) as file,
        gzip.GzipFile("", "wb", COMPRESSION_LEVEL, file.stream, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, data in files.items():
            add(tar, name, data)
    return probability


def mxnet_files(description: Description, state: Mapping[str, Tensor]) -> dict[str, bytes]:
    """The three files by name, in the order of the original's archive.

    Raises:
        ArtifactError: the network is of a family that the original does not have.
    """
    if description.network != NETWORK:
        raise ArtifactError(
            f"the model is a {description.network}, and MXNet's image classification has {NETWORK} only",
            fix=f"Train with network={NETWORK} (without pretrained weights of the other family) to use it in MXNet.",
        )
    layout = layout_of(description.num_layers, description.image_shape[1])
    symbol = write_symbol(layout, Head(description.num_classes, multi_label=description.multi_label))
    arrays = arrays_of(recognise(read_symbol(symbol)), state)
    shapes = [{"shape": [1, *description.image_shape], "name": "data"}]
    return {
        f"{PREFIX}-{description.epoch:04d}.params": write_params(arrays),
        SHAPES_MEMBER: json.dumps(shapes).encode(),
        SYMBOL: symbol,
    }


def largest_differences(
    description: Description, state: Mapping[str, Tensor], files: Mapping[str, bytes], images: Tensor
) -> tuple[float, float]:
    """How far the answers of a model and of its MXNet files are apart.

    Args:
        images: (N, C, H, W) float32, 0 to 255.

    Returns:
        The largest difference of a probability, and that of a logit divided by its size where that is above 1, which
        shows what probabilities of nearly 0 and 1 hide. NaN when one of both gives NaN.
    """
    recognised = recognise(read_symbol(files[SYMBOL]))
    shape = parse_shapes(files[SHAPES_MEMBER], SHAPES_MEMBER)
    rebuilt = build(NETWORK, recognised.num_layers, shape, recognised.head.num_classes)
    [params] = [data for name, data in files.items() if name.endswith(".params")]
    rebuilt.load_state_dict(state_of(recognised, read_params(params), rebuilt))
    model = description.build()
    model.load_state_dict(dict(state))
    ours, theirs = _logits(model, images), _logits(rebuilt, images)
    probability = _probabilities(ours, description.multi_label) - _probabilities(theirs, recognised.head.multi_label)
    logit = (ours - theirs) / ours.abs().clamp(min=1)
    return float(probability.abs().max()), float(logit.abs().max())


@torch.inference_mode()
def _logits(network: ResNet, images: Tensor) -> Tensor:
    network.eval()
    return torch.cat([network(batch) for batch in torch.split(images, BATCH_SIZE)])


def _probabilities(logits: Tensor, multi_label: bool) -> Tensor:
    return logits.sigmoid() if multi_label else logits.softmax(dim=1)
