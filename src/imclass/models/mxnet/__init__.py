"""Models of MXNet: their two files, read and written without MXNet, and the network that they hold.

PREFIX-symbol.json -> symbol_reader -> Graph -> recognition -> Recognised --+
PREFIX-0001.params -> params_reader -> arrays by name ----------------------+-> weights -> state of `resnet_v2`

Layout, Head -------> blueprint -----> symbol_writer -> PREFIX-symbol.json
state --------------> weights -------> params_writer -> PREFIX-0001.params
"""

from imclass.models.mxnet.blueprint import Head
from imclass.models.mxnet.params_reader import read_params
from imclass.models.mxnet.params_writer import write_params
from imclass.models.mxnet.recognition import Recognised, recognise
from imclass.models.mxnet.symbol_reader import read_symbol
from imclass.models.mxnet.symbol_writer import write_symbol
from imclass.models.mxnet.weights import arrays_of, state_of

__all__ = [
    "Head",
    "Recognised",
    "arrays_of",
    "read_params",
    "read_symbol",
    "recognise",
    "state_of",
    "write_params",
    "write_symbol",
]
