"""`.params` as MXNet itself writes them."""

import numpy as np
import pytest
import torch

from imclass.models.mxnet import read_params, write_params
from imclass.models.mxnet.params_format import DTYPES
from tests.models.mxnet.files import FOLDERS, NUMPY_TYPES, array_bytes, list_bytes, params_of


@pytest.mark.parametrize("folder", FOLDERS)
def test_files_of_mxnet_come_out_byte_by_byte(folder):
    data = params_of(folder).read_bytes()
    assert write_params(read_params(data)) == data


@pytest.mark.parametrize("number", range(len(NUMPY_TYPES)))
def test_every_type(number):
    values = np.array([[0, 1, 1], [1, 0, 100]]).astype(NUMPY_TYPES[number])
    tensor = torch.tensor(values.tolist(), dtype=DTYPES[number])
    assert write_params({"arg:a": tensor}) == list_bytes([array_bytes(values)], ["arg:a"])


def test_bfloat16_and_other_layouts_of_memory():
    turned = torch.arange(6, dtype=torch.bfloat16).reshape(2, 3).T
    again = read_params(write_params({"Ä": turned}))["Ä"]
    assert again.dtype == torch.bfloat16
    assert torch.equal(again, turned)


def test_no_arrays():
    assert write_params({}) == list_bytes([])
