"""Where to compute."""

import os
from pathlib import Path

import pytest
import torch

from imclass.device import choose_device, multiplies_bfloat16
from imclass.errors import UserError


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:99", ""])
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(UserError, match="there is no device"):
        choose_device(name)


def test_the_cpu() -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("given", "expected"), [(None, "32"), ("1", "1")])
def test_a_gpu_gets_all_its_queues_unless_the_environment_says_how_many(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    monkeypatch.setenv("CUDA_DEVICE_MAX_CONNECTIONS", given or "")  # is put back at the end as it was
    if given is None:
        monkeypatch.delenv("CUDA_DEVICE_MAX_CONNECTIONS")
    choose_device("auto")
    assert os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] == expected


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="only Linux tells what its processor can do")
def test_bfloat16_is_multiplied_where_the_system_says_so() -> None:
    flags = set(Path("/proc/cpuinfo").read_text().split())
    assert multiplies_bfloat16(torch.device("cpu")) == bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"architecture": "aarch64", "neon": True, "bf16": True}, True),
        ({"architecture": "aarch64", "neon": True, "bf16": False}, False),
    ],
)
def test_bfloat16_by_instructions(
    monkeypatch: pytest.MonkeyPatch, instructions: dict[str, object], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    assert multiplies_bfloat16(torch.device("cpu")) is expected
