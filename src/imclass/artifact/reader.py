"""Reads a model file and checks every part of it against the others.

Weights are safetensors only, so nothing is ever unpickled: an 8-byte little-endian length, a JSON header with
the name, type, shape and place of every tensor, then their values. The library checks that the places fit the
file; here names, shapes and types are compared with those of the network that `model.json` describes.
"""

import math
from pathlib import Path

import torch
from pydantic import ValidationError
from pydantic_core import from_json
from torch import Tensor

from imclass.artifact.archive import COPY_AGAIN, LIMIT, read_members
from imclass.artifact.description import (
    FORMAT_VERSION,
    Description,
    checkpoint_member,
    differences,
)
from imclass.artifact.members import DESCRIPTION_MEMBER, WEIGHTS_MEMBER
from imclass.artifact.mxnet import ImageShape, describe_mxnet, is_mxnet, read_mxnet
from imclass.errors import ArtifactError, UserError, listing
from imclass.models import ResNet


def load(
    path: str | Path, *, epoch: int | None = None, limit: int = LIMIT, image_shape: ImageShape | None = None
) -> tuple[Description, ResNet]:
    """Open a model, ready for inference on the CPU.

    Args:
        path: `model.tar.gz` of imclass or of SageMaker's own algorithm, a folder that one was unpacked to, or
            MXNet's PREFIX-symbol.json.
        epoch: use the checkpoint of this epoch, counted from 1, instead of the model's final weights.
        limit: refuse archives and files that unpack to more bytes.
        image_shape: (channels, height, width) for models of MXNet that do not say it; the others' own counts.

    Returns:
        The description, and the network of float32 in evaluation mode.

    Raises:
        ArtifactError: the file is not a sound model; the message names the file, the member and what to do.
    """
    description, state = read(path, epoch=epoch, limit=limit, image_shape=image_shape)
    # Laid out without storage, the network takes the tensors over instead of copying them.
    with torch.device("meta"):
        network = description.build()
    network.load_state_dict(state, assign=True)
    return description, network.eval()


def read(
    path: str | Path, *, epoch: int | None = None, limit: int = LIMIT, image_shape: ImageShape | None = None
) -> tuple[Description, dict[str, Tensor]]:
    """Open a model without building it; arguments and errors are those of `load`.

    Returns:
        The description, and the network's complete `state_dict()` on the CPU.
    """
    path = Path(path)
    if is_mxnet(path, limit):
        return read_mxnet(path, epoch=epoch, limit=limit, image_shape=image_shape)
    weights = WEIGHTS_MEMBER if epoch is None else checkpoint_member(epoch)
    members = read_members(path, (DESCRIPTION_MEMBER, weights), limit, to_the_end=True)
    description = _parse_description(members[DESCRIPTION_MEMBER], path)
    network = _lay_out(description, path)
    return description, _parse_weights(members.pop(weights), network, f"{path}: {weights}")


def read_description(path: str | Path, *, limit: int = LIMIT, image_shape: ImageShape | None = None) -> Description:
    """Read only `model.json`, which comes first in an archive, so that even a large model takes no time.

    Of a model of MXNet, only the arrays are left out. Arguments are those of `load`.

    Raises:
        ArtifactError: as `load`, but damage behind the description goes unnoticed.
    """
    path = Path(path)
    if is_mxnet(path, limit):
        return describe_mxnet(path, epoch=None, limit=limit, image_shape=image_shape)
    members = read_members(path, (DESCRIPTION_MEMBER,), limit, to_the_end=False)
    return _parse_description(members[DESCRIPTION_MEMBER], path)


# ------------------------------------------------------------------------------------------- what members
# mean


def _parse_description(data: bytes, path: Path) -> Description:
    where = f"{path}: {DESCRIPTION_MEMBER}"
    try:
        content = from_json(data)
    except ValueError as error:
        raise ArtifactError(f"the file is not JSON: {error}", where=where, fix=COPY_AGAIN) from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ArtifactError(
            f"the model has format version {version}, this imclass reads versions up to {FORMAT_VERSION}",
            where=where,
            fix="Update imclass.",
        )
    try:
        return Description.model_validate_json(data)
    except ValidationError as error:
        problems = [
            ": ".join(filter(None, (".".join(map(str, problem["loc"])), problem["msg"])))
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise ArtifactError(
            f"the description is not valid:\n{listing(problems)}",
            where=where,
            fix="Open a model.tar.gz that imclass has written, unchanged.",
        ) from error


def _lay_out(description: Description, path: Path) -> ResNet:
    """The network described, without storage for its weights."""
    where = f"{path}: {DESCRIPTION_MEMBER}"
    try:
        with torch.device("meta"):
            network = description.build()
    except UserError as error:
        raise ArtifactError(error.what, where=where, fix=error.fix) from error
    own = (*network.normalisation[0], *network.normalisation[1])
    described = (*description.normalisation.mean, *description.normalisation.std)
    if not all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(own, described, strict=True)):
        raise ArtifactError(
            f"the normalisation described is not that of {description.network}", where=where, fix=COPY_AGAIN
        )
    return network


def _parse_weights(data: bytes, network: ResNet, where: str) -> dict[str, Tensor]:
    """Tensors of a safetensors file, all that the network has and no other, in the network's own types."""
    from safetensors import SafetensorError, deserialize

    # The types that a tensor of the network may have in a file, and how torch calls them.
    floating = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
    integer = {"I64": torch.int64}
    try:
        content = dict(deserialize(data))  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ArtifactError(
            f"the weights are not in safetensors format: {error}", where=where, fix=COPY_AGAIN
        ) from error
    expected = network.state_dict()
    problems = differences(expected, {name: tuple(tensor["shape"]) for name, tensor in content.items()})
    types = {name: floating if tensor.is_floating_point() else integer for name, tensor in expected.items()}
    problems += [
        f"{name}: type {content[name]['dtype']} instead of {' or '.join(allowed)}"
        for name, allowed in types.items()
        if name in content and content[name]["dtype"] not in allowed
    ]
    if problems:
        raise ArtifactError(
            f"the weights do not fit the network described in {DESCRIPTION_MEMBER}:\n{listing(problems)}",
            where=where,
            fix="Use both files as they were written together.",
        )
    return {
        name: torch.frombuffer(content[name]["data"], dtype=types[name][content[name]["dtype"]])
        .reshape(tensor.shape)
        .to(tensor.dtype)
        for name, tensor in expected.items()
    }
