"""`model.tar.gz`: a trained model with everything that is needed to use it, safe to open."""

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
