"""Where to compute."""

import pytest
import torch

from imclass.device import choose_device
from imclass.errors import UserError


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:99", ""])
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(UserError, match="there is no device"):
        choose_device(name)


def test_the_cpu() -> None:
    assert choose_device("cpu") == torch.device("cpu")
