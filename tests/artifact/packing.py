"""Small models, and archives put together member by member, also wrongly."""

import gzip
import io
import tarfile

import torch
from safetensors.torch import save as to_safetensors

from imclass.artifact import Description, Normalisation
from imclass.models import build, initialise


def small_network(network="resnet_v2", seed=0):
    model = build(network, 8, (3, 16, 16), 3)
    initialise(model, torch.Generator().manual_seed(seed))
    return model


def describe(family="resnet_v2", **changes):
    mean, std = small_network(family).normalisation
    fields = {
        "network": family,
        "num_layers": 8,
        "image_shape": (3, 16, 16),
        "num_classes": 3,
        "class_names": ("apple", "banana", "cherry pie"),
        "normalisation": Normalisation(mean=mean, std=std),
        "resize": 20,
        "hyperparameters": {"learning_rate": "0.1"},
        "metrics": {"validation:accuracy": 0.75},
        "epoch": 4,
    }
    return Description(**{**fields, **changes})


def plain_members(network="resnet_v2"):
    """What a sound archive has, in its order."""
    return {
        "model.json": describe(network).model_dump_json().encode(),
        "model.safetensors": to_safetensors(small_network(network).state_dict()),
    }


def entry(name, data=b"", **fields):
    """A header and its data; `fields` are set on the header afterwards."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for field, value in fields.items():
        setattr(member, field, value)
    return member, data


def pack(path, entries, **options):
    """Write (header, data) pairs, or a mapping from names to data, as .tar.gz."""
    if isinstance(entries, dict):
        entries = [entry(name, data) for name, data in entries.items()]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", **options) as tar:
        for member, data in entries:
            tar.addfile(member, io.BytesIO(data))
    path.write_bytes(gzip.compress(stream.getvalue(), 1))
    return path
