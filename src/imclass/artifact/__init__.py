"""`model.tar.gz`: a trained model with everything that is needed to use it, safe to open.

Names are found when they are first asked for: to unpack an archive needs no PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imclass.artifact.description import Description, Normalisation, epoch_of, supplemented
    from imclass.artifact.mxnet import MXNET_NETWORK
    from imclass.artifact.mxnet_writer import MXNET_DTYPES, left_out_by_mxnet, save_mxnet
    from imclass.artifact.reader import load, read, read_description
    from imclass.artifact.unpacking import unpack
    from imclass.artifact.writer import save

__all__ = [
    "MXNET_DTYPES",
    "MXNET_NETWORK",
    "Description",
    "Normalisation",
    "epoch_of",
    "left_out_by_mxnet",
    "load",
    "read",
    "read_description",
    "save",
    "save_mxnet",
    "supplemented",
    "unpack",
]

_HOMES = {
    "MXNET_DTYPES": "imclass.artifact.mxnet_writer",
    "MXNET_NETWORK": "imclass.artifact.mxnet",
    "Description": "imclass.artifact.description",
    "Normalisation": "imclass.artifact.description",
    "epoch_of": "imclass.artifact.description",
    "left_out_by_mxnet": "imclass.artifact.mxnet_writer",
    "load": "imclass.artifact.reader",
    "read": "imclass.artifact.reader",
    "read_description": "imclass.artifact.reader",
    "save": "imclass.artifact.writer",
    "save_mxnet": "imclass.artifact.mxnet_writer",
    "supplemented": "imclass.artifact.description",
    "unpack": "imclass.artifact.unpacking",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
