"""Transfer learning: public ImageNet weights, and how they enter a network whose last layer is new.

Weights come from the Hugging Face hub (through its own cache, so a second run needs no network) or from a
file that the user already has: safetensors, or a PyTorch state dict, of which only plain tensors are
unpickled.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import torch
from torch import Tensor

from imclass.errors import ArtifactError, UserError, listing
from imclass.models.resnet import ResNet

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PretrainedWeights:
    """Public weights of one depth of `resnet_v1`.

    Attributes:
        repository: repository on the hub.
        filename: file in it.
        licence: SPDX identifier that the publisher gives.
        top_1: accuracy in percent on ImageNet's validation images as the publisher reports it.
        measured_at: image height and width in pixels of that measurement.
    """

    repository: str
    filename: str
    licence: str
    top_1: float
    measured_at: int


def _timm(name: str, top_1: float) -> PretrainedWeights:
    return PretrainedWeights(f"timm/{name}", "model.safetensors", "Apache-2.0", top_1, measured_at=288)


# The most accurate plain network of each depth under a licence that allows commercial use. Recipe a1 is that
# of Wightman et al., "ResNet strikes back" (2021); a1h is a1 with stronger regularisation, which pays from
# 101 layers on. The figures are those of timm's results-imagenet.csv, for 152 layers those of timm's model
# cards.
PRETRAINED = {
    18: _timm("resnet18.a1_in1k", 73.158),
    34: _timm("resnet34.a1_in1k", 77.918),
    50: _timm("resnet50.a1_in1k", 81.214),
    101: _timm("resnet101.a1h_in1k", 82.778),
    152: _timm("resnet152.a1h_in1k", 83.46),
}

PATIENCE = 10  # seconds for the hub's first answer

OWN_FILE = "Or give a file of your own with --pretrained PATH."


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of every tensor, by name.

    Attributes:
        loaded: tensors of the network that now hold the file's values.
        skipped: tensors of the file that were not used: its head.
        new: tensors of the network that keep what they had: its head.
        adapted: those of `loaded` that were fitted from colour to grey input.
    """

    loaded: tuple[str, ...]
    skipped: tuple[str, ...]
    new: tuple[str, ...]
    adapted: tuple[str, ...] = ()


def download_pretrained(num_layers: int) -> Path:
    """The local path of the public `resnet_v1` weights of a depth, downloaded unless the cache has them.

    The hub client's own settings apply: HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT, proxies.

    Raises:
        UserError: there are no public weights of this depth.
        ArtifactError: the file can be had neither from the hub nor from the cache.
    """
    weights = PRETRAINED.get(num_layers)
    if weights is None:
        raise UserError(
            f"there are no public pretrained weights for num_layers = {num_layers}",
            fix=f"Use one of {', '.join(map(str, PRETRAINED))}. {OWN_FILE}",
        )
    try:
        return _fetch(weights)
    except Exception as error:  # the client lets through whatever its HTTP library raises
        raise ArtifactError(
            f"the pretrained weights {weights.filename} cannot be downloaded\n{_causes(error)}",
            where=f"{weights.repository} on the Hugging Face hub",
            fix="Check the network, the proxy and HF_ENDPOINT, and that HF_HUB_OFFLINE is not set; on a "
            "machine without network, copy the hub's cache (HF_HOME) from one that has the file. " + OWN_FILE,
        ) from error


def _fetch(weights: PretrainedWeights) -> Path:
    # Imported late: few runs need it.
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(weights.repository, weights.filename, local_files_only=True))
    except LocalEntryNotFoundError:
        log.info("Downloading %s from %s", weights.filename, weights.repository)
    # Without this question the client tries for half a minute where there is no network.
    get_hf_file_metadata(hf_hub_url(weights.repository, weights.filename), timeout=PATIENCE)
    return Path(hf_hub_download(weights.repository, weights.filename))


def _causes(error: BaseException) -> str:
    """The first lines of an exception and of those that led to it: the hub's outermost is often vague."""
    lines: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(lines) < 3:
        text = str(cause).strip().splitlines()
        lines.append(f"  {type(cause).__name__}: {text[0] if text else 'no message'}")
        cause = cause.__cause__ or cause.__context__
    return "\n".join(dict.fromkeys(lines))


def family_of(path: str | Path) -> str:
    """The network family whose weights a file holds: "resnet_v1" or "resnet_v2".

    Raises:
        ArtifactError: the file cannot be read or is of neither family.
    """
    path = Path(path)
    return _family(_read_tensors(path), path)


@torch.no_grad()
def load_pretrained(model: ResNet, path: str | Path) -> LoadReport:
    """Give a network the weights of a file, all but its head, which stays as it is.

    Every other tensor must be there with its shape, and nothing else may be; either all are loaded or none.
    Only batch counters, which old files lack and nothing here uses, are optional. For grey input (one
    channel) the first convolution is summed over its three input channels, which is what it computes of a
    grey picture stored in colour, and statistics of the input are averaged.

    Args:
        model: the network, on any device.
        path: safetensors, or a PyTorch state dict, also under "state_dict" or "model" and behind "module.".

    Raises:
        UserError: the network has the stem for small images, which no public weights fit.
        ArtifactError: the file cannot be read, or does not fit; its message lists every difference.
    """
    path = Path(path)
    if not model.layout.large_stem:
        raise UserError(
            f"pretrained weights need the large stem, but {model.num_layers} layers at image_shape "
            f"{','.join(map(str, model.image_shape))} have the small one",
            fix="Use an image height above 32 and a depth of 18, 34, 50, 101 or 152; or train anew.",
        )
    source = _read_tensors(path)
    family = _family(source, path)
    if family != model.family:
        raise ArtifactError(
            f"the weights are of {family}, the network is {model.family}",
            where=str(path),
            fix=f"Set network to {family}, or give a file of {model.family}.",
        )

    head = _names_of_head(model)
    target = {name: tensor for name, tensor in model.state_dict().items() if name not in head}
    skipped = tuple(name for name in source if name in head)
    source = {name: tensor for name, tensor in source.items() if name not in head}
    adapted = _adapt_to_grey(source) if model.image_shape[0] == 1 else ()
    problems = _differences(source, target)
    if problems:
        raise ArtifactError(
            f"the weights do not fit {model.family} with {model.num_layers} layers:\n{listing(problems)}",
            where=str(path),
            fix="Set num_layers to the depth that the file was made with, or give another file.",
        )
    loaded = tuple(name for name in target if name in source)
    for name in loaded:
        target[name].copy_(source[name])
    return LoadReport(loaded, skipped, new=tuple(head), adapted=adapted)


def _names_of_head(model: ResNet) -> list[str]:
    [prefix] = [name for name, module in model.named_modules() if module is model.head]
    return [f"{prefix}.{name}" for name in model.head.state_dict()]


def _adapt_to_grey(source: dict[str, Tensor]) -> tuple[str, ...]:
    """Replace the tensors that meet three input channels by what one grey channel needs, and name them."""
    adapted = []
    for name in ("conv1.weight", "conv0.weight"):
        tensor = source.get(name)
        if tensor is not None and tensor.ndim == 4 and tensor.shape[1] == 3:
            source[name] = tensor.sum(dim=1, keepdim=True)
            adapted.append(name)
    for name, tensor in source.items():
        if name.startswith("bn_data.") and tensor.shape == (3,):
            source[name] = tensor.mean(dim=0, keepdim=True)
            adapted.append(name)
    return tuple(adapted)


def _differences(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> list[str]:
    """One line for each tensor that is missing, not expected or of another shape."""
    missing = [
        f"{name}: missing" for name in target if name not in source and not name.endswith(".num_batches_tracked")
    ]
    unexpected = [f"{name}: not expected" for name in source if name not in target]
    reshaped = [
        f"{name}: shape {tuple(source[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in target.items()
        if name in source and source[name].shape != tensor.shape
    ]
    return missing + unexpected + reshaped


# --------------------------------------------------------------------------------------------- reading files


def _family(tensors: Mapping[str, Tensor], path: Path) -> str:
    if {"conv1.weight", "bn1.weight", "layer1.0.conv1.weight"} <= tensors.keys():
        return "resnet_v1"
    if {"conv0.weight", "bn_data.weight", "stage1.0.conv1.weight"} <= tensors.keys():
        return "resnet_v2"
    some = ", ".join(list(tensors)[:5]) or "none"
    raise ArtifactError(
        f"these are not the weights of a residual network: the first tensors are {some}",
        where=str(path),
        fix="Give the weights of torchvision's or timm's plain resnet18 to resnet152, or of imclass.",
    )


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file by name, on the CPU. What the file is, its first bytes say, not its name."""
    try:
        with path.open("rb") as stream:
            start = stream.read(9)
    except OSError as error:
        raise ArtifactError(
            f"the weights cannot be read: {error.strerror}", where=str(path), fix="Check the path."
        ) from error
    if start[:2] == b"\x1f\x8b":
        raise ArtifactError(
            "this is a packed archive, not a file of weights",
            where=str(path),
            fix="Give a model.tar.gz as the model to go on from, or unpack the weights from it.",
        )
    # A safetensors file starts with the length of its header (8 bytes), which is JSON.
    return _read_safetensors(path) if start[8:9] == b"{" else _read_state_dict(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return _without_prefix(load_file(path))
    except Exception as error:  # torch adds its own kinds to the library's
        raise _unreadable("safetensors file", path, error) from error


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise almost anything
        raise _unreadable("PyTorch state dict", path, error) from error
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not _is_state_dict(content):
        raise ArtifactError(
            "the file holds something else than named tensors",
            where=str(path),
            fix="Save the weights alone: torch.save(model.state_dict(), PATH).",
        )
    return _without_prefix(content)


def _is_state_dict(content: object) -> TypeGuard[Mapping[str, Tensor]]:
    return isinstance(content, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    )


def _without_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop the "module." that data-parallel wrappers put before every name."""
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def _unreadable(kind: str, path: Path, error: Exception) -> ArtifactError:
    # torch's own message advises to trust the file, which is no advice for a file from elsewhere.
    lines = [] if "weights_only" in str(error) else str(error).strip().splitlines()
    return ArtifactError(
        f"the file is not a readable {kind}: {lines[0] if lines else type(error).__name__}",
        where=str(path),
        fix="Download or copy it again; it must hold plain tensors: safetensors or a PyTorch state dict.",
    )
