"""`model.tar.gz`: a trained model with everything that is needed to use it, safe to open."""

from imclass.artifact.description import Description, Normalisation, supplemented
from imclass.artifact.mxnet_writer import save_mxnet
from imclass.artifact.reader import load, read, read_description
from imclass.artifact.unpacking import unpack
from imclass.artifact.writer import save

__all__ = [
    "Description",
    "Normalisation",
    "load",
    "read",
    "read_description",
    "save",
    "save_mxnet",
    "supplemented",
    "unpack",
]
