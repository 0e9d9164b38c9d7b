"""Writes a model as the original does, so that endpoints of the original and MXNet itself can use it.

gzip (no name, time 0)
+-- tar, plain POSIX headers, in this order
    +-- model.json, model.safetensors, ...   imclass's own format, when both are asked for
    +-- image-classification-0012.params     arrays after epoch 12; more of them with checkpoints
    +-- model-shapes.json                    [{"shape": [1, 3, 224, 224], "name": "data"}]
    +-- image-classification-symbol.json     the network

Before anything is put in place, the network is rebuilt from the very bytes, and must answer as the model does.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from imclass.artifact.description import Description, epoch_of
from imclass.artifact.members import SHAPES_MEMBER
from imclass.artifact.mxnet import MXNET_NETWORK, parse_shapes
from imclass.artifact.writer import add, add_own, pending_archive, reading_checkpoint
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

PREFIX: Final = "image-classification"
SYMBOL: Final = f"{PREFIX}-symbol.json"
BATCH_SIZE: Final = 16


@dataclass(frozen=True)
class Tolerance:
    """How far answers may be apart: a probability, and a logit as a share of its size where that is above 1."""

    probability: float
    logit: float


# By the type of the stored weights. Rounding to float16 moves every weight by up to 0.05 percent.
TOLERANCES: Final[Mapping[str, Tolerance]] = MappingProxyType(
    {"float32": Tolerance(1e-5, 1e-5), "float16": Tolerance(2e-3, 2e-2)}
)
MXNET_DTYPES: Final = tuple(TOLERANCES)


def save_mxnet(
    path: str | Path,
    description: Description,
    state: Mapping[str, Tensor],
    images: Tensor,
    *,
    dtype: str = "float32",
    checkpoints: Sequence[Path] = (),
    own_too: bool = False,
) -> float:
    """Write a model as SageMaker's own algorithm does; a file that is already there is replaced in one step.

    Args:
        path: the file, usually called `model.tar.gz`, in a folder that exists.
        description: what the weights are of.
        state: `state_dict()` of the network described, on the CPU.
        images: (N, C, H, W) float32, 0 to 255, to compare the answers on.
        dtype: one of `MXNET_DTYPES`: float32, or float16 for all weights but those of batch norms.
        checkpoints: weights of other epochs, as `artifact.save` takes them; each becomes a .params file.
        own_too: put the members of imclass's own format in front, so that imclass opens the archive as its own.

    Returns:
        The largest difference of a probability between the model and what was written.

    Raises:
        ArtifactError: the network is of a family that the original does not have, a file cannot be written or read, or
            the answers differ by more than `TOLERANCES`.
    """
    files = mxnet_files(description, state, dtype)
    probability, logit = largest_differences(description, state, files, images)
    allowed = TOLERANCES[dtype]
    if not (probability <= allowed.probability and logit <= allowed.logit):  # so written, NaN fails too
        fault = "This is a fault of imclass; please report it with the model."
        raise ArtifactError(
            f"the model as MXNet would have it answers otherwise: probabilities differ by {probability:.1e} (at most "
            f"{allowed.probability:.0e} is allowed), logits by {logit:.1e} of their size ({allowed.logit:.0e}); "
            "nothing is written",
            where=str(path),
            fix=fault if dtype == "float32" else f"The weights lose too much in {dtype}: write float32.",
        )
    with pending_archive(Path(path)) as tar:
        if own_too:
            add_own(tar, description, state, checkpoints)
        by_epoch = {epoch_of(checkpoint): checkpoint for checkpoint in checkpoints}
        for epoch in sorted({*by_epoch, description.epoch}):
            name = params_member(epoch)
            add(tar, name, files[name] if name in files else _params_of_checkpoint(by_epoch[epoch], files[SYMBOL]))
        for name in (SHAPES_MEMBER, SYMBOL):
            add(tar, name, files[name])
    return probability


def left_out_by_mxnet(description: Description) -> tuple[str, ...]:
    """What the model has and the original's files have no place for, in words."""
    left_out = []
    if description.class_names:
        left_out.append("class names: outputs are numbered")
    if (description.resize_mode, description.resize) != ("stretch", None):
        left_out.append(
            f"preparation of images (resize {description.resize or 'none'}, {description.resize_mode}): "
            "the original stretches them to the image shape"
        )
    return tuple(left_out)


def params_member(epoch: int) -> str:
    """Where the arrays of an epoch are, counted from 1."""
    return f"{PREFIX}-{epoch:04d}.params"


def mxnet_files(description: Description, state: Mapping[str, Tensor], dtype: str = "float32") -> dict[str, bytes]:
    """The three files by name, in the order of the original's archive.

    Raises:
        ArtifactError: the network is of a family that the original does not have.
    """
    if description.network != MXNET_NETWORK:
        raise ArtifactError(
            f"the model is a {description.network}, and MXNet's image classification has {MXNET_NETWORK} only",
            fix=f"Train with network={MXNET_NETWORK} (and no pretrained weights of the other family) for MXNet.",
        )
    layout = layout_of(description.num_layers, description.image_shape[1])
    head = Head(description.num_classes, multi_label=description.multi_label, float16=dtype == "float16")
    symbol = write_symbol(layout, head)
    shapes = [{"shape": [1, *description.image_shape], "name": "data"}]
    return {
        params_member(description.epoch): _params(state, symbol),
        SHAPES_MEMBER: json.dumps(shapes).encode(),
        SYMBOL: symbol,
    }


def _params(state: Mapping[str, Tensor], symbol: bytes) -> bytes:
    """The arrays of a network, in the types that its symbol asks for."""
    return write_params(arrays_of(recognise(read_symbol(symbol)), state))


def _params_of_checkpoint(checkpoint: Path, symbol: bytes) -> bytes:
    from safetensors.torch import load_file

    with reading_checkpoint(checkpoint):
        return _params(load_file(checkpoint), symbol)


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
    rebuilt = build(MXNET_NETWORK, recognised.num_layers, shape, recognised.head.num_classes)
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
